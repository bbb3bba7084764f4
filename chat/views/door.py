"""The API object: how bodies are read, who is let in, how errors and other methods are answered."""

import functools
import logging
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, reverse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from chat.conf import MAX_BODY_BYTES
from chat.errors import (
    BadRequest,
    ChatError,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotAuthenticated,
    PromptTooLong,
)
from chat.identity import Identity, identify_request
from chat.views.streams import error_response, nothing
from chat.wire.frames import explain
from chat.wire.parse import parse_object

logger = logging.getLogger(__name__)

View = Callable[..., Awaitable[HttpResponseBase]]


class StrictParser(Parser):
    """Bodies from strangers: JSON objects, said to be JSON, of bounded size."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        if request.content_type != "application/json" and not _is_program(request):
            # A form of another site can send text/plain or form data, but not this.
            raise BadRequest("Send the body as Content-Type: application/json.")
        return parse_object(request.body)


class SessionOrKey(AuthBase):
    """A session cookie, with a CSRF token on unsafe requests; or an API key as bearer token."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    async def __call__(self, request: HttpRequest) -> Identity:
        identity = await identify_request(request)
        if identity is None:
            raise NotAuthenticated
        if identity.uses_session and _is_forged(request):
            raise Forbidden("Send the CSRF token of the session in the X-CSRFToken header.")
        return identity


def _is_program(request: HttpRequest) -> bool:
    return "Authorization" in request.headers


def _is_forged(request: HttpRequest) -> bool:
    # The views are exempt from the middleware, since requests with a key need
    # no token; sessions get its very check here.
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return False
    return request.headers.get("Sec-Fetch-Site") == "cross-site" or bool(check_csrf(request))


def with_head_and_options(view: View) -> View:
    """Answer HEAD as GET without its body, and OPTIONS, from anybody, with what the path takes."""

    @functools.wraps(view)
    async def answer(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
        asked = request.method
        if asked == "HEAD":
            request.method = "GET"
        try:
            response = await view(request, **parameters)
        finally:
            request.method = asked
        if response.status_code == 405:
            return _refuse_method(asked, _with_implied(response["Allow"]))
        if asked == "HEAD" and isinstance(response, StreamingHttpResponse):
            # Servers drop the body of anything else; here they would first wait for its end.
            response.streaming_content = nothing()
        return response

    return answer


def _with_implied(allowed: str) -> str:
    methods = {*allowed.split(", "), "OPTIONS"}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _refuse_method(asked: str | None, allowed: str) -> HttpResponse:
    if asked == "OPTIONS":
        response = HttpResponse(status=204)
    else:
        response = error_response(MethodNotAllowed(f"Use {allowed}."))
    response["Allow"] = allowed
    return response


class ChatAPI(NinjaAPI):
    def _get_urls(self) -> list[URLResolver | URLPattern]:
        patterns = super()._get_urls()
        for pattern in patterns:
            if isinstance(pattern, URLPattern) and iscoroutinefunction(pattern.callback):
                pattern.callback = with_head_and_options(pattern.callback)
        return patterns

    def get_root_path(self, path_params: dict[str, Any]) -> str:  # Ninja's omits the app's name.
        return reverse(f"chat:{self.urls_namespace}:api-root", kwargs=path_params)


api = ChatAPI(
    title="Chat",
    version="1",
    urls_namespace="chat-api-1",
    auth=SessionOrKey(),
    parser=StrictParser(),
    docs_url=None,
)


@api.exception_handler(ChatError)
def _on_chat_error(request: HttpRequest, error: ChatError) -> HttpResponse:
    return error_response(error)


@api.exception_handler(ValidationError)
def _on_invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return error_response(BadRequest(explain(error.errors)))


@api.exception_handler(HttpError)
def _on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    # Ninja wraps what StrictParser raises.
    cause = error.__cause__
    return error_response(cause if isinstance(cause, ChatError) else BadRequest(str(error)))


@api.exception_handler(RequestDataTooBig)
def _on_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return error_response(PromptTooLong(f"A body has at most {MAX_BODY_BYTES} bytes."))


@api.exception_handler(Exception)
def _on_defect(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return error_response(InternalError())
