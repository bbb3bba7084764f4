"""When the text of an answer came: noted cheaply, and adding up to what is saved."""

from itertools import pairwise
from unittest import mock

from django.contrib.auth import get_user_model
from django.test import SimpleTestCase, TransactionTestCase
from hypothesis import given
from hypothesis import strategies as st

from chat.database import in_database
from chat.eventlog import event_log
from chat.generations import stop_generation, timing
from chat.generations.timing import MAX_MARKS, Marks, fit, timed_text
from chat.models import Timing
from tests.generations.test_generations import GenerationCase
from tests.upstream import words_text

marks_lists = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 9)).map(list), min_size=1, max_size=20
)


class MarksTests(SimpleTestCase):
    def noted(self, count: int) -> list[list[int]]:
        """Return the marks of pieces of three characters that come every 10 ms."""
        with mock.patch.object(timing, "monotonic") as clock:
            clock.return_value = 100.0
            marks = Marks()
            for number in range(count):
                clock.return_value = 100.0 + 0.01 * number
                marks.note(3)
            return marks.as_list()

    def test_each_piece_has_its_moment(self) -> None:
        assert self.noted(3) == [[0, 3], [10, 3], [20, 3]]
        assert self.noted(0) == []

    def test_a_long_answer_is_told_more_coarsely_and_completely(self) -> None:
        for count in (MAX_MARKS - 1, MAX_MARKS, 5 * MAX_MARKS + 1):
            marks = self.noted(count)
            assert MAX_MARKS // 2 <= len(marks) < MAX_MARKS
            assert sum(characters for _, characters in marks) == 3 * count
            assert all(earlier[0] <= later[0] for earlier, later in pairwise(marks))
            assert marks[-1][0] == 10 * (count - 1)

    @given(marks_lists, st.integers(1, 200))
    def test_marks_are_made_to_fit_the_text(self, marks, length: int) -> None:
        fitting = fit(marks, length)
        assert sum(count for _, count in fitting) == length
        assert all(count for _, count in fitting)
        assert len(fitting) <= len(marks)

    def test_marks_without_text_are_none(self) -> None:
        assert fit([[5, 3]], 0) == []
        assert fit([], 7) == []


class TimingTests(GenerationCase, TransactionTestCase):
    event_log = "database"

    async def timed(self, generation) -> tuple[str, list[list[int]]]:
        return await in_database(timed_text, await self.reload(generation))

    async def test_the_marks_of_an_answer_add_up_to_its_text(self) -> None:
        generation = (await self.start(model="openai:words:20@100")).generation
        await self.events(generation)
        text, marks = await self.timed(generation)
        assert text == words_text(20)
        assert sum(count for _, count in marks) == len(text)
        times = [time for time, _ in marks]
        assert times == sorted(times)
        assert len(marks) > 1

    async def test_a_stopped_answer_has_the_marks_of_what_was_shown(self) -> None:
        generation = (await self.start(model="openai:words:500@100")).generation
        assert await self.timed(generation) == ("", [])
        async for batch in event_log().follow(generation.pk):
            if batch[-1].cursor > 3:
                break
        await stop_generation(generation)
        text, marks = await self.timed(generation)
        assert text
        assert sum(count for _, count in marks) == len(text)

    async def test_an_answer_without_text_has_no_row(self) -> None:
        generation = (await self.start(model="openai:status:401")).generation
        await self.events(generation)
        assert await self.timed(generation) == ("", [])
        assert not await in_database(Timing.objects.exists)

    async def test_the_api_tells_it_to_the_owner_alone(self) -> None:
        generation = (await self.start(model="openai:words:5")).generation
        await self.events(generation)
        address = f"/api/v1/generations/{generation.pk}/timing/"
        assert (await self.async_client.get(address)).status_code == 401
        await self.async_client.aforce_login(self.user)
        found = (await self.async_client.get(address)).json()
        assert found["generation"] == str(generation.pk)
        assert found["text"] == words_text(5)
        assert sum(count for _, count in found["marks"]) == len(found["text"])
        other = await in_database(get_user_model().objects.create_user, "bob")
        await self.async_client.aforce_login(other)
        assert (await self.async_client.get(address)).status_code == 404
