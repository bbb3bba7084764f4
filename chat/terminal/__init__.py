"""
The chat in a terminal: a client of `docs/protocol.md` that knows nothing else of the site.

It runs on any machine, so nothing in here imports Django.
"""
