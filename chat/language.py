"""
What pages say in the language of their reader: the words of scripts, and errors.

Programs are told errors in English whatever they accept, because a message of
the protocol is for a log. Of errors in English, people are shown a translation:
of the message itself where it has one, else of what its code means.
"""

import functools
from typing import Any

from django.utils.translation import get_language, gettext, gettext_lazy, override
from django.utils.translation.trans_real import DjangoTranslation
from django.views.i18n import JavaScriptCatalog

_ = gettext_lazy

# By their codes. Those with a message of their own (`chat.errors`) have just that here.
MEANINGS = {
    "bad_request": _("The server did not understand the request."),
    "unsupported_parameter": _("Something in the request is not to be had here."),
    "not_authenticated": _("Sign in, or send a valid API key as 'Authorization: Bearer …'."),
    "forbidden": _("This is not allowed."),
    "not_found": _("There is nothing here with that id."),
    "method_not_allowed": _("This is not to be done at this address."),
    "idempotency_conflict": _("This idempotency key was used for another request. Use a new one."),
    "prompt_too_long": _("The message is too long. Shorten it."),
    "queue_full": _("Too many prompts wait in this conversation. Send it when one is answered."),
    "not_queued": _("This prompt waits no more: it was started or removed a moment ago."),
    "not_continuable": _("There is nothing to go on from in this answer. Have it answer again."),
    "rate_limited": _("That was too much at once. Wait a moment, and try again."),
    "budget_spent": _("A budget is spent. Wait until it is renewed, or ask an administrator."),
    "attachment_too_large": _("A file is larger than this site takes. Send a smaller one."),
    "unsupported_file": _("A file is neither text nor an image that can be read."),
    "images_not_supported": _("The model takes no images. Choose another, or remove the image."),
    "overloaded": _("The server is busy. Try again in a few seconds."),
    "draining": _("The server is restarting. Try again in a few seconds."),
    "internal_error": _("Something went wrong on the server. It was logged; try again."),
    "invalid_cursor": _("The page and the server disagree. Load the page again."),
    "events_expired": _("The events of this generation have expired. Read its saved message."),
    "log_closed": _("This generation has ended."),
    "fenced": _("Another process writes this generation now."),
    "storage": _("The server cannot store anything now. An administrator must make room."),
    "unknown_model": _("This model is not to be had here any more. Choose another."),
    "unknown_agent": _("This agent is not to be had here any more. Choose another."),
    "upstream_unreachable": _(
        "The model server cannot be reached. Check its address and that it runs."
    ),
    "upstream_timeout": _("The model stopped answering in time."),
    "upstream_reset": _("The connection to the model broke. The text so far is kept."),
    "upstream_truncated": _(
        "The model's answer ended before it was complete. The text so far is kept."
    ),
    "upstream_protocol": _("The model server answered in a form that cannot be read."),
    "upstream_error": _("The model server reported an error."),
    "upstream_rate_limited": _("The model provider is refusing requests for now. Try again later."),
    "upstream_auth": _("The model provider refused the site's key. An administrator must set it."),
    "upstream_model_not_found": _("The model provider does not know this model. Choose another."),
    "context_too_long": _("The conversation is too long for this model. Start a new one."),
    "upstream_rejected": _("The model provider did not accept the request."),
    "too_long": _("The answer grew past the limit of this site. The text so far is kept."),
    "generation_timeout": _(
        "The answer took longer than this site allows. The text so far is kept."
    ),
}


def tell(error: dict[str, Any] | None) -> str:
    """Return an error's message in the reader's language, in English if there is no other."""
    message = str((error or {}).get("message") or "")
    if is_english(get_language()) or not message:
        return message
    translated = gettext(message)
    if translated != message:
        return translated
    return str(MEANINGS.get((error or {}).get("code", ""), message))


def words() -> dict[str, Any]:
    """Return what scripts say in the reader's language, by what they say in English."""
    language = get_language()
    return {} if is_english(language) else _words(str(language))


def is_english(language: str | None) -> bool:
    return (language or "en").split("-")[0] == "en"


@functools.cache
def _words(language: str) -> dict[str, Any]:
    view = JavaScriptCatalog()
    paths = view.get_paths(["chat"])
    view.translation = DjangoTranslation(language, domain="djangojs", localedirs=paths)
    catalog: dict[str, Any] = view.get_catalog()
    with override(language):
        for code, meaning in MEANINGS.items():
            catalog[f"error:{code}"] = str(meaning)
    return catalog
