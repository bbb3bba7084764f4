"""Rating answers: over the API, by a form without a script, in exports, and deleted with them."""

import json
from uuid import uuid4

from django.db import IntegrityError, transaction

from chat.models import Conversation, Rating
from chat.models.ratings import MAX_COMMENT, Bad, Good
from tests.views.kept import KeptTestCase, path_of


class RatingTestCase(KeptTestCase):
    def setUp(self):
        super().setUp()
        self.conversation = self.add("Tea", ("Which?", "Green."))
        self.prompt, self.answer = self.conversation.messages.order_by("id")
        self.client.force_login(self.ada)

    def put(self, body, *, message=None, **options):
        path = f"/messages/{(message or self.answer).pk}/rating/"
        return self.call("PUT", path, body, **options)

    def delete(self, **options):
        return self.call("DELETE", f"/messages/{self.answer.pk}/rating/", **options)

    def told(self):
        return self.call("GET", path_of(self.conversation, "messages/"))["items"]

    def shown(self):
        return self.client.get(f"/c/{self.conversation.pk}/").content.decode()


class ApiTests(RatingTestCase):
    def test_an_answer_is_rated_and_the_message_tells_it(self):
        assert [item["rating"] for item in self.told()] == [None, None]
        body = {"value": -1, "reasons": ["too_long", "incorrect"], "comment": " No tea. "}
        rating = self.put(body)
        assert rating["value"] == -1
        assert rating["reasons"] == ["incorrect", "too_long"]
        assert rating["comment"] == "No tea."
        assert [item["rating"] for item in self.told()] == [None, rating]
        assert Rating.objects.get().owner == self.ada

    def test_a_later_rating_takes_the_place_of_an_earlier_one(self):
        first = self.put({"value": -1, "reasons": ["unclear"], "comment": "Hm."})
        second = self.put({"value": 1})
        assert (second["value"], second["reasons"], second["comment"]) == (1, [], "")
        assert second["created_at"] == first["created_at"]
        assert second["updated_at"] > first["updated_at"]
        assert Rating.objects.count() == 1

    def test_it_can_be_taken_back_as_often_as_one_likes(self):
        self.put({"value": 1})
        for _ in range(2):
            self.delete(status=204)
            assert self.told()[1]["rating"] is None

    def test_other_tabs_are_told_once_for_each_change(self):
        self.put({"value": 1})
        self.delete(status=204)
        self.delete(status=204)
        told = [{"id": str(self.conversation.pk), "change": "updated"}] * 2
        assert self.news == [{**frame, "rated": str(self.answer.pk)} for frame in told]

    def test_the_conversation_keeps_its_place_in_the_list(self):
        before = Conversation.objects.get().updated_at
        self.put({"value": 1})
        assert Conversation.objects.get().updated_at == before

    def test_every_reason_goes_with_its_own_value_only(self):
        for reasons, value in ((Good, 1), (Bad, -1)):
            keys = [reason.value for reason in reasons]
            assert self.put({"value": value, "reasons": keys})["reasons"] == keys
            self.put({"value": -value, "reasons": keys[:1]}, status=400)

    def test_what_is_no_rating_is_refused(self):
        for body in (
            {}, {"value": 0}, {"value": "1"}, {"value": 2}, {"value": 1, "stars": 5},
            {"value": 1, "reasons": ["because"]}, {"value": 1, "reasons": "clear"},
            {"value": 1, "comment": "x" * (MAX_COMMENT + 1)},
        ):  # fmt: skip
            assert self.put(body, status=400)["error"]["code"] == "bad_request", body
        self.put({"value": 1, "comment": "x" * MAX_COMMENT})

    def test_only_answers_that_have_ended_are_rated(self):
        self.put({"value": 1}, message=self.prompt, status=400)
        running = self.add_turn(self.conversation, "And?", "", status="running")
        self.put({"value": 1}, message=running, status=400)
        for status in ("stopped", "failed", "interrupted"):
            self.put(
                {"value": -1}, message=self.add_turn(self.conversation, "q", "", status=status)
            )

    def test_an_answer_that_was_imported_without_a_run_is_rated_too(self):
        asked = self.conversation.messages.create(role="user", text="q")
        told = self.conversation.messages.create(role="assistant", text="a", parent=asked)
        assert self.put({"value": 1}, message=told)["value"] == 1

    def test_strangers_and_those_who_deleted_it_find_nothing(self):
        self.put({"value": 1}, user=self.bob, status=404)
        self.delete(user=self.bob, status=404)
        self.call("PUT", f"/messages/{uuid4()}/rating/", {"value": 1}, status=404)
        self.put({"value": 1})
        self.call("DELETE", path_of(self.conversation), status=204)
        self.put({"value": -1}, status=404)
        self.delete(status=404)
        assert not Rating.objects.owned_by(self.ada).exists()

    def test_it_is_gone_with_its_conversation(self):
        self.put({"value": 1})
        self.call("DELETE", path_of(self.conversation), status=204, permanently="true")
        assert not Rating.objects.exists()

    def test_the_database_takes_no_other_value_and_no_second_rating(self):
        for fields in ({"value": 0}, {"value": 1}):
            with self.assertRaises(IntegrityError), transaction.atomic():
                Rating.objects.create(message=self.answer, owner=self.ada, **fields)
                Rating.objects.create(message=self.answer, owner=self.ada, **fields)


