"""How the demonstration model chooses a word when it is asked for one; pure functions."""

import re

from chat.llm.choices import Choice
from chat.llm.demo_texts import form_of

# By the form that a message asks for, what the word for it may be called.
NAMES = {"code": ("code", "program"), "poem": ("poem", "verse")}
QUESTION = re.compile(r"\W*(what|who|whose|when|where|why|which|is|are|was|were|does|do|did)\b")
REQUEST = re.compile(
    r"\W*(please\b|how\b|can\b|could\b|would\b|should\b|tell\b|explain\b|describe\b|list\b|compare\b"
    r"|give\b|show\b|name\b|define\b|summari[sz]e\b|translate\b|teach\b|help\b|find\b|count\b"
    r"|suggest\b|recommend\b|outline\b|write\b|make\b)"
)


def choose(choice: Choice) -> str:
    """Return the word that fits best: by its name, or ``unknown``, or the first one."""
    message = choice.message.lower()
    is_question = bool(QUESTION.match(message))
    form = "" if is_question else form_of(message)
    if word := _named(choice, NAMES.get(form, ())):
        return word
    asks = is_question or REQUEST.match(message) or message.rstrip().endswith("?")
    if asks and (word := _named(choice, ("question", "explain"))):
        return word
    return "unknown" if "unknown" in choice.words else choice.words[0]


def _named(choice: Choice, names: tuple[str, ...]) -> str:
    return next((word for word in choice.words if any(name in word for name in names)), "")
