from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from chat.errors import IdempotencyConflict
from chat.generations import history, told, turns
from chat.generations.end import Status
from chat.generations.history import history_before, split_system
from chat.models import Conversation, Message
from tests.generations.test_accept import AcceptTestCase

turn = st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=8))
lists_of_turns = st.lists(turn, max_size=4)
FIRST = [("system", "Be brief."), ("user", "one")]


@given(lists_of_turns, lists_of_turns)
def test_a_digest_names_one_list(one, other):
    assert (told.digest(one) == told.digest(other)) == (one == other)


class ToldTests(AcceptTestCase):
    def tell(self, *before, text="two", **fields):
        return self.ask(text, history=list(before), **fields)

    def branch(self, accepted):
        message, found = accepted.generation.message, []
        while message:
            found.append((message.role, message.text))
            message = message.parent
        return found[::-1]

    def test_what_went_before_is_saved_above_the_prompt(self):
        before = [*FIRST, ("assistant", "1")]
        accepted = self.tell(*before)
        assert accepted.is_new_conversation
        assert accepted.prompt.conversation.title == "one"
        assert self.branch(accepted) == [*before, ("user", "two"), ("assistant", "")]

    def test_the_same_talk_goes_on_below_its_answer(self):
        first = self.tell(FIRST[0], text="one")
        self.end(first, text="1\n")  # Which the client has trimmed.
        second = self.tell(*FIRST, ("assistant", "1"))
        assert not second.is_new_conversation
        assert second.prompt.parent_id == first.generation.message_id
        assert Message.objects.count() == 5

    def test_a_stopped_answer_is_gone_on_from_too(self):
        first = self.tell(FIRST[0], text="one")
        self.end(first, text="1", status=Status.STOPPED)
        assert not self.tell(*FIRST, ("assistant", "1")).is_new_conversation

    def test_what_differs_is_another_talk(self):
        self.end(self.tell(FIRST[0], text="one"), text="1")
        for before, user in (
            ([*FIRST, ("assistant", "2")], self.user),
            ([FIRST[1], ("assistant", "1")], self.user),
            ([*FIRST, ("assistant", "1")], self.other),
        ):
            assert self.tell(*before, user=user, text="x").is_new_conversation

    def test_what_is_told_between_answer_and_prompt_is_saved_there(self):
        first = self.tell(FIRST[0], text="one")
        self.end(first, text="1")
        second = self.tell(*FIRST, ("assistant", "1"), ("system", "Shout."))
        assert second.prompt.parent.text == "Shout."
        assert second.prompt.parent.parent_id == first.generation.message_id

    def test_a_busy_talk_is_not_waited_for(self):
        first = self.tell(FIRST[0], text="one")
        self.end(first, text="1")
        for text in ("two", "three"):
            accepted = self.tell(*FIRST, ("assistant", "1"), text=text)
            assert accepted.position == 0
        assert Conversation.objects.count() == 2

    def test_a_talk_with_a_name_is_begun_with_what_is_told_and_only_begun(self):
        self.end(self.tell(FIRST[0], text="one"), text="1")
        named = [*FIRST, ("assistant", "1")]
        first = self.tell(*named, client_id="ai:x")
        assert first.is_new_conversation
        assert self.branch(first)[:-1] == [*named, ("user", "two")]
        self.end(first, text="2")
        told_more = [*named, ("user", "two"), ("assistant", "2"), ("user", "unheard")]
        second = self.tell(*told_more, text="three", client_id="ai:x")
        assert not second.is_new_conversation
        assert second.prompt.parent_id == first.generation.message_id

    def test_an_answer_is_found_within_one_talk(self):
        found = [self.tell(FIRST[0], text="one") for _ in range(2)]
        for accepted in found:
            self.end(accepted, text="1")
        for accepted in found:
            conversation_id = accepted.prompt.conversation_id
            answer, rest = told.find_answer(
                self.user.pk, [*FIRST, ("assistant", "1"), ("user", "x")], within=conversation_id
            )
            assert answer == accepted.generation.message
            assert rest == [("user", "x")]
        assert told.find_answer(self.user.pk, FIRST, within=conversation_id)[0] is None

    def test_a_deleted_talk_is_begun_again(self):
        first = self.tell(FIRST[0], text="one")
        self.end(first, text="1")
        first.prompt.conversation.delete()
        assert self.tell(*FIRST, ("assistant", "1")).is_new_conversation

    def test_a_prompt_that_tells_nothing_has_no_digest_and_options_are_kept(self):
        assert self.ask().generation.path_digest is None
        assert self.ask().generation.options is None
        run = turns.load_run(self.tell(options={"max_tokens": 3}).generation)
        assert run.options == {"max_tokens": 3}

    def test_the_same_key_with_another_talk_or_other_options_is_refused(self):
        self.tell(*FIRST, key="a", options={"top_p": 1})
        assert not self.tell(*FIRST, key="a", options={"top_p": 1}).is_new
        for before, options in ((FIRST[:1], {"top_p": 1}), (FIRST, {"top_p": 0})):
            with self.assertRaises(IdempotencyConflict):
                self.tell(*before, key="a", options=options)

    def test_the_system_prompt_of_a_talk_is_its_own_however_long_it_is(self):
        long = [("user", "x" * 50), ("assistant", "y" * 50)] * 3
        accepted = self.tell(FIRST[0], *long)
        found = history_before(accepted.generation.message, limit_chars=70)
        assert found == [FIRST[0], ("assistant", "y" * 50), ("user", "two")]
        run = turns.load_run(accepted.generation)
        assert run.system == "Be brief."
        assert list(run.history) == long
        assert turns.load_run(self.ask().generation).system is None

    def test_the_system_prompt_is_found_above_more_turns_than_are_read(self):
        accepted = self.tell(FIRST[0], *[("user", "x"), ("assistant", "y")] * 4)
        with mock.patch.object(history, "MAX_TURNS", 3):
            found = history_before(accepted.generation.message, limit_chars=1000)
        assert found == [FIRST[0], ("user", "x"), ("assistant", "y"), ("user", "two")]


def test_what_the_system_says_first_is_taken_apart():
    said, first, later = ("user", "x"), ("system", "a"), ("system", "b")
    assert split_system([said]) == (None, [said])
    assert split_system([first, later, said]) == ("a\n\nb", [said])
    assert split_system([said, later]) == ("", [said, later])
