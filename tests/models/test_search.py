"""Finding conversations: on SQLite here, and on PostgreSQL by `tests/eventlog/test_postgres.py`."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import TestCase

from chat.models import Conversation, Message, search_index
from chat.models.search import MAX_LENGTH, Words

NASTY = [
    *('"', "'", "''; --", '"quoted', "a* OR b*", "NEAR(a b)", "title:x", "(", ")", "^a", "-x", "%"),
    *("_", "\\", "\x00", "\ud800", "{a}", "a & b | !c:*", "<->", ":*", "AND", "NOT", "x" * 5000),
    *("%s", "%(a)s", "é" * 300, "🎈", "a🎈b", "  ", "​", " ".join("abcdefghijklmnopqrstuvwxyz")),
]  # fmt: skip


class SearchTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ada = get_user_model().objects.create_user("ada")
        cls.bob = get_user_model().objects.create_user("bob")

    def add(self, title="", *texts, owner=None, **fields):
        conversation = Conversation.objects.create(owner=owner or self.ada, title=title, **fields)
        for text in texts:
            conversation.messages.create(role="user", text=text)
        return conversation

    def found(self, text, user=None):
        return {str(c) for c in Conversation.objects.owned_by(user or self.ada).search(text)}

    def test_titles_and_messages_are_searched(self):
        self.add("Tea", "About leaves.")
        self.add("Coffee", "It grows on shrubs.", "Leaves, too, but nobody drinks them.")
        self.add("Not hers", "leaves", owner=self.bob)
        assert self.found("leaves") == {"Tea", "Coffee"}
        assert self.found("coffee") == {"Coffee"}
        assert self.found("cocoa") == set()

    def test_words_are_found_by_their_beginning_in_any_case_and_order(self):
        self.add("a", "The GARDEN has Zinnias")
        assert self.found("zin gard") == {"a"}
        assert self.found("arden") == set()
        assert self.found("gardens") == set()

    def test_titles_are_searched_as_messages_are(self):
        self.add("The GARDEN of Zinnias")
        assert self.found("zin gard") == {"The GARDEN of Zinnias"}
        assert self.found("arden") == set()

    def test_all_words_must_be_in_one_message_or_in_the_title(self):
        self.add("a", "one", "two")
        self.add("b", "two and one")
        assert self.found("one two") == {"b"}

    def test_letters_of_other_alphabets_have_a_case_too(self):
        self.add("Übersicht", "Ёлка")
        assert self.found("über") == {"Übersicht"}
        assert self.found("ёлка") == {"Übersicht"}

    def test_letters_and_their_marks_may_be_apart_in_what_is_typed(self):
        self.add("a", "Un été à Évian")
        assert self.found("e\u0301te\u0301 E\u0301vian") == {"a"}
        for text in ("हिन्दी", "𞤀𞤁𞤂𞤃", "\U0001e4d0x", "a\u0300\u0301b", "x²y", "١٢٣"):
            self.found(text)

    def test_what_is_written_without_spaces_is_found_inside(self):
        self.add("東京の天気", "明日は雨が降るでしょう")
        assert self.found("天気") == {"東京の天気"}
        assert self.found("降る") == {"東京の天気"}
        assert self.found("雪") == set()

    def test_parts_of_names_and_addresses_are_words(self):
        self.add("a", "See /etc/nginx/site.conf, user_name, x@example.org and foo-bar.")
        for text in ("nginx", "site", "conf", "name", "example", "bar", "foo-bar", "site.conf"):
            assert self.found(text) == {"a"}, text

    def test_any_text_may_come(self):
        self.add("a", "x", "100% of 'quotes' and \"more\"")
        for text in NASTY:
            self.found(text)
            Message.objects.snippets([], Words.of(text))
        assert self.found('"more') == {"a"}
        assert self.found("quotes'") == {"a"}
        assert len(Words.of("x" * 5000).typed) == MAX_LENGTH

    def test_signs_alone_are_found_in_titles(self):
        self.add("What is C++?", "x")
        self.add("What is C?", "x")
        assert self.found("++") == {"What is C++?"}

    def test_the_index_follows_what_is_written_changed_and_deleted(self):
        conversation = self.add("Old", "first words")
        message = conversation.messages.get()
        for text in ("second words", "", "third words"):
            message.text = text
            message.save()
            assert self.found("first") == set()
            assert self.found("words") == ({"Old"} if text else set())
        Conversation.objects.update(title="New")
        assert self.found("old") == set()
        assert self.found("new") == {"New"}
        message.delete()
        assert self.found("third") == set()
        conversation.delete()
        assert self.found("new") == set()

    def test_texts_that_are_too_long_for_an_index_are_stored_all_the_same(self):
        text = " ".join(f"word{n}" for n in range(400_000))
        conversation = self.add("Long", text)
        assert self.found("word1") == {"Long"}
        assert self.found("word399999") == set()
        assert conversation.messages.get().text == text

    def test_what_the_system_says_is_not_searched(self):
        conversation = self.add("a")
        conversation.messages.create(role="system", text="Be brief.")
        assert self.found("brief") == set()

    def test_a_search_takes_one_query_and_its_snippets_another(self):
        for number in range(5):
            self.add(f"{number}", *["tea"] * 4)
        with self.assertNumQueries(2):
            rows = list(Conversation.objects.owned_by(self.ada).search("tea"))
            snippets = Message.objects.snippets([row.pk for row in rows], Words.of("tea"))
        assert len(snippets) == 5

    def test_a_snippet_shows_the_newest_place(self):
        conversation = self.add("a", "tea, long ago", "then coffee", "more TEA <b>now</b>")
        found = Message.objects.snippets([conversation.pk], Words.of("tea"))[conversation.pk]
        assert found == [
            {"text": "more ", "found": False},
            {"text": "TEA", "found": True},
            {"text": " <b>now</b>", "found": False},
        ]


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no triggers of ours")
def test_an_index_that_lost_its_triggers_is_made_anew():
    owner = get_user_model().objects.create_user("ada")
    conversation = Conversation.objects.create(owner=owner, title="a")
    assert not search_index.mend(connection)
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER chat_message_search_insert")
    conversation.messages.create(role="user", text="unheard")
    assert not Conversation.objects.search("unheard").exists()
    assert search_index.mend(connection)
    assert Conversation.objects.search("unheard").exists()
    conversation.messages.create(role="user", text="heard")
    assert Conversation.objects.search("heard").exists()


@pytest.mark.django_db
def test_a_search_uses_the_index():
    found = Message.objects.matching(Words.of("tea leaf"))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
    plan = found.explain()
    index = "message_text_search" if connection.vendor == "postgresql" else "VIRTUAL TABLE INDEX"
    assert index in plan


def test_the_index_goes_and_comes_with_its_migration(transactional_db):
    search_index.drop(connection)
    search_index.drop(connection)
    assert not search_index.mend(connection)
    search_index.create(connection)
    assert not search_index.mend(connection)
