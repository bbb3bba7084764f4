"""The pages as the server renders them, read and used without JavaScript."""

import re
from datetime import timedelta
from unittest import mock
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model
from django.test import TestCase
from django.urls import reverse
from django.utils import timezone

from chat.errors import QueueFull
from chat.generations import Accepted
from chat.models import ApiKey, Conversation, Generation, Message
from chat.templatetags.chat_page import duration
from chat.views import branches, pages

User = get_user_model()


class PageTestCase(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.ada = User.objects.create_user("ada", password="x")
        cls.bob = User.objects.create_user("bob", password="x")

    def setUp(self) -> None:
        self.client.force_login(self.ada)

    def add_conversation(self, owner=None, **fields) -> Conversation:
        return Conversation.objects.create(owner=owner or self.ada, **fields)

    def add_turn(self, conversation, *, text="Q", answer="A", status="done", parent=None, **fields):
        prompt = conversation.messages.create(role="user", text=text, parent=parent)
        message = conversation.messages.create(role="assistant", text=answer, parent=prompt)
        Generation.objects.create(
            owner=conversation.owner,
            conversation=conversation,
            message=message,
            status=status,
            model="demo",
            **fields,
        )
        return message

    def page(self, conversation, **query) -> str:
        response = self.client.get(reverse("chat:conversation", args=[conversation.pk]), query)
        assert response.status_code == 200
        return response.content.decode()


class ConversationPageTests(PageTestCase):
    def test_history_is_in_the_page(self) -> None:
        conversation = self.add_conversation(title="Tea")
        self.add_turn(conversation, text="<b>Why</b>?", answer="**Because**")
        html = self.page(conversation)
        assert "&lt;b&gt;Why&lt;/b&gt;?" in html
        assert "<strong>Because</strong>" in html
        assert "<title>Tea</title>" in html

    def test_the_newest_branch_is_shown(self) -> None:
        conversation = self.add_conversation()
        first = self.add_turn(conversation, text="One", answer="old answer")
        self.add_turn(conversation, text="Two", answer="below the old answer", parent=first)
        newer = conversation.messages.create(
            role="assistant", text="new answer", parent=first.parent
        )
        html = self.page(conversation)
        assert "new answer" in html
        assert "old answer" not in html
        assert f'id="m-{newer.pk}"' in html

    def test_a_long_conversation_is_shown_by_its_end(self) -> None:
        conversation = self.add_conversation()
        parent = None
        with mock.patch.object(branches, "WINDOW", 4):
            for number in range(4):
                parent = self.add_turn(conversation, text=f"prompt {number}", parent=parent)
            html = self.page(conversation)
            assert "prompt 2" in html
            assert "prompt 1<" not in html
            assert "?windows=2" in html
            html = self.page(conversation, windows="2")
            assert "prompt 0" in html
            assert "?windows=3" not in html

    def test_the_number_of_queries_does_not_grow_with_the_messages(self) -> None:
        conversation = self.add_conversation()
        parent = self.add_turn(conversation)
        address = reverse("chat:conversation", args=[conversation.pk])
        self.client.get(address)
        with self.assertNumQueries(9):
            self.client.get(address)
        for _ in range(10):
            parent = self.add_turn(conversation, parent=parent)
        with self.assertNumQueries(9):
            self.client.get(address)

    def test_a_running_answer_says_how_to_follow_it(self) -> None:
        conversation = self.add_conversation()
        message = self.add_turn(conversation, status="running", answer="so far")
        html = self.page(conversation)
        assert f'data-generation="{message.generation.pk}"' in html
        assert "so far" in html
        assert 'http-equiv="refresh"' in html

    def test_an_error_is_on_its_message(self) -> None:
        conversation = self.add_conversation()
        error = {"code": "upstream_auth", "message": "The key <x> was refused.", "retryable": False}
        self.add_turn(conversation, status="failed", answer="", error=error)
        html = self.page(conversation)
        assert "The key &lt;x&gt; was refused." in html
        assert "Retry" in html

    def test_a_finished_answer_says_its_model_and_time(self) -> None:
        conversation = self.add_conversation()
        now = timezone.now()
        self.add_turn(
            conversation,
            started_at=now - timedelta(seconds=3),
            ended_at=now,
            usage={"completion_tokens": 12},
        )
        html = self.page(conversation)
        assert "3.0 s" in html
        assert "12 tokens" in html

    def test_nothing_inline_is_left_for_the_policy_to_refuse(self) -> None:
        conversation = self.add_conversation()
        self.add_turn(conversation, answer="|a|\n|:-:|\n|1|\n\n```python\nx = 1\n```")
        html = self.page(conversation)
        assert "style=" not in html
        assert "<style" not in html
        assert not re.search(r"\son\w+=", html)
        scripts = re.findall(r"<script([^>]*)>", html)
        assert all("src=" in s or "application/json" in s for s in scripts)

    def test_a_strangers_conversation_is_like_none(self) -> None:
        conversation = self.add_conversation(owner=self.bob)
        message = self.add_turn(conversation)
        for address in (
            reverse("chat:conversation", args=[conversation.pk]),
            reverse("chat:conversation", args=[uuid4()]),
            reverse("chat:message", args=[message.pk]),
            reverse("chat:message", args=[uuid4()]),
        ):
            assert self.client.get(address).status_code == 404
        address = reverse("chat:conversation", args=[conversation.pk])
        assert self.client.post(address, {"text": "x"}).status_code == 404

    def test_pages_lead_to_signing_in(self) -> None:
        conversation = self.add_conversation()
        self.client.logout()
        for name, args in (("home", []), ("conversation", [conversation.pk]), ("account", [])):
            response = self.client.get(reverse(f"chat:{name}", args=args))
            assert response.status_code == 302
            assert response["Location"].startswith(reverse("login"))


class MessageTests(PageTestCase):
    def test_a_message_comes_as_the_page_shows_it(self) -> None:
        message = self.add_turn(self.add_conversation(), answer="*yes*")
        html = self.client.get(reverse("chat:message", args=[message.pk])).content.decode()
        assert "<em>yes</em>" in html
        assert html.strip().startswith("<article")
        assert "<html" not in html

    def test_a_message_comes_as_it_was_written(self) -> None:
        message = self.add_turn(self.add_conversation(), answer="*yes* <script>")
        response = self.client.get(reverse("chat:message", args=[message.pk]), {"as": "text"})
        assert response.content == b"*yes* <script>"
        assert response["Content-Type"].startswith("text/plain")
        assert response["X-Content-Type-Options"] == "nosniff"


class SidebarTests(PageTestCase):
    def test_conversations_are_grouped_by_date(self) -> None:
        now = timezone.now()
        for title, days in (("now", 0), ("week", 4), ("month", 20)):
            self.add_conversation(title=title, updated_at=now - timedelta(days=days))
        self.add_conversation(owner=self.bob, title="not mine")
        html = self.client.get(reverse("chat:home")).content.decode()
        order = [html.index(f">{text}<") for text in (
            "Today", "now", "Previous 7 days", "week", "Previous 30 days", "month",
        )]  # fmt: skip
        assert order == sorted(order)
        assert "not mine" not in html

    def test_a_running_conversation_is_marked(self) -> None:
        self.add_turn(self.add_conversation(), status="running")
        self.assertContains(self.client.get(reverse("chat:home")), 'class="conversation running"')

    def test_titles_are_searched(self) -> None:
        self.add_conversation(title="Green tea")
        self.add_conversation(title="Coffee")
        html = self.client.get(reverse("chat:home"), {"q": "TEA"}).content.decode()
        assert "Green tea" in html
        assert "Coffee" not in html


class SendTests(PageTestCase):
    def post(self, address: str, outcome, **fields):
        with mock.patch.object(pages, "start_generation", side_effect=outcome) as start:
            response = self.client.post(address, {"text": "Hello", "key": "k", **fields})
        return response, start

    def test_a_posted_prompt_starts_and_leads_to_its_conversation(self) -> None:
        message = self.add_turn(self.add_conversation(), status="running")
        generation = message.generation
        accepted = Accepted(generation=generation, prompt=message.parent, position=0)
        response, start = self.post(reverse("chat:home"), [accepted], text="a\r\nb", model="demo")
        address = reverse("chat:conversation", args=[generation.conversation_id])
        assert response["Location"] == f"{address}#m-{message.pk}"
        assert start.call_args.args == (self.ada,)
        assert start.call_args.kwargs == {
            "text": "a\nb", "key": "k", "conversation_id": None, "model": "demo",
            "temporary": False,
        }  # fmt: skip

    def test_a_refused_prompt_is_not_lost(self) -> None:
        conversation = self.add_conversation()
        address = reverse("chat:conversation", args=[conversation.pk])
        response, _ = self.post(address, QueueFull(), text="A long thought")
        assert response.status_code == 429
        self.assertContains(response, "A long thought</textarea>", status_code=429)
        self.assertContains(response, "Too many prompts wait", status_code=429)

    def test_each_form_has_a_key_of_its_own(self) -> None:
        keys = {
            re.search(r'name="key" value="(\w+)"', self.client.get("/").content.decode())[1]
            for _ in range(2)
        }
        assert len(keys) == 2


class AccountTests(PageTestCase):
    address = "/account/"

    def test_a_key_is_shown_once_and_works(self) -> None:
        response = self.client.post(self.address, {"name": "laptop", "days": "30"})
        key = re.search(r"sk-\w+-[\w-]+", response.content.decode())[0]
        row = ApiKey.objects.find(key)
        assert row is not None
        assert row.owner == self.ada
        assert row.name == "laptop"
        assert timedelta(days=29) < row.expires_at - timezone.now() <= timedelta(days=30)
        assert "no-store" in response["Cache-Control"]
        again = self.client.get(self.address).content.decode()
        assert key not in again
        assert row.prefix in again

    def test_a_revoked_key_is_over(self) -> None:
        row, key = ApiKey.objects.create_key(self.ada)
        response = self.client.post(reverse("chat:revoke_key", args=[row.pk]), follow=True)
        assert ApiKey.objects.find(key) is None
        assert f"sk-{row.prefix}-…</code>" not in response.content.decode()

    def test_a_strangers_key_is_out_of_reach(self) -> None:
        row, key = ApiKey.objects.create_key(self.bob)
        assert self.client.post(reverse("chat:revoke_key", args=[row.pk])).status_code == 404
        assert ApiKey.objects.find(key) is not None
        assert row.prefix not in self.client.get(self.address).content.decode()

    def test_a_key_is_never_revoked_by_a_link(self) -> None:
        row, _ = ApiKey.objects.create_key(self.ada)
        assert self.client.get(reverse("chat:revoke_key", args=[row.pk])).status_code == 405


class SignInTests(TestCase):
    def test_signing_in_and_out(self) -> None:
        User.objects.create_user("ada", password="pass phrase")
        page = self.client.get(reverse("login"))
        self.assertContains(page, "Sign in")
        self.client.post(reverse("login"), {"username": "ada", "password": "pass phrase"})
        assert self.client.get("/").status_code == 200
        assert self.client.get(reverse("logout")).status_code == 405
        self.client.post(reverse("logout"))
        assert self.client.get("/").status_code == 302

    def test_a_wrong_password_is_said(self) -> None:
        page = self.client.post(reverse("login"), {"username": "ada", "password": "wrong"})
        self.assertContains(page, 'role="alert"')


def test_durations_read_well() -> None:
    assert [duration(s) for s in (0, 3.21, 9.96, 59.4, 61)] == [
        "0.0 s", "3.2 s", "10 s", "59 s", "1 min 1 s",
    ]  # fmt: skip


def test_ids_sort_by_creation() -> None:
    """The newest branch is found by the greatest id."""
    ids = [Message().pk for _ in range(1000)]
    assert ids == sorted(ids)
    assert all(isinstance(pk, UUID) for pk in ids)
