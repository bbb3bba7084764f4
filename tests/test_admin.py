from datetime import timedelta
from unittest import mock

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chat.models import ApiKey, Conversation, Generation, Message

User = get_user_model()
HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&'
Status = Generation.Status
Role = Message.Role


def url(model, page="changelist", *args):
    return reverse(f"admin:chat_{model.__name__.lower()}_{page}", args=args)


def make_turn(conversation, *, text="Hello", answer="Hi", status=Status.DONE, **fields):
    prompt = Message.objects.create(conversation=conversation, role=Role.USER, text=text)
    message = Message.objects.create(
        conversation=conversation, parent=prompt, role=Role.ASSISTANT, text=answer
    )
    return Generation.objects.create(
        owner=conversation.owner,
        conversation=conversation,
        message=message,
        status=status,
        model=fields.pop("model", "demo"),
        **fields,
    )


class Staff:
    """What the tests of the admin do. Needs ``admin``, ``owner`` and ``conversation``."""

    def sign_in(self):
        self.client.force_login(self.admin)

    def act(self, model, action, *rows):
        data = {"action": action, "_selected_action": [row.pk for row in rows]}
        return self.client.post(url(model), data, follow=True)

    def login_staff(self, *codenames):
        staff = User.objects.create_user("staff", is_staff=True)
        staff.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        assert staff.user_permissions.count() == len(codenames)
        self.client.force_login(staff)


def people():
    admin = User.objects.create_superuser("root", "root@example.com")
    owner = User.objects.create_user("ada", "ada@example.com")
    return admin, owner, Conversation.objects.create(owner=owner, title="Engines")


