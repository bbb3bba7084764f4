"""Lists, search, and what one changes of whole conversations over the API."""

from datetime import timedelta
from uuid import uuid4

from django.test import TestCase
from django.utils import timezone

from chat.models import Conversation, Generation
from chat.models.kept import CLOSED_TIME, TEMPORARY_TIME
from chat.views import conversations, schemas
from tests.views.kept import KeptTestCase, path_of


class ListTests(KeptTestCase):
    def test_what_is_archived_temporary_or_deleted_is_not_listed(self):
        now = timezone.now()
        self.add("Kept")
        self.add("Archived", archived_at=now)
        self.add("Temporary", temporary=True, deleted_at=now + timedelta(hours=1))
        self.add("Deleted", deleted_at=now)
        assert self.list() == ["Kept"]
        assert self.list(archived="true") == ["Archived"]

    def test_a_search_finds_titles_messages_and_what_is_archived(self):
        self.add("One", ("about oolong", "yes"), archived_at=timezone.now())
        self.add("Oolong", ("x", "y"), days=1)
        self.add("Temporary", ("oolong", "z"), temporary=True,
                 deleted_at=timezone.now() + timedelta(hours=1))  # fmt: skip
        page = self.call("GET", "/conversations/", q="OOL")
        assert [item["title"] for item in page["items"]] == ["One", "Oolong"]
        assert page["items"][0]["snippet"] == [
            {"text": "about ", "found": False},
            {"text": "ool", "found": True},
            {"text": "ong", "found": False},
        ]
        assert page["items"][1]["snippet"] is None
        assert self.list(q="ool", archived="false") == ["Oolong"]
        assert self.call("GET", "/conversations/")["items"][0]["snippet"] is None

    def test_pages_of_a_search_follow_one_another(self):
        for number in range(5):
            self.add(f"{number}", ("tea", "x"), days=number)
        first = self.call("GET", "/conversations/", q="tea", limit="3")
        second = self.call("GET", "/conversations/", q="tea", limit="3", cursor=first["next"])
        titles = [item["title"] for page in (first, second) for item in page["items"]]
        assert titles == list("01234")
        assert second["next"] is None

    def test_tags_filter_and_are_listed(self):
        self.add("One", tag_lines="\nwork\nTea 2\n")
        self.add("Two", tag_lines="\nwork at home\n", days=1)
        self.add("Not hers", tag_lines="\nsecret\n", owner=self.bob)
        assert self.list(tag="work") == ["One"]
        assert self.list(tag="Tea 2") == ["One"]
        assert self.list(tag="no such") == []
        assert self.call("GET", "/tags/") == {"items": ["Tea 2", "work", "work at home"]}

    def test_an_answer_is_unread_until_its_owner_has_looked(self):
        conversation = self.add()
        self.add_turn(conversation, "q", "a", status="running")
        assert not self.item()["unread"]
        assert self.item()["running"]
        Generation.objects.update(status="done", ended_at=timezone.now())
        assert self.item()["unread"]
        self.call("PATCH", path_of(conversation), {"unread": False})
        assert not self.item()["unread"]
        assert self.news == [
            {"id": str(conversation.pk), "change": "updated", "unread": False},
        ]
        self.call("PATCH", path_of(conversation), {"unread": True})
        assert self.item()["unread"]

    def test_what_a_dialects_client_asked_is_not_unread(self):
        conversation = self.add(client_id="x:1")
        self.add_turn(conversation, "q", "a")
        assert not self.item()["unread"]
        Conversation.objects.update(client_id=None)
        assert self.item()["unread"]
        Generation.objects.update(path_digest="x")
        assert not self.item()["unread"]

    def item(self):
        (item,) = self.call("GET", "/conversations/")["items"]
        return item


class QueryTests(TestCase):
    """What must not grow with what is found."""

    setUpTestData = classmethod(KeptTestCase.setUp)
    add, add_turn, add_answer = KeptTestCase.add, KeptTestCase.add_turn, KeptTestCase.add_answer

    def test_a_search_takes_at_most_three_queries(self):
        for number in range(8):
            self.add(f"Tea {number}", ("green tea", "black tea"), tag_lines="\na\n")
        with self.assertNumQueries(3):
            page = conversations.list_page(self.ada, schemas.ConversationQuery(q="tea"))
            items = [schemas.ListedConversation.model_validate(row) for row in page["items"]]
        assert len(items) == 8
        assert all(item.snippet for item in items)


