"""What somebody's list, sidebar and search cost does not grow with what they have."""

from typing import Any
from unittest import skipUnless

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import QuerySet
from django.test import RequestFactory, TestCase
from django.test.utils import CaptureQueriesContext

from chat.models import Conversation, Generation, Message
from chat.models.search import Words
from chat.views import conversations, schemas
from chat.views.conversations import listed
from chat.views.sidebar import ROWS, sidebar

CHATS = 2000
LIST = 1
SIDEBAR = 3  # The pinned ones, the others, and the tags.
# With what stands around the words; SQLite is asked before whether that is much.
SEARCH = 3


class GrowthTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        users = get_user_model().objects
        cls.ada, cls.bob = users.create_user("ada"), users.create_user("bob")
        for owner, count in ((cls.ada, CHATS), (cls.bob, 3)):
            rows = [Conversation(owner=owner, title=f"Tea {number}") for number in range(count)]
            Conversation.objects.bulk_create(rows)
            asked = [Message(conversation=row, role="user", text="green tea") for row in rows]
            Message.objects.bulk_create(asked)
            told = [
                Message(conversation=row, parent=prompt, role="assistant", text="black")
                for row, prompt in zip(rows, asked, strict=True)
            ]
            Message.objects.bulk_create(told)
            Generation.objects.bulk_create(
                Generation(owner=owner, conversation=message.conversation, message=message)
                for message in told
            )

    def request(self, user, **query):
        request = RequestFactory().get("/", query)
        request.user = user
        return request

    def test_the_list_takes_one_query(self):
        for user, count in ((self.bob, 3), (self.ada, 50)):
            query = schemas.ConversationQuery(limit=50)
            with self.assertNumQueries(LIST):
                page = conversations.list_page(user, query)
                [schemas.ListedConversation.model_validate(row) for row in page["items"]]
            assert len(page["items"]) == count
        with self.assertNumQueries(LIST):
            conversations.list_page(
                self.ada, schemas.ConversationQuery(limit=50, cursor=page["next"])
            )

    def test_the_sidebar_takes_three_queries(self):
        for user, count in ((self.bob, 3), (self.ada, ROWS)):
            with self.assertNumQueries(SIDEBAR):
                shown = sidebar(self.request(user))
            assert len(shown["conversations"]) == count

    def test_a_search_takes_as_many_queries_whatever_it_finds(self):
        for user, count in ((self.bob, 3), (self.ada, 50)):
            query = schemas.ConversationQuery(q="tea", limit=50)
            with self.assertNumQueries(SEARCH):
                page = conversations.list_page(user, query)
            assert len(page["items"]) == count
            with self.assertNumQueries(SEARCH + 1):
                sidebar(self.request(user, q="tea"))

    @skipUnless(connection.vendor == "sqlite", "PostgreSQL plans by how much there is.")
    def test_lists_are_read_from_their_index_in_its_order(self):
        for rows, index in (
            (listed(self.ada)[:50], "conversation_newest_first"),
            (listed(self.ada).pinned(False)[:ROWS], "conversation_newest_first"),
            (listed(self.ada).pinned().order_by("-pinned_at", "-id")[:50], "conversation_pinned"),
            (listed(self.ada, tag="tea")[:50], "conversation_tagged"),
        ):
            plan = plan_of(rows)
            assert index in plan, plan
            assert "TEMP B-TREE" not in plan, plan
            assert "SCAN" not in plan, plan

    @skipUnless(connection.vendor == "sqlite", "PostgreSQL plans by how much there is.")
    def test_the_tags_are_read_from_those_that_have_any(self):
        with CaptureQueriesContext(connection) as captured:
            assert Conversation.objects.owned_by(self.ada).listed().tags() == []
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {captured[0]['sql']}")
            plan = str(cursor.fetchall())
        assert "conversation_tagged" in plan, plan

    @skipUnless(connection.vendor == "sqlite", "PostgreSQL plans by how much there is.")
    def test_few_hits_are_read_first_and_many_in_the_order_of_the_list(self):
        rows = [Conversation(owner=self.bob, title="Rare one"), Conversation(owner=self.ada)]
        Conversation.objects.bulk_create(rows)
        rows[1].messages.create(role="user", text="a rare sight")
        few, many = listed(self.ada, text="rare")[:50], listed(self.ada, text="green")[:50]
        assert [row.pk for row in few] == [rows[1].pk]
        assert "conversation_newest_first" not in plan_of(few)
        assert "sqlite_autoindex_chat_conversation_1" in plan_of(few)
        assert len(many) == 50
        assert "conversation_newest_first" in plan_of(many)

    @skipUnless(connection.vendor == "sqlite", "PostgreSQL plans by how much there is.")
    def test_no_search_reads_a_whole_table(self):
        found = listed(self.ada, text="green")[:50]
        around = Message.objects.matching(Words.of("green")).filter(conversation__owner=self.ada)
        for rows in (found, around):
            plan = plan_of(rows)
            whole = [line for line in plan.splitlines() if "SCAN" in line and "VIRTUAL" not in line]
            assert whole == [], plan


def plan_of(rows: QuerySet[Any]) -> str:
    return rows.explain()
