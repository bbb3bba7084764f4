"""Questions to a model whose answer is one of a few words; pure functions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ONE_OF = "Answer with exactly one of these words: {words}"
_MESSAGE = "<message>\n{message}\n</message>"
_WORDS = re.compile(_ONE_OF.format(words=r"(\w+(?:, \w+)*)"))
_QUOTED = re.compile(_MESSAGE.format(message="(.*)"), re.DOTALL)
_THOUGHTS = re.compile(r"<think>.*?(</think>|$)", re.DOTALL | re.IGNORECASE)
_AROUND = " \t\r\n.,;:!?\"'`*_()[]{}<>“”„‘’«»"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is asked: which of the words fits a message."""

    words: Sequence[str]
    message: str


def ask_which(task: str, choice: Choice) -> str:
    """Return the prompt that asks for one of the words."""
    words = _ONE_OF.format(words=", ".join(choice.words))
    return f"{task}\n\n{_MESSAGE.format(message=choice.message)}\n\n{words}."


def read_which(prompt: str) -> Choice | None:
    """Return what a prompt made by ask_which() asks, None for any other."""
    # The last ones: whatever the message says itself comes before them.
    named, quoted = list(_WORDS.finditer(prompt)), _QUOTED.search(prompt)
    if not named or quoted is None or named[-1].start() < quoted.end():
        return None
    return Choice(named[-1][1].split(", "), quoted[1])


def word_in(answer: str, words: Sequence[str]) -> str | None:
    """
    Return the word that a model has chosen, None if it has not.

    Case, punctuation and thoughts around it do not matter. An answer with more
    words than that counts if it has exactly one of those asked for.
    """
    said = _THOUGHTS.sub("", answer).lower()
    bare = "_".join(said.strip(_AROUND).split())
    if bare in words:
        return bare
    found = {word for word in words if re.search(rf"\b{re.escape(word)}\b", said)}
    return found.pop() if len(found) == 1 else None
