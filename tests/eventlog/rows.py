"""The rows that an event log in the database belongs to."""

from uuid import uuid4

from django.contrib.auth import get_user_model

from chat.database import in_transaction
from chat.models import Conversation, Generation, Message


def make_generation(*, epoch=0):
    """Save and return a running generation."""
    owner, _ = get_user_model().objects.get_or_create(username="writer")
    conversation = Conversation.objects.create(owner=owner, title="t")
    prompt = Message.objects.create(conversation=conversation, role="user", text="hi")
    answer = Message.objects.create(conversation=conversation, role="assistant", parent=prompt)
    return Generation.objects.create(
        owner=owner,
        conversation=conversation,
        message=answer,
        status=Generation.Status.RUNNING,
        model="demo",
        idempotency_key=str(uuid4()),
        worker=uuid4(),
        epoch=epoch,
    )


async def running_generation(*, epoch=0):
    return await in_transaction(make_generation, epoch=epoch)
