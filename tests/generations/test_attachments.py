from datetime import timedelta

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat.errors import AttachmentTooLarge
from chat.generations import attachments, turns
from chat.models import Attachment
from chat.uploads import Upload
from tests.generations.test_accept import AcceptTestCase


class AttachmentTests(AcceptTestCase):
    def keep(self, text="a note", name="a.txt", user=None):
        upload = Upload(name=name, kind="text", media_type="text/plain", content=text.encode())
        return attachments._keep(user or self.user, upload)

    def test_what_nobody_has_sent_for_a_day_is_deleted(self):
        sent, old, new = self.keep(), self.keep(), self.keep()
        self.ask(attachments=[sent.pk])
        long_ago = timezone.now() - timedelta(hours=25)
        Attachment.objects.filter(pk__in=[sent.pk, old.pk]).update(created_at=long_ago)
        assert attachments.prune_unsent() == 1
        assert set(Attachment.objects.all()) == {sent, new}

    def test_what_is_not_sent_yet_has_a_limit_for_each_user(self):
        with override_settings(CHAT={"MAX_UNSENT_BYTES": 10}):
            first = self.keep("123456")
            with pytest.raises(AttachmentTooLarge):
                self.keep("123456")
            self.keep("123456", user=self.other)
            self.ask(attachments=[first.pk])
            self.keep("123456")

    def test_files_of_earlier_prompts_that_do_not_fit_are_named(self):
        file = self.keep("x" * 5000)
        first = self.ask(attachments=[file.pk])
        self.end(first)
        with override_settings(CHAT={"CONTEXT_TOKENS": 500}):
            second = self.ask(conversation_id=first.prompt.conversation_id)
            run = turns.load_run(second.generation)
        assert run.history[0] == ("user", "[a.txt: text, not shown]\n\nhello")
        run = turns.load_run(second.generation)
        assert len(run.history[0][1]) > 5000

    def test_a_prompt_without_files_asks_nothing_about_files(self):
        with CaptureQueriesContext(connection) as asked:
            self.end(self.ask())
        assert not [each for each in asked.captured_queries if "chat_attachment" in each["sql"]]
