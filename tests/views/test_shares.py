"""S15: a link shows one branch as it was, to whoever has it, until it is revoked; and no more."""

import re
from datetime import timedelta
from unittest import mock

from django.utils import timezone

from chat.models import Conversation, Generation, Share
from chat.views import branches
from tests.views.kept import KeptTestCase, path_of

HOST = "http://testserver"


class ShareTests(KeptTestCase):
    def share(self, conversation, status=201, **body):
        made = self.call("POST", path_of(conversation, "shares/"), body, status=status)
        return made if status != 201 else made | {"path": made["url"].removeprefix(HOST)}

    def read(self, share, status=200):
        answer = self.client.get(share["path"])
        assert answer.status_code == status
        return answer.content.decode()

    def test_anybody_with_the_link_reads_the_conversation(self):
        conversation = self.add("Tea", ("Is it <b>green</b>?", "**Yes**"))
        share = self.share(conversation)
        html = self.read(share)
        assert "<title>Tea</title>" in html
        assert "Is it &lt;b&gt;green&lt;/b&gt;?" in html
        assert "<strong>Yes</strong>" in html
        assert len(re.search(r"/s/([\w-]+)/", share["path"])[1]) >= 43
        assert self.call("GET", path_of(conversation, "shares/"))["items"][0]["url"] == share["url"]

    def test_what_is_said_later_or_elsewhere_is_not_shown(self):
        conversation = self.add("Tea")
        first = self.add_turn(conversation, "first question", "old answer")
        self.add_answer(conversation, first.parent, "new answer")
        share = self.share(conversation)
        self.add_turn(conversation, "later question", "later answer", parent=first)
        Conversation.objects.update(title="Renamed")
        html = self.read(share)
        assert "new answer" in html
        for hidden in ("old answer", "later", "Renamed"):
            assert hidden not in html

    def test_an_answer_that_is_being_written_is_not_shared(self):
        conversation = self.add("Tea", ("Finished?", "Sure"))
        parent = conversation.messages.latest("id")
        running = self.add_turn(conversation, "Running?", "half", parent=parent, status="running")
        self.add_turn(conversation, "Waiting?", "", parent=running, status="queued")
        html = self.read(self.share(conversation))
        assert "Sure" in html
        for hidden in ("Running?", "half", "Waiting?"):
            assert hidden not in html
        Generation.objects.all().delete()
        other = self.add("Empty")
        self.share(other, status=400)
        self.add_turn(other, "q", "", status="running")
        self.share(other, status=400)

    def test_nobody_is_named_unless_that_was_chosen(self):
        conversation = self.add("Tea", ("q", "a"))
        self.ada.username = "hypatia"  # No token holds so many letters by chance.
        self.ada.save()
        assert "hypatia" not in self.read(self.share(conversation)).lower()
        share = self.share(conversation, show_name=True)
        assert share["name"] == "hypatia"
        assert "hypatia" in self.read(share)

    def test_a_revoked_expired_or_orphaned_link_is_nothing_at_once(self):
        conversation = self.add("Tea", ("q", "a"))
        kept, revoked, expired = (self.share(conversation, days=7) for _ in range(3))
        self.call("DELETE", path_of(conversation, f"shares/{revoked['id']}/"), status=204)
        self.read(revoked, status=404)
        Share.objects.filter(pk=expired["id"]).update(expires_at=timezone.now())
        self.read(expired, status=404)
        self.read(kept)
        self.call("DELETE", path_of(conversation), status=204)
        self.read(kept, status=404)
        self.call("POST", path_of(conversation, "restore/"))
        self.read(kept)
        self.ada.is_active = False
        self.ada.save()
        self.read(kept, status=404)

    def test_it_is_for_readers_and_not_for_search_engines_or_caches(self):
        share = self.share(self.add("Tea", ("q", "a")))
        answer = self.client.get(share["path"])
        assert "noindex" in answer["X-Robots-Tag"]
        assert "no-store" in answer["Cache-Control"]
        policy = answer["Content-Security-Policy"]
        for part in ("default-src 'none'", "connect-src 'none'", "form-action 'none'",
                     "frame-ancestors 'none'"):  # fmt: skip
            assert part in policy
        assert "unsafe" not in policy
        html = answer.content.decode()
        assert 'name="robots"' in html
        for means in ("<form", "<textarea", "csrf", "/c/", "/m/", "page-config", "main.js"):
            assert means not in html
        assert not answer.cookies

    def test_a_reader_can_do_nothing_else(self):
        conversation = self.add("Tea", ("q", "a"))
        share = self.share(conversation)
        for method in ("post", "put", "patch", "delete"):
            assert getattr(self.client, method)(share["path"]).status_code == 405
        message = conversation.messages.first()
        for path in (f"/c/{conversation.pk}/", f"/m/{message.pk}/"):
            assert self.client.get(path).status_code == 302
        token = share["path"].split("/")[2]
        answer = self.client.get(
            f"/api/v1{path_of(conversation)}", headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 401
        assert self.client.get(f"/s/{token[:-1]}/").status_code == 404
        assert self.client.get(f"/s/{token}x/").status_code == 404

    def test_a_long_one_is_shown_by_its_end(self):
        conversation = self.add("Tea", *((f"question {n}", f"answer {n}") for n in range(4)))
        share = self.share(conversation)
        self.enterContext(mock.patch.object(branches, "WINDOW", 4))
        html = self.read(share)
        assert "question 3" in html
        assert "question 1" not in html
        assert "?windows=2" in html
        assert "question 0" in self.client.get(f"{share['path']}?windows=2").content.decode()

    def test_links_are_bounded_and_told_with_their_end(self):
        conversation = self.add("Tea", ("q", "a"))
        share = self.share(conversation, days=1)
        soon = timezone.now() + timedelta(days=1)
        assert abs(Share.objects.get().expires_at - soon) < timedelta(minutes=1)
        assert share["expires_at"]
        for wrong in ({"days": 0}, {"days": 3651}, {"days": "1"}, {"show_name": "yes"}, {"x": 1}):
            self.share(conversation, status=400, **wrong)
        for _ in range(19):
            self.share(conversation)
        self.share(conversation, status=400)