class FormTests(RatingTestCase):
    def post(self, *, message=None, **fields):
        return self.client.post(f"/m/{(message or self.answer).pk}/rating/", fields)

    def test_a_thumb_rates_and_the_same_one_takes_it_back(self):
        page = f"/c/{self.conversation.pk}/#m-{self.answer.pk}"
        assert self.shown().count('aria-pressed="true"') == 0
        assert self.post(value="1")["Location"] == page
        assert Rating.objects.get().value == 1
        assert self.shown().count('aria-pressed="true"') == 1
        assert self.post(value="1")["Location"] == page
        assert not Rating.objects.exists()

    def test_the_other_thumb_keeps_the_comment_and_drops_the_reasons(self):
        self.put({"value": 1, "reasons": ["clear"], "comment": "Mine."})
        self.post(value="-1")
        rating = Rating.objects.get()
        assert (rating.value, rating.reasons, rating.comment) == (-1, [], "Mine.")

    def test_the_page_saves_reasons_and_a_comment(self):
        self.post(value="-1", reasons=["incorrect", "clear"], comment="a\r\nb\0", action="save")
        rating = Rating.objects.get()
        assert (rating.reasons, rating.comment) == (["incorrect"], "a\nb\ufffd")
        page = self.client.get(f"/m/{self.answer.pk}/rating/").content.decode()
        assert 'value="incorrect" checked' in page
        assert 'value="clear">' in page
        self.post(value="-1", action="remove")
        assert not Rating.objects.exists()

    def test_what_cannot_be_saved_leads_back_to_the_page_and_is_told(self):
        here = f"/m/{self.answer.pk}/rating/"
        for fields in ({}, {"value": "9"}, {"action": "save"}):
            assert self.post(**fields)["Location"] == here
            self.assertContains(self.client.get(here), "value: say 1")
        assert not Rating.objects.exists()

    def test_strangers_prompts_and_running_answers_have_no_page(self):
        running = self.add_turn(self.conversation, "And?", "", status="running")
        for message in (self.prompt, running):
            assert self.post(message=message, value="1").status_code == 404
            assert self.client.get(f"/m/{message.pk}/rating/").status_code == 404
        self.client.force_login(self.bob)
        assert self.post(value="1").status_code == 404
        assert self.client.get(f"/m/{self.answer.pk}/rating/").status_code == 404
        assert not Rating.objects.exists()

    def test_only_answers_that_have_ended_show_thumbs(self):
        self.add_turn(self.conversation, "And?", "", status="running", parent=self.answer)
        assert self.shown().count('data-action="rate"') == 2

    def test_shared_pages_tell_nobody_what_one_thinks(self):
        self.put({"value": -1, "comment": "Secretly bad."})
        link = self.call("POST", path_of(self.conversation, "shares/"), {}, status=201)["url"]
        page = self.client.get(link).content.decode()
        assert "Green." in page
        assert "Secretly bad." not in page
        assert "rating" not in page

    def test_hostile_comments_are_escaped(self):
        self.put({"value": 1, "comment": '"><script>alert(1)</script>'})
        for page in (
            self.shown(),
            self.client.get(f"/m/{self.answer.pk}/rating/").content.decode(),
        ):
            assert "<script>alert" not in page
            assert "&lt;script&gt;alert" in page


class TransferTests(RatingTestCase):
    def import_as_bob(self, item):
        return self.call("POST", "/import/", {"conversations": [item]}, user=self.bob)

    def item(self):
        return json.loads(self.export(path_of(self.conversation, "export/")))["conversations"][0]

    def test_an_export_has_it_and_an_import_keeps_it(self):
        self.put({"value": -1, "reasons": ["incorrect"], "comment": "No."})
        item = self.item()
        assert [
            message["rating"] and message["rating"]["value"] for message in item["messages"]
        ] == [
            None,
            -1,
        ]
        assert self.import_as_bob(item)["imported"] == 1
        mine, theirs = Rating.objects.order_by("id")
        assert theirs.owner == self.bob
        assert theirs.message.conversation.owner == self.bob
        for name in ("value", "reasons", "comment", "created_at", "updated_at"):
            assert getattr(theirs, name) == getattr(mine, name), name

    def test_reasons_of_a_later_version_are_left_out(self):
        self.put({"value": 1, "reasons": ["clear"]})
        item = self.item()
        item["messages"][1]["rating"]["reasons"] += ["witty", "incorrect", 7, ["x"]]
        assert self.import_as_bob(item)["imported"] == 1
        assert Rating.objects.get(owner=self.bob).reasons == ["clear"]

    def test_a_rating_that_is_none_keeps_its_conversation_out(self):
        item = self.item()
        for rating in ({"value": 3}, {"value": 1, "comment": "x" * 2001}, "good"):
            item["messages"][1]["rating"] = rating
            report = self.import_as_bob(item)
            assert report["failed"] == 1, rating

    def test_exports_from_before_and_prompts_have_none(self):
        item = self.item()
        del item["messages"][1]["rating"]
        item["messages"][0]["rating"] = {"value": 1}
        assert self.import_as_bob(item)["imported"] == 1
        assert not Rating.objects.exists()