class AdminCase(Staff, TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.admin, cls.owner, cls.conversation = people()

    def setUp(self):
        self.sign_in()


class ListTests(AdminCase):
    def queries_of(self, model):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            self.assertEqual(self.client.get(url(model)).status_code, 200)
        return len(queries)

    def grow(self, count):
        for number in range(count):
            user = User.objects.create_user(f"user{User.objects.count()}")
            conversation = Conversation.objects.create(owner=user, title=f"Talk {number}")
            make_turn(
                conversation,
                started_at=timezone.now(),
                usage={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
            )
            ApiKey.objects.create_key(user)

    def test_no_list_has_a_query_per_row(self):
        models = (Conversation, Message, Generation, ApiKey)
        self.grow(5)
        few = [self.queries_of(model) for model in models]
        self.grow(45)
        self.assertEqual([self.queries_of(model) for model in models], few)
        # Message rows are two a turn: one page is full.
        self.assertContains(self.client.get(url(Generation)), "1 / 2", 50)

    def test_message_list_does_not_load_whole_texts(self):
        make_turn(self.conversation, answer="x" * 5000)
        answer = self.client.get(url(Message))
        self.assertContains(answer, "x" * 200)
        self.assertNotContains(answer, "x" * 201)

    def test_search_finds_titles_owners_and_texts(self):
        make_turn(self.conversation, text="difference engine")
        other = Conversation.objects.create(owner=self.admin, title="Looms")
        for model, term in [
            *((Conversation, term) for term in ("Engin", "ada")),
            *((Message, term) for term in ("difference", "Engin", "ada")),
            *((Generation, term) for term in ("demo", "Engin", "ada")),
        ]:
            found = self.client.get(url(model), {"q": term})
            self.assertContains(found, "Engines")
            self.assertNotContains(found, other.title)
            self.assertNotContains(self.client.get(url(model), {"q": "nothing"}), "Engines")

    def test_search_follows_a_user_model_with_another_name_field(self):
        with mock.patch.object(User, "USERNAME_FIELD", "email"):
            for model in (Conversation, Message, Generation, ApiKey):
                self.assertEqual(self.client.get(url(model), {"q": "ada@"}).status_code, 200)
            self.assertContains(self.client.get(url(Conversation), {"q": "ada@"}), "Engines")

    def test_filters(self):
        make_turn(self.conversation, model="one", status=Status.FAILED)
        other = Conversation.objects.create(owner=self.owner, title="Looms")
        make_turn(other, model="two")
        found = self.client.get(url(Generation), {"status__exact": "failed"})
        self.assertContains(found, "Engines")
        self.assertNotContains(found, "Looms")
        found = self.client.get(url(Generation), {"model": "two"})
        self.assertContains(found, "Looms")
        self.assertNotContains(found, "Engines")
        tomorrow = (timezone.now() + timedelta(days=1)).isoformat()
        found = self.client.get(url(Message), {"created_at__gte": tomorrow})
        self.assertNotContains(found, "Looms")

    def test_counts_messages_and_shows_what_runs(self):
        make_turn(self.conversation, status=Status.RUNNING)
        Conversation.objects.create(owner=self.owner, title="Quiet")
        busy, quiet = self.client.get(url(Conversation), {"o": "-4"}).context["cl"].result_list
        self.assertEqual((busy.message_count, busy.running), (2, True))
        self.assertEqual((quiet.message_count, quiet.running), (0, False))

    def test_generation_list_measures(self):
        begin = timezone.now() - timedelta(hours=3)
        make_turn(
            self.conversation,
            status=Status.FAILED,
            created_at=begin,
            started_at=begin,
            first_delta_at=begin + timedelta(seconds=2),
            ended_at=begin + timedelta(seconds=12),
            usage={"input_tokens": 7, "output_tokens": 425, "total_tokens": 432},
            error={"code": "upstream_reset", "message": "It broke.", "retryable": True},
        )
        page = self.client.get(url(Generation))
        self.assertContains(page, ">3\xa0hours</a>")
        for cell in ("12.0 s", "2.0 s", "7 / 425", "42.5", "upstream_reset"):
            self.assertContains(page, f">{cell}</td>")
        self.assertContains(page, url(Conversation, "change", self.conversation.pk))

    def test_generation_list_shows_what_has_no_measures_yet(self):
        make_turn(self.conversation, status=Status.QUEUED)
        begin = timezone.now() - timedelta(seconds=30)
        make_turn(self.conversation, status=Status.RUNNING, started_at=begin)
        make_turn(self.conversation, usage={"strange": True}, error="text")
        page = self.client.get(url(Generation))
        self.assertContains(page, "30.")


class HistoryTests(AdminCase):
    def test_messages_and_generations_are_neither_added_nor_edited(self):
        generation = make_turn(self.conversation)
        for row in (generation, generation.message):
            model = type(row)
            self.assertEqual(self.client.get(url(model, "add")).status_code, 403)
            page = self.client.get(url(model, "change", row.pk))
            self.assertNotContains(page, 'name="_save"')
            posted = self.client.post(url(model, "change", row.pk), {"text": "x", "model": "x"})
            self.assertEqual(posted.status_code, 403)

    def test_text_is_shown_whole_and_as_written(self):
        text = "one\n  two\n" + "x" * 5000
        generation = make_turn(self.conversation, answer=text)
        page = self.client.get(url(Message, "change", generation.message_id))
        self.assertContains(page, url(Generation, "change", generation.pk))
        self.assertContains(page, url(Message, "change", generation.message.parent_id))
        self.assertContains(page, f'<div class="chat-text" dir="auto">{text}</div>')

    def test_a_generation_leads_to_the_one_that_it_goes_on_from(self):
        cut = make_turn(self.conversation, status=Status.STOPPED)
        address = url(Generation, "change", cut.pk)
        generation = make_turn(self.conversation, continues=cut)
        page = self.client.get(url(Generation, "change", generation.pk))
        self.assertContains(page, f'<a href="{address}">An answer that broke off</a>')
        self.assertNotContains(self.client.get(address), "An answer that broke off")

    def test_conversation_shows_a_bounded_transcript(self):
        for number in range(51):
            make_turn(self.conversation, text=f"question {number}.", answer="y" * 3000)
        with CaptureQueriesContext(connection) as queries:
            page = self.client.get(url(Conversation, "change", self.conversation.pk))
        self.assertLess(len(queries), 15)
        self.assertNotContains(page, "question 0.")
        self.assertContains(page, "question 1.")
        self.assertContains(page, "question 50.")
        self.assertLess(page.content.index(b"question 1."), page.content.index(b"question 50."))
        self.assertContains(page, "y" * 2000)
        self.assertNotContains(page, "y" * 2001)
        self.assertContains(page, "Show the whole text", 50)
        more = f"{url(Message)}?conversation__id__exact={self.conversation.pk}"
        self.assertContains(page, more)
        self.assertContains(self.client.get(more), "102 messages")

    def test_transcript_takes_the_right_to_see_messages(self):
        make_turn(self.conversation, text="a secret")
        self.login_staff("view_conversation")
        page = self.client.get(url(Conversation, "change", self.conversation.pk))
        self.assertContains(page, "Engines")
        self.assertNotContains(page, "a secret")
        self.assertEqual(self.client.get(url(Message)).status_code, 403)

    def test_conversation_keeps_its_owner(self):
        page = url(Conversation, "change", self.conversation.pk)
        self.client.post(page, {"title": "Looms", "owner": self.admin.pk, "model": "", "agent": ""})
        self.conversation.refresh_from_db()
        self.assertEqual((self.conversation.title, self.conversation.owner), ("Looms", self.owner))

    def test_conversation_can_be_added(self):
        data = {"title": "New", "owner": self.owner.pk, "model": "", "agent": ""}
        self.client.post(url(Conversation, "add"), data)
        self.assertTrue(Conversation.objects.filter(title="New", owner=self.owner).exists())

    def test_deletion_takes_permission(self):
        generation = make_turn(self.conversation)
        message = generation.message
        self.login_staff("view_message", "view_generation")
        page = url(Message, "delete", message.pk)
        self.assertEqual(self.client.post(page, {"post": "yes"}).status_code, 403)
        self.client.force_login(self.admin)
        self.assertEqual(self.client.post(page, {"post": "yes"}).status_code, 302)
        self.assertFalse(Message.objects.filter(pk=message.pk).exists())

    def test_what_is_being_answered_can_be_deleted(self):
        for status in (Status.RUNNING, Status.QUEUED):
            for name in ("generation", "message", "conversation"):
                generation = make_turn(self.conversation, status=status)
                row = {"generation": generation}.get(name) or getattr(generation, name)
                page = url(type(row), "delete", row.pk)
                self.assertEqual(self.client.post(page, {"post": "yes"}).status_code, 302)
                self.assertFalse(Generation.objects.filter(pk=generation.pk).exists())
                if name == "conversation":
                    self.conversation.save()

    def test_strangers_and_plain_users_are_sent_away(self):
        for user in (None, self.owner):
            self.client.logout()
            if user:
                self.client.force_login(user)
            for model in (Conversation, Message, Generation, ApiKey):
                self.assertEqual(self.client.get(url(model)).status_code, 302)

    def test_staff_without_permission_see_nothing(self):
        self.login_staff()
        for model in (Conversation, Message, Generation, ApiKey):
            self.assertEqual(self.client.get(url(model)).status_code, 403)


class EscapingTests(AdminCase):
    def test_hostile_texts_are_escaped_everywhere(self):
        owner = User.objects.create_user(HOSTILE)
        conversation = Conversation.objects.create(owner=owner, title=HOSTILE, model=HOSTILE)
        generation = make_turn(
            conversation,
            text=HOSTILE,
            answer=HOSTILE,
            model=HOSTILE,
            status=Status.FAILED,
            error={"code": HOSTILE, "message": HOSTILE},
            usage={HOSTILE: 1},
        )
        Message.objects.update(reasoning=HOSTILE)
        key, _ = ApiKey.objects.create_key(owner, name=HOSTILE)
        for row in (conversation, generation.message, generation, key):
            model = type(row)
            pages = [url(model), *(url(model, p, row.pk) for p in ("change", "delete", "history"))]
            for page in pages:
                answer = self.client.get(page)
                self.assertContains(answer, "&lt;script&gt;", msg_prefix=page)
                self.assertNotContains(answer, "<script>alert", msg_prefix=page)
                self.assertNotContains(answer, "<img src=x", msg_prefix=page)
            self.assertNotContains(self.act(model, "delete_selected", row), "<script>alert")
        self.assertContains(self.act(ApiKey, "revoke_selected", key), "1 API key was revoked.")
        self.assertNotContains(self.client.get(reverse("admin:index")), "<script>alert")

    def test_pages_have_the_policy_and_nothing_that_it_forbids(self):
        generation = make_turn(self.conversation)
        for row in (self.conversation, generation, generation.message):
            for page in (url(type(row)), url(type(row), "change", row.pk)):
                answer = self.client.get(page)
                policy = answer.headers["Content-Security-Policy"]
                self.assertIn("script-src 'self'", policy)
                self.assertNotIn("unsafe", policy)
                for forbidden in (" style=", "<style", " onclick=", "javascript:"):
                    self.assertNotContains(answer, forbidden)
