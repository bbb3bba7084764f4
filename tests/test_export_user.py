"""`manage.py export_user`: all of a user, whole or not at all, and the same that is erased."""

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tempfile
import zipfile
from io import StringIO
from pathlib import Path
from unittest import mock

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test import TransactionTestCase
from django.utils import timezone

from chat.audit import note
from chat.errors import Overloaded
from chat.models import (
    ApiKey,
    Budget,
    Conversation,
    Generation,
    Persona,
    Preferences,
    Provenance,
    Rating,
    Spending,
    Usage,
)
from chat.models.usage import today
from chat.transfer import whole
from chat.transfer.belongings import BELONGINGS, strange_models, ways_to_user
from tests.generations.test_retention import make_old
from tests.servers import BASE_DIR, DaphneSite, Site


class ListTests(TransactionTestCase):
    def test_every_model_with_a_way_to_the_user_is_named(self):
        self.assertEqual(strange_models(), [], "say in chat/transfer/belongings.py what they are")

    def test_what_is_named_has_the_way_that_is_said(self):
        for each in BELONGINGS:
            ways = ["__".join(key.name for key in way) for way in ways_to_user(each.model)]
            self.assertIn(each.owner, ways, each.label)
            names = {column.name for column in each.model._meta.concrete_fields}
            self.assertLessEqual(set(each.left_out), names, each.label)

    def test_what_does_not_go_with_its_user_says_why(self):
        for each in BELONGINGS:
            ways = ways_to_user(each.model)
            goes = any(all(is_cascade(key) for key in way) for way in ways)
            self.assertNotEqual(goes, bool(each.not_erased), each.label)


def is_cascade(key):
    return key.remote_field.on_delete is models.CASCADE


