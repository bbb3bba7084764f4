"""Every address the site answers, made from its URLconf."""

import re
from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

_parameter = re.compile(r"<(?:(\w+):)?(\w+)>|\(\?P<(\w+)>[^)]*\)|\(\?:[^)]*\)\??")


def routes(patterns=None, prefix: str = "") -> Iterator[str]:
    """Yield each route, its parameters as ``<converter:name>``, without a leading slash."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern).removeprefix("^").removesuffix("$")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            assert isinstance(pattern, URLPattern)
            yield re.sub(r"\\Z|[\^$]", "", route)


def fill(route: str, values: dict[str, str]) -> str:
    """Return the address of a route; ``values`` holds its parameters by name."""

    def value(match: re.Match[str]) -> str:
        name = match[2] or match[3]
        default = "1" if match[1] == "int" else "x"
        return values.get(name, default) if name else ""

    return "/" + _parameter.sub(value, route)


def names(route: str) -> set[str]:
    """Return the names of a route's parameters."""
    return {match[2] or match[3] for match in _parameter.finditer(route)} - {None}
