from io import StringIO
from unittest import mock

from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, TransactionTestCase

from chat.models import (
    ApiKey,
    Conversation,
    Generation,
    Message,
    Persona,
    Preferences,
    Provenance,
    Rating,
    Share,
    StoredEvent,
    Usage,
)
from chat.models.usage import today
from tests.models.test_personas import make
from tests.test_admin import Staff, Status, User, make_turn, people, url

# None is so short that a hash or a token might hold its letters.
WORDS = ("zanzibar", "quixotic", "hypatia", "sunflower")


def found_in_tables():
    """Return the tables that hold a word of hers."""
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor:
                if any(word in str(row).lower() for word in WORDS):
                    found.add(table)
    return found


class EraseUserTests(Staff, TransactionTestCase):
    def setUp(self):
        self.admin, self.owner, self.conversation = people()
        self.owner.username, self.owner.email = "hypatia", "hypatia@example.com"
        self.owner.save()

    def erase(self, *args):
        out = StringIO()
        call_command("erase_user", "hypatia", *args, stdout=out)
        return out.getvalue()

    def fill(self):
        self.conversation.title = "Sunflower"
        self.conversation.save()
        done = make_turn(self.conversation, text="zanzibar", answer="quixotic")
        StoredEvent.objects.create(
            generation=done, cursor=1, kind="delta", data='{"text": "quixotic"}'
        )
        Share.objects.create(
            conversation=self.conversation,
            leaf=done.message,
            title="Sunflower",
            shown_name="Hypatia",
        )
        Rating.objects.create(
            message=done.message, owner=self.owner, value=-1, comment="Not zanzibar."
        )
        Provenance.objects.create(generation=done, system_prompt="Be quixotic.")
        ApiKey.objects.create_key(self.owner, name="sunflower")
        Preferences.objects.create(owner=self.owner)
        persona = make(self.owner, "Sunflower", system_prompt="zanzibar")
        self.conversation.persona_version = persona.newest
        self.conversation.save()
        Usage.objects.create(day=today(), user=self.owner, model="demo", output_tokens=7)
        Client().force_login(self.owner)
        self.sign_in()
        data = {"title": "Sunflower again", "model": "", "agent": ""}
        self.client.post(url(Conversation, "change", self.conversation.pk), data)
        self.client.get(url(Persona, "change", persona.pk))
        make_turn(self.conversation, text="zanzibar", status=Status.QUEUED)

    def test_nothing_is_left_of_a_user_but_sums(self):
        self.fill()
        before = found_in_tables()
        self.assertLessEqual({"chat_message", "chat_rating", "chat_provenance"}, before)
        self.assertIn("django_admin_log", before)
        out = self.erase("--yes")
        self.assertIn("1 answers stopped", out)
        self.assertIn("2 generations", out)
        self.assertIn("hypatia is erased.", out)
        self.assertEqual(found_in_tables(), set())
        self.assertFalse(Message.objects.exists() or Generation.objects.exists())
        self.assertFalse(Rating.objects.exists() or Provenance.objects.exists())
        self.assertEqual(Usage.objects.filter(user=None).get().output_tokens, 7)
        self.assertTrue(LogEntry.objects.filter(user=self.admin, object_repr="–").exists())

    def test_others_keep_what_is_theirs(self):
        mine = Conversation.objects.create(owner=self.admin, title="Looms")
        make_turn(mine, text="weave")
        self.sign_in()
        self.erase("--yes")
        self.assertEqual(Message.objects.count(), 2)
        self.assertEqual(self.client.get(url(Conversation)).status_code, 200)

    def test_it_asks_first(self):
        with mock.patch("builtins.input", return_value="y"), self.assertRaises(CommandError):
            self.erase()
        self.assertTrue(User.objects.filter(username="hypatia", is_active=True).exists())
        with mock.patch("builtins.input", return_value="hypatia"):
            self.erase()
        self.assertFalse(User.objects.filter(username="hypatia").exists())

    def test_who_is_not_there_cannot_be_erased(self):
        with self.assertRaisesMessage(CommandError, "There is no user 'eve'."):
            call_command("erase_user", "eve", "--yes")
