"""What tests of whole conversations share: two people with keys, and conversations of theirs."""

import json
from datetime import timedelta
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.test import TransactionTestCase
from django.utils import timezone

from chat.bus import bus
from chat.database import close_database_threads
from chat.models import ApiKey, Conversation, Generation

API = "/api/v1"


class KeptTestCase(TransactionTestCase):
    @classmethod
    def tearDownClass(cls):
        close_database_threads()
        super().tearDownClass()

    def setUp(self):
        users = get_user_model().objects
        self.ada, self.bob = users.create_user("ada"), users.create_user("bob")
        self.keys = {user.pk: ApiKey.objects.create_key(user)[1] for user in (self.ada, self.bob)}
        self.news: list[dict] = []
        bus().subscribe("news", lambda message: self.news.append(message["frame"]))

    def add(self, title="Tea", *turns, owner=None, days=0, **fields):
        """Add a conversation; each turn is a prompt and its answer, one below the other."""
        when = timezone.now() - timedelta(days=days)
        conversation = Conversation.objects.create(
            owner=owner or self.ada, title=title, updated_at=when, **fields
        )
        parent = None
        for prompt, answer in turns:
            parent = self.add_turn(conversation, prompt, answer, parent=parent)
        return conversation

    def add_turn(self, conversation, prompt, answer, *, parent=None, status="done", **fields):
        asked = conversation.messages.create(role="user", text=prompt, parent=parent)
        return self.add_answer(conversation, asked, answer, status=status, **fields)

    def add_answer(self, conversation, prompt, answer, *, status="done", **fields):
        message = conversation.messages.create(role="assistant", text=answer, parent=prompt)
        ended = {"ended_at": timezone.now()} if status not in ("running", "queued") else {}
        Generation.objects.create(
            **{"owner": conversation.owner, "conversation": conversation, "message": message,
               "status": status, "model": "demo", "cursor": 3} | ended | fields
        )  # fmt: skip
        return message

    def call(self, method, path, body=None, *, user=None, status=200, **query):
        headers = {"Authorization": f"Bearer {self.keys[(user or self.ada).pk]}"}
        address = path if path.startswith(API) else f"{API}{path}"
        answer = self.client.generic(
            method,
            address,
            json.dumps(body) if body is not None else "",
            "application/json",
            query_params=query or None,
            headers=headers,
        )
        assert answer.status_code == status, answer.content
        if answer.streaming or not answer.content:
            return answer
        return answer.json()

    def list(self, **query):
        return [item["title"] for item in self.call("GET", "/conversations/", **query)["items"]]

    def export(self, path, **query):
        """Return the text of a file that is written while it is sent."""
        return read(self.call("GET", path, **query))


def read(response):
    async def pieces():
        return [piece async for piece in response.streaming_content]

    return b"".join(async_to_sync(pieces)()).decode()


def path_of(conversation, rest=""):
    pk = conversation if isinstance(conversation, str | UUID) else conversation.pk
    return f"/conversations/{pk}/{rest}"
