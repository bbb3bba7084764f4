"""What the demonstration model writes, by the form that a prompt asks for; pure functions."""

import random
import re

from chat.llm.demo_snippets import SNIPPETS

NOTE = (
    "> This is the **demonstration model**: it knows the form you asked for, not the facts. "
    "To talk to a real one, set `OPENAI_API_KEY`, or `OPENAI_BASE_URL` for any compatible server, "
    "or `OLLAMA_HOST`, and start the site again."
)

LANGUAGES = {
    "javascript": r"javascript|\bjs\b|node(\.js)?\b",
    "typescript": r"typescript|\bts\b",
    "rust": r"\brust\b",
    "go": r"\bgolang\b|\bin go\b|\bgo (function|program|code)\b",
    "java": r"\bjava\b",
    "bash": r"\bbash\b|\bshell\b",
    "sql": r"\bsql\b|\bquery\b",
    "html": r"\bhtml\b",
    "css": r"\bcss\b",
    "c": r"\bin c\b|\bc (function|program|code)\b",
    "python": r"\bpython\b",
}

OPENINGS = (
    "Happy to.",
    "Of course.",
    "Gladly.",
    "Here is a start.",
)

GREETING = re.compile(r"\W*(hi|hello|hey|hallo|good (morning|evening)|guten tag|moin)\b.{0,20}")
ASKING = re.compile(
    r"^(please|bitte|can you|could you|would you|i want you to|tell me|show me|give me|write( me)?"
    r"|create|make|explain( to me)?|describe|what (is|are)|who (is|are|was)|how (do|does|to|can)"
    r"|why (is|are|do|does)|an?|the|some|about|code|function|program|script|list( of)?"
    r"|table( of)?|poem|of|for|that|which|in|on)\b[\s,:]*",
    re.IGNORECASE,
)
# What an agent writes before a prompt, to say in which form it is to be answered.
INSTRUCTION = re.compile(
    r"\s*please (respond|answer|generate)\b[^:\n]*\bfollowing\b[^:\n]*: ", re.IGNORECASE
)


def answer_to(prompt: str, rng: random.Random) -> tuple[str, str]:
    """Return the reasoning, which may be empty, and the answer in Markdown."""
    form, prompt = _read(prompt)
    topic = topic_of(prompt)
    text = FORMS[form](prompt, topic, rng)
    thinks = form in {"code", "explanation"} and len(prompt) > 40
    return (_reasoning(topic, form) if thinks else ""), f"{text}\n\n{NOTE}\n"


def _read(prompt: str) -> tuple[str, str]:
    """Return the form to answer in, and the prompt without an instruction before it."""
    instruction = INSTRUCTION.match(prompt)
    if instruction is None:
        return form_of(prompt), prompt
    asked, prompt = instruction[0], prompt[instruction.end() :]
    if "only" in asked and form_of(asked) == "code":
        return "snippet", prompt
    form = form_of(asked)
    if form == "explanation" and form_of(prompt) in {"table", "list"}:
        form = form_of(prompt)
    return form, prompt


def form_of(prompt: str) -> str:
    """Return which of the forms a prompt asks for."""
    words = prompt.lower()
    if re.fullmatch(
        r"\W*(hi|hello|hey|hallo|good (morning|evening)|guten tag|moin)\b.{0,20}", words
    ):
        return "greeting"
    if re.search(r"\b(poem|haiku|verse|gedicht|limerick)\b", words):
        return "poem"
    if re.search(r"\b(table|tabelle|compare|comparison)\b", words):
        return "table"
    if re.search(r"\b(code|function|program|script|snippet|regex|programm|funktion)\b", words):
        return "code"
    if re.search(r"\b(list|steps|ideas|checklist|tips|liste)\b", words):
        return "list"
    if re.search(r"\b(python|javascript|typescript|rust|golang|bash|sql)\b", words):
        return "code"
    return "explanation"


def topic_of(prompt: str) -> str:
    """Return what a prompt is about, in a few of its own words, safe inside Markdown."""
    words = " ".join(prompt[:500].split())
    words = re.split(r"(?<=\w\w)[.?!](\s|$)", words, maxsplit=1)[0]
    while (shorter := ASKING.sub("", words)) != words:
        words = shorter
    words = re.sub(r"[`*_#<>\[\]|{}\\~!$]", "", words).strip(" ,.;:?\"'()")
    kept = " ".join(words.split()[:9])[:80].strip()
    return kept or "your question"


def language_of(prompt: str) -> str:
    """Return the programming language a prompt names, or Python."""
    words = prompt.lower()
    return next((name for name, form in LANGUAGES.items() if re.search(form, words)), "python")


