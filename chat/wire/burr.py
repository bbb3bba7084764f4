"""
The dialect of Burr's streaming chat page: frames ``{"type": …, "value": …}``.

Its client cuts what each read of the body gives it at ``data: `` and parses
every part as JSON, without keeping anything for the next read. So no frame has
those six characters inside, or any line but its own; frames and writes are
small, for a read to hold them whole; and what this client does not know it
ignores, so there are an ``error`` and a ``done`` that tell others how it ended.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from chat.errors import ChatError
from chat.events import Event, EventKind, encode_json
from chat.wire.failures import reason_of

MAX_FRAME = 16_000  # Bytes. Reads of 64 kB, and of less, are usual.
MAX_HISTORY = 15_000
ITEM = 100  # What an item takes beside its content.

KEEP_ALIVE = 'data: {"type":"delta","value":""}\n\n'
DONE = 'data: {"type":"done"}\n\n'

Item = dict[str, str]


def item(role: str, text: str, *, error: str = "") -> Item:
    """Return an item of a chat history; an answer that has failed ends as its stream did."""
    return {
        "content": text + (_shown(error) if error else ""),
        "type": "error" if error else "text",
        "role": role,
    }


def chat_history(items: Sequence[Item]) -> str:
    """Return the frame with the newest items that fit; of the newest at least its end."""
    kept: list[str] = []
    room = MAX_HISTORY
    for each in reversed(items):
        encoded = _encode(each)
        room -= len(encoded) + 1
        if room < 0 and not kept:
            kept.append(_encode(each | {"content": _end_of(each["content"])}))
        if room < 0:
            break
        kept.append(encoded)
    return f'data: {{"type":"chat_history","value":[{",".join(reversed(kept))}]}}\n\n'


class FrameEncoder:
    """Events of one generation to the frames of its stream."""

    keep_alive = KEEP_ALIVE

    def __init__(self) -> None:
        self._first = ""

    def tell_first(self, frame: str) -> None:
        """Put a frame before whatever is encoded next."""
        self._first = frame

    def encode(self, batch: Iterable[Event]) -> str:
        """Return the frames of a batch, the end of the stream after a terminal event."""
        first, self._first = self._first, ""
        return first + "".join(map(_frames, batch))

    def failure(self, error: ChatError) -> str:
        """Return the frames that report an error, after which nothing comes."""
        return _failure(str(error)) + DONE


def writes(frames: str) -> Iterator[str]:
    """Cut frames apart, to be written as many at once as are small together."""
    if len(frames) <= MAX_FRAME:
        yield frames
        return
    held = ""
    for frame in frames.split("\n\n")[:-1]:
        if held and len(held) + len(frame) > MAX_FRAME - 2:
            yield held
            held = ""
        held += f"{frame}\n\n"
    yield held


def _frames(event: Event) -> str:
    """Return the frames of an event, encoded once however many read it; maybe nothing."""
    if "burr" not in event.encoded:
        event.encoded["burr"] = _encode_event(event)
    return event.encoded["burr"]


def _encode_event(event: Event) -> str:
    if event.kind is EventKind.DELTA:
        return "".join(_deltas(event.data["text"]))
    if not event.kind.is_terminal:
        return ""
    reason = reason_of(event)
    return (_failure(reason.message) if reason else "") + DONE


def _deltas(text: str) -> Iterator[str]:
    frame = _frame("delta", text)
    if len(frame) <= MAX_FRAME:
        yield frame
        return
    middle = len(text) // 2
    yield from _deltas(text[:middle])
    yield from _deltas(text[middle:])


def _failure(message: str) -> str:
    """Return two frames: one for programs, one for whoever looks at the page."""
    return _frame("error", message) + _frame("delta", _shown(message))


def _frame(kind: str, value: str) -> str:
    return f"data: {_encode({'type': kind, 'value': value})}\n\n"


def _encode(value: Any) -> str:
    # Outside of strings there is no space. Inside, it is still the same space.
    return encode_json(value).replace("data: ", "data:\\u0020")


def _shown(error: str) -> str:
    return f"\n\n[error] {error}"


def _end_of(text: str) -> str:
    """Return as much of the end of a text as one item has room for."""
    text = text[-MAX_HISTORY:]
    while len(_encode(text)) > MAX_HISTORY - ITEM:
        text = text[len(text) // 8 :]
    return f"…{text}"
