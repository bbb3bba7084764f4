"""The door of the dialects: who is let in, which pages may call, how errors are told."""

import functools
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from ninja.utils import check_csrf

from chat.conf import MAX_BODY_BYTES, chat_settings
from chat.errors import (
    BadRequest,
    ChatError,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotAuthenticated,
    PromptTooLong,
)
from chat.identity import Identity, identify_caller
from chat.origins import ANY, is_among, own_origins

logger = logging.getLogger(__name__)

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]
Teller = Callable[[ChatError], HttpResponse]
Identify = Callable[[HttpRequest], Awaitable[Identity | None]]

PREFLIGHT_SECONDS = 600
ALLOWED_HEADERS = "authorization, content-type, idempotency-key, last-event-id"
HEADER_NAMES = re.compile(r"[A-Za-z0-9_-]+(, ?[A-Za-z0-9_-]+)*")
EXPOSED_HEADERS = "retry-after, x-request-id, x-vercel-ai-ui-message-stream"


def endpoint(
    *methods: str, tell: Teller, identify: Identify | None = None, safe: Collection[str] = ()
) -> Callable[[View], View]:
    """
    Make a view that is called with the request and an identity an address of a dialect.

    A session or a key is let in always, a guest where ``OPEN_DIALECTS`` is on,
    or whom ``identify`` finds. Pages of other origins may call if they are among
    ``CORS_ORIGINS``; a session is only taken from a page that is trusted, as no
    client of a dialect sends a CSRF token. Any page may use ``safe`` methods: it
    does not see the answer. ``tell`` makes an answer of an error.
    """

    def decorate(view: View) -> View:
        @csrf_exempt
        @functools.wraps(view)
        async def answer(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
            response: HttpResponseBase
            try:
                if request.method == "OPTIONS":
                    response = HttpResponse(status=204, headers={"Allow": _allowed(methods)})
                elif request.method not in methods:
                    raise MethodNotAllowed(f"Use {_allowed(methods)}.")
                else:
                    identity = await (identify or identify_request)(request)
                    response = await view(request, _let_in(request, identity, safe), **parameters)
            except RequestDataTooBig:
                response = tell(PromptTooLong(f"A body has at most {MAX_BODY_BYTES} bytes."))
            except ChatError as exc:
                response = tell(exc)
                if isinstance(exc, MethodNotAllowed):
                    response["Allow"] = _allowed(methods)
            except Exception:
                logger.exception("%s %s failed", request.method, request.path)
                response = tell(InternalError())
            return _for_pages(request, response, methods)

        return answer

    return decorate


async def identify_request(request: HttpRequest) -> Identity | None:
    """Return who calls: by key, by session, or as a guest."""
    return await identify_caller(request.scope)  # type: ignore[attr-defined]


def json_body(request: HttpRequest) -> bytes:
    """Return the body of a request that says it is JSON. Forms of other sites cannot say so."""
    if request.content_type != "application/json":
        raise BadRequest("Send the body as Content-Type: application/json.")
    return request.body


def _let_in(request: HttpRequest, identity: Identity | None, safe: Collection[str]) -> Identity:
    if identity is None:
        raise NotAuthenticated
    by_itself = identity.uses_session or identity.is_guest  # Without a secret in the request.
    if by_itself and request.method not in safe and not _is_trusted(request, identity):
        raise Forbidden("Pages of other sites cannot ask here. Add theirs to CORS_ORIGINS.")
    return identity


def _is_trusted(request: HttpRequest, identity: Identity) -> bool:
    origin = request.headers.get("Origin")
    own = own_origins(request.scope, _headers(request))  # type: ignore[attr-defined]
    if origin is not None:
        named = chat_settings().cors_origins
        if identity.uses_session:
            named = tuple(each for each in named if each != ANY)
        return is_among(origin, [*own, *named])
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"} and not _is_navigation(request, identity)
    if identity.uses_session:  # No HTTPS, or an old browser, and anybody's page in it.
        if request.method == "POST":
            return not check_csrf(request)
        # An EventSource tells only this of where it is; a link asks for something else.
        reads = "text/event-stream" in request.headers.get("Accept", "")
        return reads and is_among(request.headers.get("Referer", ""), own)
    return True


def _is_navigation(request: HttpRequest, identity: Identity) -> bool:
    # A link in a mail opens as if its user had typed it, and must not ask in their name.
    is_opened = request.headers.get("Sec-Fetch-Mode") == "navigate"
    return identity.uses_session and is_opened


def _headers(request: HttpRequest) -> dict[bytes, str]:
    return {name.lower().encode(): value for name, value in request.headers.items()}


def _for_pages(
    request: HttpRequest, response: HttpResponseBase, methods: tuple[str, ...]
) -> HttpResponseBase:
    """Let pages of the configured origins read the answer."""
    allowed = chat_settings().cors_origins
    patch_vary_headers(response, ["Origin"])
    origin = request.headers.get("Origin")
    if origin is None or not is_among(origin, allowed):
        return response
    response["Access-Control-Allow-Origin"] = origin
    if is_among(origin, [each for each in allowed if each != ANY]):
        response["Access-Control-Allow-Credentials"] = "true"  # Its session, or its guest's.
    response["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    if request.method == "OPTIONS":
        response["Access-Control-Allow-Methods"] = _allowed(methods)
        # The clients of some dialects send a dozen headers of their own making.
        asked = request.headers.get("Access-Control-Request-Headers", "")
        is_named = HEADER_NAMES.fullmatch(asked)
        response["Access-Control-Allow-Headers"] = asked if is_named else ALLOWED_HEADERS
        response["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    return response


def _allowed(methods: tuple[str, ...]) -> str:
    return ", ".join([*methods, "OPTIONS"])