def _title(topic: str) -> str:
    return topic[:1].upper() + topic[1:]


def _reasoning(topic: str, form: str) -> str:
    shape = {"code": "a short, working example and how to run it"}.get(form, "a clear overview")
    return (
        f"The question is about {topic}. What helps most is {shape}. "
        "I should open with the point, keep each part short, and say plainly what I am."
    )


def _greeting(prompt: str, topic: str, rng: random.Random) -> str:
    return (
        "Hello! Nice to meet you.\n\nAsk me for an **explanation**, a **list**, a **table**, "
        "a **poem** or some **code**, and you will see how each of them streams in. For instance:"
        "\n\n- *Explain how tides work*\n- *Compare tea and coffee in a table*"
        "\n- *Write a Rust function that counts words*"
    )


def _poem(prompt: str, topic: str, rng: random.Random) -> str:
    return (
        f"**{_title(topic)}**\n\n"
        "The page was white, the evening slow,  \n"
        "a single line began to grow;  \n"
        "it crossed the dark from far away,  \n"
        "a word, a breath, a thing to say.\n\n"
        "It did not hurry, did not wait,  \n"
        "it came a little, never late,  \n"
        f"and when I asked of *{topic}*,  \n"
        "the silence answered: *here it is*."
    )


def _table(prompt: str, topic: str, rng: random.Random) -> str:
    return (
        f"Here is **{topic}** at a glance:\n\n"
        "| Aspect | First choice | Second choice | Notes |\n"
        "|:--|:-:|:-:|:--|\n"
        "| Effort | low | medium | Counted in hours, not days |\n"
        f"| Cost | {rng.randint(10, 40)} € | {rng.randint(41, 90)} € | Example figures |\n"
        "| Quality | good | very good | Depends on what you need |\n"
        "| Risk | low | low | Both can be undone |\n\n"
        "Read it row by row: where the two columns agree, the choice does not matter."
    )


def _code(prompt: str, topic: str, rng: random.Random) -> str:
    language = language_of(prompt)
    return (
        f"{rng.choice(OPENINGS)} You asked about **{topic}**; here is a small example in "
        f"{language}:\n\n```{language}\n{SNIPPETS[language]}\n```\n\n"
        "How it works:\n\n"
        "1. It starts from the smallest input that makes sense.\n"
        "2. It does one thing, and its name says which.\n"
        "3. It is short enough to change to your needs."
    )


def _snippet(prompt: str, topic: str, rng: random.Random) -> str:
    language = language_of(prompt)
    return f"```{language}\n{SNIPPETS[language]}\n```"


def _list(prompt: str, topic: str, rng: random.Random) -> str:
    return (
        f"{rng.choice(OPENINGS)} For **{topic}**:\n\n"
        "1. **Begin with the goal.** Write down in one sentence what *done* looks like.\n"
        "2. **Collect what you have.** Notes, people, tools, time.\n"
        "3. **Take the smallest step** that teaches you something.\n"
        "   - It should fit into an hour.\n"
        "   - It should be easy to undo.\n"
        "4. **Look at the result** with someone who did not help to make it.\n"
        "5. **Keep what works**, drop the rest, and go round again."
    )


def _explanation(prompt: str, topic: str, rng: random.Random) -> str:
    return (
        f"## {_title(topic)}\n\n"
        f"{rng.choice(OPENINGS)} A good way into **{topic}** is to look at it three times: from "
        "far away, from near by, and while it moves.\n\n"
        "### The parts\n\n"
        "- **What it is**: the shortest description that is still true.\n"
        "- **What it is for**: the question it answers, and for whom.\n"
        "- **Where it ends**: what it looks like but is *not*.\n\n"
        "### In numbers\n\n"
        "| View | Question | Time |\n|:--|:--|--:|\n"
        "| Far away | Why does it matter? | 1 min |\n"
        "| Near by | Which parts has it? | 5 min |\n"
        "| Moving | What happens when one changes? | 10 min |\n\n"
        "### A small model of it\n\n"
        "```python\n"
        "def understand(topic: str) -> list[str]:\n"
        '    views = ["far away", "near by", "moving"]\n'
        '    return [f"{topic}, {view}" for view in views]\n'
        "```\n\n"
        "If only one thing stays with you, let it be the second view: the parts are where "
        "questions turn into answers."
    )


FORMS = {
    "greeting": _greeting,
    "poem": _poem,
    "table": _table,
    "code": _code,
    "snippet": _snippet,
    "list": _list,
    "explanation": _explanation,
}
