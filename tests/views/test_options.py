"""What one does with whole conversations without JavaScript."""

import json
import re
from datetime import timedelta

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from chat.models import Conversation, Share
from tests.views.kept import KeptTestCase


class PageTestCase(KeptTestCase):
    def setUp(self):
        super().setUp()
        self.client.force_login(self.ada)

    def get(self, address, status=200, **query):
        answer = self.client.get(address, query)
        assert answer.status_code == status
        return answer.content.decode()

    def act(self, conversation, action, *, status=302, **form):
        address = reverse("chat:options", args=[conversation.pk])
        answer = self.client.post(address, {"action": action, **form})
        assert answer.status_code == status
        return answer.get("Location")

    def said(self, conversation):
        html = self.get(reverse("chat:options", args=[conversation.pk]))
        found = re.search(r'class="notices".*?<li>(.*?)</li>', html)
        return found[1] if found else None


class OptionsTests(PageTestCase):
    def test_everything_is_done_by_a_form(self):
        conversation = self.add("Tea", ("q", "a"))
        self.act(conversation, "rename", title="  Green   tea ")
        assert self.said(conversation) == "Renamed."
        self.act(conversation, "tags", tags="work,  to  do ,,")
        self.act(conversation, "pin")
        conversation.refresh_from_db()
        assert (conversation.title, conversation.tags) == ("Green tea", ["work", "to do"])
        assert conversation.pinned
        self.act(conversation, "unpin")
        self.act(conversation, "archive")
        conversation.refresh_from_db()
        assert (conversation.pinned, conversation.archived) == (False, True)
        assert "Green tea" in self.get("/archived/")
        assert self.act(conversation, "unarchive", next="archived") == "/archived/"
        conversation.refresh_from_db()
        assert not conversation.archived

    def test_a_link_is_made_shown_again_and_revoked(self):
        conversation = self.add("Tea", ("q", "a"))
        self.act(conversation, "share", days="7", show_name="on")
        share = Share.objects.get()
        assert share.shown_name == "ada"
        assert share.expires_at < timezone.now() + timedelta(days=8)
        html = self.get(reverse("chat:options", args=[conversation.pk]))
        assert f"http://testserver/s/{share.token}/" in html
        self.act(conversation, "revoke", share=str(share.pk))
        assert not Share.objects.exists()
        self.act(conversation, "revoke", share=str(share.pk), status=404)
        self.act(conversation, "revoke", share="x", status=404)

    def test_what_is_deleted_is_offered_back_where_it_leads(self):
        conversation = self.add("Tea", ("q", "a"))
        home = self.act(conversation, "delete")
        assert home == f"/?deleted={conversation.pk}"
        html = self.get(home)
        assert "“Tea” was deleted." in html
        assert 'value="restore"' in html
        assert "Tea" in self.get("/archived/")
        self.get(reverse("chat:conversation", args=[conversation.pk]), status=404)
        address = self.act(conversation, "restore")
        assert "Tea" in self.get(address)
        assert "“Tea” was deleted" not in self.get(home)
        assert self.act(conversation, "delete", next="archived") == "/archived/"

    def test_what_cannot_be_done_is_said(self):
        conversation = self.add("Tea")
        self.act(conversation, "share")
        assert self.said(conversation) == "There is nothing to share yet."
        self.act(conversation, "tags", tags=",".join("abcdefghijk"))
        assert "at most 10" in self.said(conversation)
        self.act(conversation, "tags", tags="x" * 41)
        assert "at most 40" in self.said(conversation)
        self.act(conversation, "explode")
        assert self.said(conversation) is None

    def test_a_strangers_conversation_is_like_none(self):
        conversation = self.add("Hers", ("q", "a"), owner=self.bob)
        self.get(reverse("chat:options", args=[conversation.pk]), status=404)
        for action in ("rename", "pin", "share", "delete", "restore", "explode"):
            self.act(conversation, action, title="x", status=404)
        assert "Hers" not in self.get(f"/?deleted={conversation.pk}")
        Conversation.objects.update(deleted_at=timezone.now())
        assert "Hers" not in self.get(f"/?deleted={conversation.pk}")
        self.act(conversation, "restore", status=404)

    def test_of_a_temporary_one_little_can_be_done(self):
        conversation = self.add(
            "Hush", ("q", "a"), temporary=True, deleted_at=timezone.now() + timedelta(hours=1)
        )
        html = self.get(reverse("chat:options", args=[conversation.pk]))
        assert "temporary" in html
        assert 'value="share"' not in html
        assert "Temporary chat" in self.get(reverse("chat:conversation", args=[conversation.pk]))

    def test_the_archive_is_read_page_by_page(self):
        for number in range(60):
            self.add(f"Number {number:02}.", days=number, archived_at=timezone.now())
        html = self.get("/archived/")
        assert "Number 49." in html
        assert "Number 50." not in html
        cursor = re.search(r'cursor=([^"]+)"', html)[1]
        assert "Number 50." in self.get(f"/archived/?cursor={cursor}")
        self.get("/archived/?cursor=x", status=404)


class SidebarTests(PageTestCase):
    def test_pinned_ones_stand_on_top_and_only_there(self):
        self.add("New")
        self.add("Old", days=300, pinned_at=timezone.now())
        html = self.get("/")
        order = [html.index(text) for text in (">Pinned<", ">Old<", ">Today<", ">New<")]
        assert order == sorted(order)
        assert html.count(">Old<") == 1

    def test_a_search_shows_where_and_marks_what_was_found(self):
        self.add("Drinks", ("On <i>oolong</i>", "x"))
        html = self.get("/", q="OOLONG")
        assert "On &lt;i&gt;<mark>oolong</mark>&lt;/i&gt;" in html
        assert "Nothing found." in self.get("/", q="cocoa")
        for nasty in ('"', "\x00", "x" * 9000, "%", "<script>alert(1)</script>"):
            assert "<script>alert" not in self.get("/", q=nasty)

    def test_tags_filter_the_list(self):
        self.add("One", tag_lines="\nto do\n", pinned_at=timezone.now())
        self.add("Two", tag_lines="\nx\n")
        html = self.get("/", tag="to do")
        assert ">One<" in html
        assert ">Two<" not in html
        assert "?tag=x" in html

    def test_the_list_says_where_it_goes_on(self):
        for number in range(62):
            self.add(f"Number {number}", days=number)
        html = self.get("/")
        cursor = re.search(r'data-next="([^"]+)"', html)[1]
        page = self.call("GET", "/conversations/", cursor=cursor)
        assert [item["title"] for item in page["items"]] == ["Number 60", "Number 61"]


class ImportTests(PageTestCase):
    def send(self, content):
        file = SimpleUploadedFile("x.json", content, "application/json")
        answer = self.client.post("/account/import/", {"file": file}, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    def test_a_file_is_imported_and_its_faults_are_told(self):
        message = {"id": "1", "parent": None, "role": "user", "text": "q"}
        items = [{"title": "A", "messages": [message]}, {"title": "<B>"}]
        for content in (items, {"conversations": items}):
            html = self.send(json.dumps(content).encode())
            assert "&lt;B&gt;: It has neither messages nor a mapping" in html
        assert "1 were here already." in html
        assert [str(c) for c in Conversation.objects.all()] == ["A"]

    def test_what_is_no_export_is_refused(self):
        for content in (b"", b"{", b"3", b"{}", b'"x"', b"[" * 100_000, b"\xff\xfe"):
            assert "JSON file" in self.send(content) or "no conversations" in self.send(content)
        assert self.client.post("/account/import/", follow=True).status_code == 200
        assert self.client.get("/account/import/").status_code == 405
