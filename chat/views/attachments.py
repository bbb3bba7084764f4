"""The HTTP API of files: uploaded before the prompt that names them, and read by their owner."""

from typing import Any
from uuid import UUID

from django.core.exceptions import TooManyFilesSent
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.http import content_disposition_header
from ninja import File, Status
from ninja.files import UploadedFile

from chat.database import in_database
from chat.errors import BadRequest, NotFound
from chat.generations.attachments import keep_attachment, remove_attachment
from chat.models import Attachment
from chat.views import schemas
from chat.views.framing import change_policy
from chat.views.kept import api as api
from chat.views.schemas import ERRORS
from chat.views.streams import error_response

HEADERS = {
    "Cache-Control": "private, max-age=86400, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@api.post(
    "/attachments/",
    response={201: schemas.Attachment, **ERRORS},
    summary="Upload a text file or an image, to be named by the next prompt",
)
async def upload(request: HttpRequest, file: File[UploadedFile]) -> Any:
    kept = await keep_attachment(_user(request), name=file.name or "", content=file.read())
    return Status(201, kept.as_news())


@api.get(
    "/attachments/{uuid:attachment_id}/",
    response={200: Any, **ERRORS},
    summary="Read the content of a file",
    url_name="attachment",
)
async def get_attachment(request: HttpRequest, attachment_id: UUID) -> HttpResponse:
    owned = Attachment.objects.owned_by(_user(request))
    found = await in_database(owned.filter(pk=attachment_id).first)
    if found is None:
        raise NotFound
    shown = content_disposition_header(not found.is_image, found.name)
    headers = {**HEADERS, "Content-Disposition": shown or "inline"}
    response = HttpResponse(bytes(found.content), content_type=found.media_type, headers=headers)
    change_policy(response, {"sandbox": True})  # Whatever it is, it does nothing.
    return response


@api.delete(
    "/attachments/{uuid:attachment_id}/",
    response={204: None, **ERRORS},
    summary="Delete a file that was not sent",
)
async def delete_attachment(request: HttpRequest, attachment_id: UUID) -> Any:
    await remove_attachment(_user(request), attachment_id)
    return Status(204, None)


@api.exception_handler(MultiPartParserError)
@api.exception_handler(TooManyFilesSent)
def _on_broken_form(request: HttpRequest, error: Exception) -> HttpResponse:
    return error_response(BadRequest("Send one file as the field 'file' of multipart/form-data."))


def _user(request: HttpRequest) -> Any:
    return request.auth.user  # type: ignore[attr-defined]  # Set by ninja.
