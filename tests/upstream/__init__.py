"""
A model server that misbehaves to order: a real HTTP server for tests and benchmarks.

In a test::

    with FakeUpstream() as upstream:
        upstream.base_url                  # for OPENAI_BASE_URL, ends in /v1
        upstream.script("status:503", "echo")   # what the next two requests get
        upstream.journal                   # a dict per chat request, oldest first

From another process, ``python -m tests.upstream --port 0`` prints the base URL
and serves until it is ended. Any process steers it over HTTP::

    POST   /_control/script   {"scripts": ["reset-after:3", [{"delta": "a"}, {"reset": true}]]}
    POST   /_control/models   {"openai": ["echo"], "ollama": ["llama3"]}
    GET    /_control/journal  {"requests": [...]}
    DELETE /_control/journal

``POST /v1/moderations`` flags what contains "hurt", or answers with ``moderation_status``.
``GET /v1/models`` and ``GET /api/tags`` list those models (Ollama: 404 until there are some).

A request is answered by the next script, or else by what its ``model`` names.
Either is a *mode*, ``name[:argument[:argument]][@tokens per second]``. Without a
rate, tokens are sent as fast as they can be. Modes, N counting the tokens sent before:

    markdown                  a page of Markdown (also for any unknown name)
    words:N                   N tokens; `words_text(N)` is their text
    echo                      the last user message
    slow                      markdown at 4 tokens per second
    infinite                  tokens for ever
    hang-before-headers, silent, hang-after:N
    comments, comments-after:N      nothing but comments, 50 a second
    reset-before-headers, reset-after:N     RST
    eof-after:N               clean end without finish reason or [DONE]
    cut-after:N               FIN in mid-response, without the end of its body
    html, html-after:N, garbage, garbage-after:N, empty, json-error
    error-after:N             {"error": …} as data; also error-code-after:N:CODE
    error-event-after:N, error-field-after:N, error-done-after:N, groq-error-after:N
    status:CODE[:retry-after] the status with an OpenAI error body
    context-too-long, loading, no-stream-options
    finish:REASON, no-done, no-usage, usage-in-finish, usage-negative, usage-text, hang-after-finish
    close-after               the answer, then the kept connection is closed
    reasoning:FIELD           thinks in that field, then answers
    null-content, refusal, bytes (1-byte writes), crlf, cr
    text:TEXT                 TEXT, a character per token, JSON-escaped text as it is
    raw-text:TEXT             the same, not ASCII-escaped
    surrogate-lone, surrogate-split, nul
    big:N                     one event with N characters

A script may also be a list of steps, each a dict with one of: ``status`` (first;
``headers`` and ``body`` beside it), ``delta``, ``reasoning``, ``finish``, ``usage``, ``done``,
``raw`` (text sent as it is), ``sleep`` (seconds), ``hang``, ``reset``, ``cut``.

A journal entry has ``model mode body headers connection opened first sent ended closed``:
times are ``time.monotonic()`` of the machine, ``first`` of the first token, ``ended`` when
the answer was complete, ``closed`` when the client closed the connection, ``sent`` counts tokens.
"""

from tests.upstream.modes import MARKDOWN, words_text
from tests.upstream.server import FakeUpstream, unused_port

__all__ = ["MARKDOWN", "FakeUpstream", "unused_port", "words_text"]
