"""What the demonstration model writes, by the form that a prompt asks for; pure functions."""

import random
import re

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

SNIPPETS = {
    "python": '''\
from collections import Counter


def most_common_words(text: str, *, limit: int = 3) -> list[tuple[str, int]]:
    """Return the words that occur most often, the most frequent first."""
    words = (word.strip(".,;:!?").lower() for word in text.split())
    return Counter(filter(None, words)).most_common(limit)


print(most_common_words("the quick fox and the lazy dog and the moon"))''',
    "javascript": """\
const groupBy = (items, keyOf) =>
  items.reduce((groups, item) => {
    (groups[keyOf(item)] ??= []).push(item);
    return groups;
  }, {});

console.log(groupBy(["ant", "bee", "bear"], (word) => word[0]));""",
    "typescript": """\
function groupBy<T, K extends string>(items: T[], keyOf: (item: T) => K): Record<K, T[]> {
  const groups = {} as Record<K, T[]>;
  for (const item of items) {
    (groups[keyOf(item)] ??= []).push(item);
  }
  return groups;
}""",
    "rust": """\
use std::collections::HashMap;

fn count_words(text: &str) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}""",
    "go": """\
package main

import (
\t"fmt"
\t"strings"
)

func main() {
\tcounts := map[string]int{}
\tfor _, word := range strings.Fields("the cat and the dog") {
\t\tcounts[word]++
\t}
\tfmt.Println(counts)
}""",
    "java": """\
import java.util.List;
import java.util.stream.Collectors;

record Word(String text, int count) {
    static List<Word> frequent(List<Word> words, int least) {
        return words.stream().filter(w -> w.count() >= least).collect(Collectors.toList());
    }
}""",
    "bash": """\
#!/usr/bin/env bash
set -euo pipefail

# The ten largest files below a folder.
find "${1:-.}" -type f -printf '%s\\t%p\\n' | sort -rn | head -n 10""",
    "sql": """\
SELECT author.name, COUNT(*) AS books, MAX(book.published_on) AS latest
FROM author
JOIN book ON book.author_id = author.id
GROUP BY author.name
HAVING COUNT(*) > 1
ORDER BY books DESC;""",
    "html": """\
<article>
  <h2>Reading list</h2>
  <ul>
    <li><a href="/first/">A first book</a></li>
    <li><a href="/second/">A second one</a></li>
  </ul>
</article>""",
    "css": """\
.cards {
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr));
  gap: 1.5rem;
}""",
    "c": """\
#include <stdio.h>

int main(void) {
    int fibonacci[10] = {0, 1};
    for (int i = 2; i < 10; i++)
        fibonacci[i] = fibonacci[i - 1] + fibonacci[i - 2];
    for (int i = 0; i < 10; i++)
        printf("%d ", fibonacci[i]);
    return 0;
}""",
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


def answer_to(prompt: str, rng: random.Random) -> tuple[str, str]:
    """Return the reasoning, which may be empty, and the answer in Markdown."""
    topic = topic_of(prompt)
    form = form_of(prompt)
    text = FORMS[form](prompt, topic, rng)
    thinks = form in {"code", "explanation"} and len(prompt) > 40
    return (_reasoning(topic, form) if thinks else ""), f"{text}\n\n{NOTE}\n"


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
    "list": _list,
    "explanation": _explanation,
}
