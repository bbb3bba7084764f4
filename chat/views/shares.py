"""Share links as their owner has them, and the page that others get to see."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chat.errors import BadRequest, NotFound
from chat.models import Conversation, Generation, Share
from chat.views.branches import window_of

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

MAX_SHARES = 20  # Of one conversation.

# Stricter than the site's: nothing on this page sends anything anywhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "form-action 'none'; connect-src 'none'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'"
)


@never_cache
@require_safe
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """Show what was shared, to anybody who has the link; without it, or too late, 404."""
    share = get_object_or_404(Share.objects.open().select_related("conversation"), token=token)
    messages, count, more = window_of(
        share.conversation, request.GET.get("windows", ""), leaf=share.leaf_id
    )
    context = {
        "share": share,
        "thread": messages,
        "earlier_windows": count + 1 if more else 0,
        "is_shared": True,
    }
    response = render(request, "chat/shared.html", context)
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response["Content-Security-Policy"] = POLICY
    return response


def create_share(
    user: "AbstractBaseUser", conversation_id: UUID, *, days: int | None, show_name: bool
) -> Share:
    """Share what the shown branch of a conversation says by now. Raise NotFound, BadRequest."""
    owned = Conversation.objects.owned_by(user).select_for_update()
    conversation = owned.filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound
    if conversation.temporary:
        raise BadRequest(
            gettext_noop("A temporary conversation is not kept, so it cannot be shared.")
        )
    if conversation.shares.count() >= MAX_SHARES:
        raise BadRequest(f"A conversation has at most {MAX_SHARES} links. Revoke one first.")
    leaf = _last_said(conversation)
    if leaf is None:
        raise BadRequest(gettext_noop("There is nothing to share yet."))
    return conversation.shares.create(
        leaf_id=leaf,
        title=conversation.title,
        shown_name=user.get_username()[:150] if show_name else "",
        expires_at=timezone.now() + timedelta(days=days) if days else None,
    )


def list_shares(user: "AbstractBaseUser", conversation_id: UUID) -> list[Share]:
    """Return the links of a conversation, the newest first, expired ones too. Raise NotFound."""
    if not Conversation.objects.owned_by(user).filter(pk=conversation_id).exists():
        raise NotFound
    return list(Share.objects.owned_by(user).filter(conversation_id=conversation_id))


def revoke_share(user: "AbstractBaseUser", conversation_id: UUID, share_id: UUID) -> None:
    """End a link at once. Raise NotFound."""
    mine = Share.objects.owned_by(user).filter(conversation_id=conversation_id, pk=share_id)
    if not mine.exists():
        raise NotFound
    mine.delete()


def as_share(share: Share, request: HttpRequest) -> dict[str, Any]:
    return {
        "id": share.pk,
        "url": address_of(share, request),
        "title": share.title,
        "name": share.shown_name,
        "created_at": share.created_at,
        "expires_at": share.expires_at,
    }


def address_of(share: Share, request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("chat:shared", args=[share.token]))


def _last_said(conversation: Conversation) -> UUID | None:
    """Return the end of the shown branch, without an answer that is still being written."""
    branch = conversation.messages.branch(conversation.leaf_id)
    unended = set(Generation.objects.active_in(conversation).values_list("message_id", flat=True))
    last = 0
    for place, pk in enumerate(branch):
        if pk in unended:  # Its prompt stands above it, and is not shown either.
            last = place + 2
    return branch[last] if last < len(branch) else None
