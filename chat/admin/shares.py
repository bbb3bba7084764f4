"""Share links: who shows what to whoever has the link, and the end of that."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.admin.base import HistoryAdmin, link, username_of
from chat.models import Share


@admin.register(Share)
class ShareAdmin(HistoryAdmin[Share]):
    """To revoke a link is to delete it. The link itself is its owner's, and not shown."""

    list_display = ("title", "owner", "conversation_link", "created_at", "expires_at", "is_open")
    list_filter = ("created_at", "expires_at")
    list_select_related = ("conversation__owner",)
    fields = ("title", "owner", "conversation_link", "shown_name", "created_at", "expires_at")
    readonly_fields = ("owner", "conversation_link")

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("title", username_of("conversation__owner"))

    @admin.display(description=_("owner"), ordering="conversation__owner")
    def owner(self, share: Share) -> str:
        return str(share.conversation.owner)

    @admin.display(description=_("conversation"), ordering="conversation")
    def conversation_link(self, share: Share) -> str:
        return link(share.conversation, share.conversation)

    @admin.display(description=_("open"), boolean=True)
    def is_open(self, share: Share) -> bool:
        is_expired = share.expires_at is not None and share.expires_at <= timezone.now()
        return not is_expired and not share.conversation.is_gone
