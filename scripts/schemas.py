"""
Write `docs/schemas/client-frames.json`, the JSON Schema of what a client may send.

Run it after a change to `chat/wire/frames.py`: `python -m scripts.schemas`. A
test compares the file with what this would write.
"""

import json
from pathlib import Path

from chat.wire.frames import json_schema

FILE = Path(__file__).resolve().parent.parent / "docs/schemas/client-frames.json"


def client_frames() -> str:
    """Return the text of the file."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Client frames of the WebSocket protocol, version 1",
    }
    return json.dumps(head | json_schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(client_frames())