class ChangeTests(KeptTestCase):
    def test_pinning_and_archiving_exclude_each_other(self):
        conversation = self.add()
        changed = self.call("PATCH", path_of(conversation), {"pinned": True})
        assert (changed["pinned"], changed["archived"]) == (True, False)
        changed = self.call("PATCH", path_of(conversation), {"archived": True})
        assert (changed["pinned"], changed["archived"]) == (False, True)
        changed = self.call("PATCH", path_of(conversation), {"pinned": True})
        assert (changed["pinned"], changed["archived"]) == (True, False)
        assert [frame["archived"] for frame in self.news] == [False, True, False]

    def test_tags_are_tidied_and_bounded(self):
        conversation = self.add()
        path = path_of(conversation)
        tags = [" to  do ", "To Do", "x"]
        assert self.call("PATCH", path, {"tags": tags})["tags"] == ["to do", "x"]
        assert self.news[-1]["tags"] == ["to do", "x"]
        for wrong in (["x" * 41], [""], [" "], [str(n) for n in range(11)], [1], "x", [None]):
            self.call("PATCH", path, {"tags": wrong}, status=400)
        most = [f"{n}" * 20 for n in range(10, 20)]
        assert self.call("PATCH", path, {"tags": most})["tags"] == most
        assert self.call("PATCH", path, {"tags": []})["tags"] == []

    def test_news_say_where_a_conversation_belongs(self):
        conversation = self.add("Tea")
        self.call("PATCH", path_of(conversation), {"title": "Coffee"})
        assert self.news == [
            {
                "id": str(conversation.pk),
                "change": "updated",
                "title": "Coffee",
                "pinned": False,
                "archived": False,
                "temporary": False,
                "tags": [],
                "updated_at": conversation.updated_at.isoformat(),
            }
        ]

    def test_a_strangers_conversation_is_like_none(self):
        conversation = self.add(owner=self.bob)
        for pk in (conversation.pk, uuid4()):
            for method, rest, body in (
                ("PATCH", "", {"pinned": True}),
                ("DELETE", "", None),
                ("POST", "restore/", None),
                ("GET", "export/", None),
                ("GET", "shares/", None),
                ("POST", "shares/", {}),
                ("DELETE", f"shares/{uuid4()}/", None),
            ):
                self.call(method, path_of(pk, rest), body, status=404)
        assert self.news == []


class TemporaryTests(KeptTestCase):
    def begin(self):
        made = self.call("POST", "/conversations/", {"temporary": True}, status=201)
        return Conversation.objects.get(pk=made["id"])

    def test_it_is_in_no_list_search_export_or_share(self):
        conversation = self.begin()
        self.add_turn(conversation, "hush", "hush")
        assert self.list() == []
        assert self.list(q="hush") == []
        assert self.list(archived="true") == []
        assert "hush" not in self.export("/export/")
        self.call("GET", path_of(conversation, "export/"), status=400)
        self.call("POST", path_of(conversation, "shares/"), {}, status=400)
        self.call("PATCH", path_of(conversation), {"pinned": True}, status=400)
        assert self.call("GET", path_of(conversation))["temporary"]
        assert self.news[0]["temporary"]

    def test_it_is_over_a_day_after_its_last_use_or_a_moment_after_it_was_closed(self):
        conversation = self.begin()
        now = timezone.now()
        assert abs(conversation.deleted_at - now - TEMPORARY_TIME) < timedelta(minutes=1)
        self.call("PATCH", path_of(conversation), {"open": False})
        conversation.refresh_from_db()
        assert abs(conversation.deleted_at - now - CLOSED_TIME) < timedelta(minutes=1)
        assert self.news[-1] == {"id": str(conversation.pk), "change": "updated", "open": False}
        self.call("PATCH", path_of(conversation), {"open": True})
        conversation.refresh_from_db()
        assert conversation.deleted_at > now + timedelta(hours=23)
        Conversation.objects.update(deleted_at=now)
        self.call("GET", path_of(conversation), status=404)
        self.call("PATCH", path_of(conversation), {"open": True}, status=404)

    def test_only_temporary_ones_are_closed(self):
        self.call("PATCH", path_of(self.add()), {"open": False}, status=400)

    def test_deleting_it_is_for_good(self):
        conversation = self.begin()
        self.call("DELETE", path_of(conversation), status=204)
        assert not Conversation.objects.exists()
