"""About an answer: as a page, and as the part of it that the chat's script shows in a drawer."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chat.models import Message
from chat.traces import provenance

RELATED = ("generation__provenance", "conversation__forked_at_step__generation")


@never_cache
@login_required
@require_safe
def about(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Tell where an answer came from, on a page, or with ``?as=part`` what stands in it."""
    answers = Message.objects.owned_by(request.user).filter(role=Message.Role.ASSISTANT)
    found = answers.select_related(*RELATED).with_thought()
    told = provenance.about(get_object_or_404(found, pk=message_id))
    is_part = request.GET.get("as") == "part"  # Below the drawer's own heading.
    context = {"about": told, "message": told.message, "heading": "h3" if is_part else "h2"}
    return render(request, f"chat/{'_about' if is_part else 'about'}.html", context)
