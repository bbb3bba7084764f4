"""How things are said in a terminal, the same in both of its forms."""

from chat.terminal.answers import Answer, Phase

# What moves the cursor, changes colours or rings, a model shall not be able to do.
CONTROLS = {
    number: "\ufffd" for number in (*range(0x20), *range(0x7F, 0xA0)) if chr(number) not in "\n\t"
} | {ord("\r"): None}

ENDS = {
    Phase.STOPPED: "Stopped",
    Phase.INTERRUPTED: "Interrupted",
    Phase.FAILED: "Failed",
}


def printable(text: str) -> str:
    """Return a text that can do nothing to a terminal but be shown."""
    return text.translate(CONTROLS)


def one_line(text: str) -> str:
    return " ".join(printable(text).split())


def duration(seconds: float) -> str:
    """Return ``< 0.1 s``, ``0.8 s``, ``12 s`` or ``2 min 5 s``."""
    if seconds < 0.05:
        return "< 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def phase_of(answer: Answer) -> str:
    """Return in words where an answer stands."""
    if answer.is_to_stop and not answer.is_over:
        return "Stopping"
    match answer.phase:
        case Phase.WAITING:
            return f"Waiting: {one_line(answer.reason)}"
        case Phase.QUEUED:
            return "Queued, next" if answer.place == 1 else f"Queued, number {answer.place}"
        case Phase.RETRYING:
            return "The model did not answer, trying again"
        case Phase.THINKING if answer.step:
            return f"Thinking ({one_line(answer.step)})"
        case phase:
            return phase.capitalize()


def facts_of(answer: Answer) -> str:
    """Return what there is to say of an answer that is over: its length, time and speed."""
    parts = [ENDS[answer.phase]] if answer.phase in ENDS else []
    if answer.finish_reason == "length":
        parts.append("Cut at the model's limit")
    if answer.text:
        parts.append(duration(answer.seconds))
    if answer.usage:
        count = answer.usage["output_tokens"]
        parts.append(f"{count} token{'s' if count != 1 else ''}")
    if answer.text and answer.speed:
        parts.append(f"≈ {answer.speed:.0f} tokens/s")
    return " · ".join(parts)
