"""Conversations and their messages."""

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Left
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from chat.admin.base import (
    ChatAdmin,
    HistoryAdmin,
    link,
    link_to_list,
    may_view,
    text_block,
    username_of,
)
from chat.admin.transcripts import page_of
from chat.generations import notify_conversation
from chat.models import Conversation, Generation, Message

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

LIST_CHARS = 200


@admin.register(Conversation)
class ConversationAdmin(ChatAdmin[Conversation]):
    list_display = (
        *("__str__", "owner", "model", "message_count"),
        *("is_running", "state", "updated_at"),
    )
    list_filter = ("model", "temporary", "created_at", "updated_at", "deleted_at")
    list_select_related = ("owner",)
    raw_id_fields = ("owner",)
    search_help_text = _("Titles, owners, and the words of messages.")
    fields = ("owner", "title", "model", "agent")

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("title", username_of("owner"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Conversation], search_term: str
    ) -> tuple[QuerySet[Conversation], bool]:
        """Find titles and owners, and, for whoever may see them, messages by the index of words."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if search_term and may_view(request, Message):
            written = Conversation.objects.search(search_term).order_by().values("pk")
            found |= queryset.filter(pk__in=written)
        return found, may_repeat

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        messages = Message.objects.filter(conversation=OuterRef("pk")).order_by()
        count = messages.values("conversation").annotate(count=Count("pk")).values("count")
        # A subquery is evaluated for the rows of one page, a join for the whole table.
        rows = Conversation.objects.with_running()
        return rows.annotate(message_count=Coalesce(Subquery(count), 0))

    def get_fields(self, request: HttpRequest, obj: Conversation | None = None) -> tuple[str, ...]:
        if obj is None:
            return self.fields
        kept = ("pinned_at", "archived_at", "temporary", "deleted_at", "tag_names")
        return (*self.fields, "created_at", "updated_at", *kept, "generations")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Conversation | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("owner", *self.get_fields(request, obj)[4:])

    def save_model(
        self, request: HttpRequest, obj: Conversation, form: "ModelForm[Conversation]", change: bool
    ) -> None:
        if "title" in form.changed_data:
            obj.title_is_first_words = False
        super().save_model(request, obj, form, change)
        _tell_owner(obj, "updated" if change else "created", title=obj.title)

    def delete_model(self, request: HttpRequest, obj: Conversation) -> None:
        _tell_owner(obj, "deleted")
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> None:
        with transaction.atomic():
            for conversation in queryset:
                _tell_owner(conversation, "deleted")
            super().delete_queryset(request, queryset)

    @admin.display(description=_("messages"), ordering="message_count")
    def message_count(self, conversation: Conversation) -> int:
        return conversation.message_count  # type: ignore[attr-defined, no-any-return]

    @admin.display(description=_("being answered"))
    def is_running(self, conversation: Conversation) -> "StrPromise | None":
        # Not a boolean's red cross: there is nothing wrong with one that rests.
        return _("Yes") if conversation.running else None  # type: ignore[attr-defined]

    @admin.display(description=_("kept as"))
    def state(self, conversation: Conversation) -> "StrPromise | None":
        if conversation.temporary:
            return _("temporary")
        if conversation.is_gone:
            return _("deleted, for good soon")
        return _("archived") if conversation.archived else None

    @admin.display(description=_("tags"))
    def tag_names(self, conversation: Conversation) -> str:
        return ", ".join(conversation.tags) or "–"

    @admin.display(description=_("generations"))
    def generations(self, conversation: Conversation) -> str:
        return link_to_list(
            Generation, _("All of this conversation"), conversation__id__exact=conversation.pk
        )

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show the form, and below it the messages to whoever may see messages."""
        conversation = context.get("original")
        if conversation is not None and may_view(request, Message):
            context |= {"transcript": _transcript(request, conversation)}
            if conversation.owner_id != request.user.pk:
                self.log_change(request, conversation, _now("Messages viewed."))
        return super().render_change_form(request, context, *args, **kwargs)


def _transcript(request: HttpRequest, conversation: Conversation) -> str:
    try:
        before = UUID(request.GET.get("before", ""))
    except ValueError:
        before = None
    more = link_to_list(Message, _("Show all messages"), conversation__id__exact=conversation.pk)
    context = {**page_of(conversation, before), "all_messages": more}
    return render_to_string("admin/chat/transcript.html", context)


def _tell_owner(conversation: Conversation, change: str, **fields: Any) -> None:
    news = async_to_sync(notify_conversation)
    owner_id, pk = conversation.owner_id, conversation.pk
    # Not before the commit: a page that looks at once would see the old state.
    transaction.on_commit(partial(news, owner_id, pk, change, **fields))


class ExcerptList(ChangeList):
    """A page of messages that loads the beginnings of their texts, not megabytes of answers."""

    def get_results(self, request: HttpRequest) -> None:
        rows = self.queryset.defer("text", "reasoning")
        self.queryset = rows.annotate(excerpt=Left("text", LIST_CHARS))
        super().get_results(request)
        for message in self.result_list:
            # Each row has a str(), which would fetch the deferred text by a query of its own.
            message.text = message.excerpt


@admin.register(Message)
class MessageAdmin(HistoryAdmin[Message]):
    list_display = ("created_at", "role", "excerpt", "conversation_link", "owner")
    list_filter = ("role", "created_at")
    list_select_related = ("conversation__owner",)
    ordering = ("-id",)
    fields = (
        *("conversation", "parent_link", "generation_link", "role", "created_at"),
        *("text_shown", "reasoning_shown"),
    )
    readonly_fields = ("parent_link", "generation_link", "text_shown", "reasoning_shown")

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("text", "conversation__title", username_of("conversation__owner"))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ExcerptList

    @admin.display(description=_("text"))
    def excerpt(self, message: Message) -> str:
        return text_block(message.text)

    @admin.display(description=_("conversation"), ordering="conversation")
    def conversation_link(self, message: Message) -> str:
        return link(message.conversation, message.conversation)

    @admin.display(description=_("owner"), ordering="conversation__owner")
    def owner(self, message: Message) -> str:
        return str(message.conversation.owner)

    @admin.display(description=_("parent"))
    def parent_link(self, message: Message) -> str:
        return link(message.parent, message.parent.get_role_display()) if message.parent else "–"

    @admin.display(description=_("generation"))
    def generation_link(self, message: Message) -> str:
        generation = Generation.objects.filter(message=message).first()
        return link(generation, generation.get_status_display()) if generation else "–"

    @admin.display(description=_("text"))
    def text_shown(self, message: Message) -> str:
        return text_block(message.text)

    @admin.display(description=_("reasoning"))
    def reasoning_shown(self, message: Message) -> str:
        return text_block(message.reasoning)
