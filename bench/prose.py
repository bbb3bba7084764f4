"""Markdown as a model writes it, in tokens, for whoever draws it."""

import itertools
import json
import re
from collections.abc import Iterator

SECTION = """## Part {number}

Tides are the **rise and fall** of the sea, made by the moon and, _less so_, by the sun. Where a
coast is steep, `height` is nearly all that changes; in a bay the water goes out for miles, and what
was a harbour in the morning is a plain of mud at noon. See [the almanac](https://tides.example/).

- The moon pulls on the nearer side more than on the farther one.
- Twice in a month, at new moon and at full moon, **spring tides** come.
- Between them are *neap tides*, the lowest ones.

1. Find the port in the table.
2. Add the difference for your bay.

```python
def height(moment, port):
    # The sum of a few waves, each with its own speed.
    total = port.mean
    for wave in port.waves:
        total += wave.size * cos(wave.speed * moment - wave.phase)
    return round(total, 2)
```

| port | mean | spring | neap |
|---|---:|---:|---:|
| Brest | 4.1 | 6.9 | 5.4 |
| Dover | 3.7 | 6.8 | 5.3 |

> What the moon raises, the coast shapes.

"""
TOKEN = re.compile(r"\s*\S{1,6}|\s+")


def tokens() -> Iterator[bytes]:
    """Return tokens of about four characters, without end, spelt as in JSON."""
    for number in itertools.count(1):
        for piece in TOKEN.findall(SECTION.format(number=number)):
            yield json.dumps(piece)[1:-1].encode()
