"""What was said in a conversation before it was opened here."""

from collections.abc import Sequence

from chat.terminal.answers import Answer, Thread
from chat.terminal.api import Message
from chat.terminal.client import Client

LOOKED_UP = 10  # Answers without text, the newest, of which the site is asked why.


def branch_of(messages: Sequence[Message]) -> list[Message]:
    """Return the way from the root to the newest message."""
    by_id = {message["id"]: message for message in messages}
    found: list[Message] = []
    message = messages[-1] if messages else None
    while message is not None:
        found.append(message)
        message = by_id.get(message["parent"] or "")
    return found[::-1]


async def load(client: Client, thread: Thread) -> list[str | Answer]:
    """
    Return prompts and answers, oldest first; those being written are followed from now on.

    Raise as Api.
    """
    conversation = thread.id or ""
    branch = branch_of(await client.api.messages(conversation))
    running = client.running.get(conversation, {})
    found: list[str | Answer] = []
    for message in branch:
        generation = message["generation"] or ""
        if message["role"] == "user":
            found.append(message["text"])
        elif generation in client.answers or generation in running:
            found.append(client.follow(generation, message["id"], thread))
        elif message["role"] == "assistant":
            answer = Answer(thread, generation=generation, message=message["id"])
            answer.settle(status="done", text=message["text"], error=None)
            found.append(answer)
    await _look_up_ends(client, found)
    return found


async def _look_up_ends(client: Client, found: Sequence[str | Answer]) -> None:
    """Find out how the newest answer ended, and those without text."""
    answers = [each for each in found if isinstance(each, Answer) and each.generation]
    unclear = [each for each in answers if not each.text or each is answers[-1]]
    for answer in unclear[-LOOKED_UP:]:
        if answer.generation in client.answers:
            continue
        row = await client.api.generation(answer.generation)
        if row["status"] in {"queued", "running"}:
            answer.forget()
            client.take_up(answer)
        else:
            answer.settle(status=row["status"], text=answer.text, error=row["error"])
