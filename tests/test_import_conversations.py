import json
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import TransactionTestCase

from chat.models import Conversation


@pytest.mark.usefixtures("folder")
class ImportConversationsTests(TransactionTestCase):
    @pytest.fixture
    def folder(self, tmp_path):
        self.file = tmp_path / "conversations.json"

    def setUp(self):
        get_user_model().objects.create_user("ada")

    def run_command(self, content, username="ada"):
        self.file.write_text(content)
        out, err = StringIO(), StringIO()
        call_command("import_conversations", username, str(self.file), stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()

    def test_a_large_file_is_imported_once(self):
        text = "x" * 2_000_000
        message = {"id": "1", "parent": None, "role": "user", "text": text}
        content = json.dumps([{"title": "Large", "messages": [message]}, {"title": "Broken"}])
        out, err = self.run_command(content)
        assert out.startswith("1 imported, 0 there already, 1 failed")
        assert err.startswith("Broken: ")
        assert self.run_command(content)[0].startswith("0 imported, 1 there already")
        assert Conversation.objects.get().messages.get().text == text

    def test_mistakes_are_said(self):
        for content, username, message in (
            ("[]", "eve", "no user 'eve'"),
            ("{", "ada", "no JSON"),
            ("{}", "ada", "no conversations"),
        ):
            with pytest.raises(CommandError, match=message):
                self.run_command(content, username)
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("import_conversations", "ada", str(self.file.parent / "none"))
