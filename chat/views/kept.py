"""The HTTP API of whole conversations: restored, tagged, shared, taken out, brought in."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from ninja import Query, Status

from chat.database import in_database, in_transaction
from chat.errors import BadRequest, NotFound
from chat.models import Conversation
from chat.transfer.exporting import as_json, conversations_of
from chat.transfer.reading import as_markdown
from chat.views import conversations, imports, kept_schemas, schemas, shares
from chat.views.api import api as api
from chat.views.follow import let_go_of_thread
from chat.views.schemas import ERRORS

FORMS = {
    "json": ("json", "application/json"),
    "markdown": ("md", "text/markdown; charset=utf-8"),
}


@api.post(
    "/conversations/{uuid:conversation_id}/restore/",
    response={200: schemas.Conversation, **ERRORS},
    summary="Bring back a conversation that was deleted within the last ten minutes",
)
async def restore_conversation(request: HttpRequest, conversation_id: UUID) -> Any:
    return await conversations.restore(_user(request), conversation_id)


@api.get("/tags/", response={200: kept_schemas.Tags, **ERRORS}, summary="List the tags in use")
async def list_tags(request: HttpRequest) -> Any:
    owned = Conversation.objects.owned_by(_user(request)).listed()
    return {"items": await in_database(owned.tags)}


@api.get(
    "/conversations/{uuid:conversation_id}/export/",
    response={200: Any, **ERRORS},
    summary="Take a conversation out, as JSON with all branches or as Markdown",
)
async def export_conversation(
    request: HttpRequest, conversation_id: UUID, query: Query[kept_schemas.ExportQuery]
) -> HttpResponseBase:
    user = _user(request)
    conversation = await in_database(conversations.find, user, conversation_id)
    if conversation.temporary:
        raise BadRequest("A temporary conversation is not kept, so it cannot be exported.")
    if query.leaf and not await in_database(
        conversation.messages.filter(pk__in=[query.leaf]).exists
    ):
        raise NotFound
    document = partial(as_markdown, leaf=query.leaf, all_branches=query.branch == "all")
    write = as_json if query.form == "json" else document
    return _download(write(_only(conversation)), f"chat-{conversation.pk}", query.form)


@api.get(
    "/export/",
    response={200: Any, **ERRORS},
    summary="Take all conversations out, as JSON with all branches or as Markdown",
)
async def export_all(
    request: HttpRequest, query: Query[kept_schemas.ExportAllQuery]
) -> HttpResponseBase:
    write = as_json if query.form == "json" else as_markdown
    return _download(write(conversations_of(_user(request))), "chat-conversations", query.form)


@api.post(
    "/import/",
    response={200: kept_schemas.ImportReport, **ERRORS},
    summary="Bring conversations in: an export of this site, or of ChatGPT",
)
async def import_conversations(request: HttpRequest, payload: kept_schemas.Import) -> Any:
    return await imports.import_all(_user(request), payload.conversations)


@api.get(
    "/conversations/{uuid:conversation_id}/shares/",
    response={200: kept_schemas.Shares, **ERRORS},
    summary="List the share links of a conversation",
)
async def list_shares(request: HttpRequest, conversation_id: UUID) -> Any:
    found = await in_database(shares.list_shares, _user(request), conversation_id)
    return {"items": [shares.as_share(share, request) for share in found]}


@api.post(
    "/conversations/{uuid:conversation_id}/shares/",
    response={201: kept_schemas.Share, **ERRORS},
    summary="Make a link at which anybody can read what the conversation says by now",
)
async def create_share(
    request: HttpRequest, conversation_id: UUID, payload: kept_schemas.NewShare
) -> Any:
    options = payload.model_dump()
    share = await in_transaction(shares.create_share, _user(request), conversation_id, **options)
    return Status(201, shares.as_share(share, request))


@api.delete(
    "/conversations/{uuid:conversation_id}/shares/{uuid:share_id}/",
    response={204: None, **ERRORS},
    summary="Revoke a share link",
)
async def revoke_share(request: HttpRequest, conversation_id: UUID, share_id: UUID) -> Any:
    await in_transaction(shares.revoke_share, _user(request), conversation_id, share_id)
    return Status(204, None)


def _user(request: HttpRequest) -> Any:
    return request.auth.user  # type: ignore[attr-defined]  # Set by ninja.


async def _only(conversation: Conversation) -> AsyncIterator[Conversation]:
    yield conversation


def _download(pieces: AsyncIterator[str], name: str, form: str) -> StreamingHttpResponse:
    """Return a file that is written while it is sent."""
    let_go_of_thread()
    suffix, content_type = FORMS[form]
    return StreamingHttpResponse(
        pieces,
        content_type=content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}.{suffix}"',
            "Cache-Control": "no-store",
        },
    )
