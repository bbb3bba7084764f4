"""
A site that has been used for long.

``python -m bench.grown CHATS MESSAGES`` migrates the database that the
environment names and fills it: with so many chats of one user, each a question
and its answer, and for another user one chat of so many messages. It prints
lines ``key: …``: the first user's API key, both users' sign-ins, and the one chat.
"""

import io
import os
import sys
from datetime import timedelta
from typing import Any

import django

AT_ONCE = 1000
EVERYWHERE = "harbour"  # A word of every chat.
SOMEWHERE = "lighthouse"  # A word of 50 chats, however many there are.
PLACES = 50
ANSWER = (
    "The **tide** follows the moon:\n\n- it rises twice a day,\n- and falls as often.\n\n"
    "Its height depends on the shape of the coast, and on how far away the moon is."
)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    chats, messages = map(int, sys.argv[1:])
    users = get_user_model().objects
    collector = users.create_user(username="collector", password=None)
    talker = users.create_user(username="talker", password=None)
    add_chats(collector, chats)
    output = io.StringIO()
    call_command("create_api_key", "collector", stdout=output)
    print("key:", output.getvalue().split()[-1])
    print("key:", sign_in(collector))
    print("key:", sign_in(talker))
    print("key:", add_long_chat(talker, messages))


def sign_in(user: Any) -> str:
    """Return the cookie of somebody who is signed in."""
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def add_chats(owner: Any, count: int) -> None:
    """Add chats, the first one the newest, a minute apart."""
    from django.utils import timezone

    from chat.models import Conversation

    now, step = timezone.now(), max(1, count // PLACES)
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        rows = [
            Conversation(
                owner=owner, title=f"Chat {number}", updated_at=now - timedelta(minutes=number)
            )
            for number in numbers
        ]
        Conversation.objects.bulk_create(rows)
        asked = [
            f"What is it like at the {EVERYWHERE}{f' by the {SOMEWHERE}' * (number % step == 0)}?"
            for number in numbers
        ]
        add_turns([(row, None, text) for row, text in zip(rows, asked, strict=True)])


def add_long_chat(owner: Any, messages: int) -> str:
    """Add a chat of so many messages, one below the other, and return its id."""
    from chat.models import Conversation

    row = Conversation.objects.create(owner=owner, title="A long one")
    last = None
    for _ in range(messages // (2 * AT_ONCE) + 1):
        turns = min(AT_ONCE, messages // 2)
        messages -= 2 * turns
        last = add_turns([(row, last, f"Question {n}") for n in range(turns)], chained=True)
    return str(row.pk)


def add_turns(asked: list[tuple[Any, Any, str]], *, chained: bool = False) -> Any:
    """
    Add prompts, each with its conversation and parent, and an answer below each.

    With ``chained`` each prompt but the first hangs below the answer before it.
    Return the last answer.
    """
    from django.utils import timezone

    from chat.models import Generation, Message

    now = timezone.now()
    messages: list[Message] = []
    for row, above, text in asked:
        parent = messages[-1] if chained and messages else above
        prompt = Message(conversation=row, parent=parent, role="user", text=text)
        answer = Message(conversation=row, parent=prompt, role="assistant", text=ANSWER)
        messages += [prompt, answer]
    Message.objects.bulk_create(messages)
    Generation.objects.bulk_create(
        Generation(
            owner=answer.conversation.owner, conversation=answer.conversation, message=answer,
            status="done", model="bench", started_at=now, ended_at=now, cursor=3,
        )
        for answer in messages[1::2]
    )  # fmt: skip
    return messages[-1] if messages else None


if __name__ == "__main__":
    main()