class ExportUserTests(TransactionTestCase):
    def setUp(self):
        users = get_user_model().objects
        self.ada = users.create_user("ada", "ada@example.com", password="quixotic secret")
        self.root = users.create_superuser("root")
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.file = self.folder / "ada.zip"

    def fill(self):
        """Make at least a row of each model that somebody can have."""
        self.talk = make_old(self.ada, "Looms", pinned_at=timezone.now(), tag_lines="\nwork\n")
        make_old(self.ada, "Gone", deleted_at=timezone.now())
        make_old(self.ada, "Hush", temporary=True)
        make_old(self.root, "Of another")
        generation = Generation.objects.get(conversation=self.talk)
        _, self.key = ApiKey.objects.create_key(self.ada, name="my script")
        Preferences.objects.create(owner=self.ada, language="de")
        Budget.objects.create(name="Hers", scope="user", user=self.ada, amount=5)
        Provenance.objects.create(generation=generation, system_prompt="Be brief.")
        Rating.objects.create(message=generation.message, owner=self.ada, value=Rating.Value.GOOD)
        persona = Persona.objects.create(owner=self.ada, name="Editor")
        version = persona.versions.create(number=1, system_prompt="Be kind.", created_by=self.ada)
        Conversation.objects.filter(pk=self.talk.pk).update(persona_version=version)
        Usage.objects.create(day=today(), user=self.ada, model="demo", output_tokens=7)
        Spending.objects.create(generation=generation, user=self.ada, model="demo")
        self.ada.groups.add(group := Group.objects.create(name="Weavers"))
        persona.groups.add(group)
        note(self.ada, self.talk, "Renamed.")
        note(self.root, self.talk, "Messages viewed.")
        note(self.root, self.ada, "Changed.")
        note(self.root, self.root, "Of another.")

    def export(self, *args):
        said = StringIO()
        call_command("export_user", "ada", "--output", str(self.file), *args, stderr=said)
        return said.getvalue()

    def read(self):
        with zipfile.ZipFile(self.file) as archive:
            self.assertIsNone(archive.testzip())
            return {name: archive.read(name) for name in archive.namelist()}

    def rows(self, files, label):
        return [json.loads(line) for line in files[f"data/{label}.jsonl"].splitlines()]

    def test_all_of_a_user_is_there(self):
        self.fill()
        said = self.export()
        files = self.read()
        manifest = json.loads(files["manifest.json"])
        self.assertEqual(
            {each["path"]: each["sha256"] for each in manifest["files"]},
            {
                name: hashlib.sha256(data).hexdigest()
                for name, data in files.items()
                if name != "manifest.json"
            },
        )
        for each in BELONGINGS:
            if each.not_exported:
                self.assertEqual(manifest["left_out"][each.label], each.not_exported)
                self.assertNotIn(f"data/{each.label}.jsonl", files)
                continue
            kept = self.rows(files, each.label)
            self.assertEqual(len(kept), each.rows_of(self.ada).count(), each.label)
            self.assertEqual(len(kept), manifest["counts"][each.label])
            self.assertGreater(len(kept), 0, f"{each.label}: fill() makes none")
        account = json.loads(files["account.json"])
        self.assertEqual((account["email"], account["groups"]), ("ada@example.com", ["Weavers"]))
        self.assertIn("3 chat.Conversation", said)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(os.listdir(self.folder), ["ada.zip"])

    def test_conversations_are_there_to_import_and_to_read_and_files_as_files(self):
        self.fill()
        self.export()
        files = self.read()
        told = json.loads(files["conversations.json"])["conversations"]
        self.assertEqual({each["title"] for each in told}, {"Looms", "Gone", "Hush"})
        self.assertEqual(told[0]["messages"][0]["text"], "sunflower")
        self.assertIn("# Looms", files[f"conversations/{self.talk.pk}.md"].decode())
        contents = [data for name, data in files.items() if name.startswith("attachments/")]
        self.assertEqual(contents, [b"hello"] * 3)
        bob = get_user_model().objects.create_user("bob")
        (self.folder / "conversations.json").write_bytes(files["conversations.json"])
        call_command(
            "import_conversations",
            "bob",
            str(self.folder / "conversations.json"),
            stdout=StringIO(),
        )
        self.assertEqual(Conversation.objects.filter(owner=bob).count(), 3)

    def test_no_secret_and_nobody_else_is_in_it(self):
        self.fill()
        self.export()
        everything = b"".join(self.read().values())
        row = ApiKey.objects.get()
        secrets = [self.ada.password, self.key, row.digest, "Of another", "root"]
        secrets += self.talk.shares.values_list("token", flat=True)
        for secret in secrets:
            self.assertNotIn(secret.encode(), everything)
        self.assertIn(b"my script", everything)

    def test_what_staff_did_with_what_is_theirs_is_told(self):
        self.fill()
        self.export()
        about = self.rows(self.read(), "notes-about-them")
        self.assertEqual([each["what"] for each in about], ["Changed.", "Messages viewed."])
        mine = self.rows(self.read(), "admin.LogEntry")
        self.assertEqual([each["change_message"] for each in mine], ["Renamed."])

    def test_a_name_of_a_file_stays_in_its_folder(self):
        make_old(self.ada)
        row = apps.get_model("chat.Attachment").objects.get()
        for name in ("../../evil", "/etc/passwd", "..", "C:\\x", "a\nb"):
            row.name = name
            row.save()
            self.export("--force")
            (path,) = (each for each in self.read() if each.startswith("attachments/"))
            self.assertEqual(path.count("/"), 2)
            self.assertNotIn("..", path.split("/"))
            self.assertNotIn("\\", path)

    def test_a_file_that_is_there_is_kept_unless_it_may_go(self):
        self.file.write_text("mine")
        with self.assertRaisesMessage(CommandError, "exists. Name a new file."):
            self.export()
        self.assertEqual(self.file.read_text(), "mine")
        self.export("--force")
        self.assertIn("account.json", self.read())

    def test_an_export_that_fails_leaves_nothing_and_no_broken_file(self):
        self.fill()
        self.file.write_text("mine")
        with (
            mock.patch.object(whole, "_write_notes", side_effect=Overloaded()),
            self.assertRaisesMessage(CommandError, "Nothing was exported"),
        ):
            self.export("--force")
        self.assertEqual(os.listdir(self.folder), ["ada.zip"])
        self.assertEqual(self.file.read_text(), "mine")
        with (
            mock.patch.object(whole, "_write_notes", side_effect=Overloaded()),
            self.assertRaises(Overloaded),
        ):
            async_to_sync(whole.write_whole)(self.ada, cut := io.BytesIO())
        self.assertFalse(
            zipfile.is_zipfile(cut)
        )  # Nor does what has gone through a pipe look whole.

    def test_bad_input_is_refused(self):
        with self.assertRaisesMessage(CommandError, "There is no user 'eve'."):
            call_command("export_user", "eve")
        with self.assertRaisesMessage(CommandError, "is a folder"):
            call_command("export_user", "ada", "--output", str(self.folder))
        nowhere = str(self.folder / "no" / "ada.zip")
        with self.assertRaisesMessage(CommandError, "cannot be written"):
            call_command("export_user", "ada", "--output", nowhere)

    def test_who_has_nothing_gets_the_account(self):
        self.export()
        files = self.read()
        self.assertEqual(json.loads(files["conversations.json"])["conversations"], [])
        self.assertEqual(json.loads(files["account.json"])["username"], "ada")

    def test_what_can_be_taken_out_is_what_is_erased(self):
        self.fill()
        mine = {each.label: list(each.rows_of(self.ada).values_list("pk")) for each in BELONGINGS}
        self.assertTrue(all(mine.values()))
        call_command("erase_user", "ada", "--yes", stdout=StringIO())
        for each in BELONGINGS:
            left = each.model._default_manager.filter(pk__in=[pk for (pk,) in mine[each.label]])
            self.assertEqual(left.exists(), bool(each.not_erased), each.label)
        self.assertEqual(Usage.objects.get().user, None)
        self.assertEqual(LogEntry.objects.filter(user=self.root).count(), 3)
        self.assertEqual(Conversation.objects.get().title, "Of another")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it has a database of its own")
def test_it_goes_through_a_pipe():
    with DaphneSite() as site:
        make = "from django.contrib.auth import get_user_model as g; g().objects.create_user('ada')"
        site.run(make)
        data = piped(site)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("account.json"))["username"] == "ada"


def piped(site: Site) -> bytes:
    command = [sys.executable, "manage.py", "export_user", "ada", "--output", "-"]
    done = subprocess.run(command, cwd=BASE_DIR, env=site.env, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
