"""The steps of a whole conversation."""

from django.db import connection
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext

from chat.database import in_database
from chat.generations import stop_generation
from chat.generations.steps import steps_in
from tests.agents.base import AgentCase


def all_of(step):
    return {"id": step.id, **model_to_dict(step), "started_at": step.started_at}


class StepsInTests(AgentCase):
    async def conversation(self):
        """Return one with plain answers, those of an agent, one that failed, and one that waits."""
        first = await self.answer("One", "answer_question", "text:Yes.")
        here = {"conversation_id": first.conversation_id}
        plain = await self.answer("Two", "text:No.", agent="", **here)
        failed = await self.answer("Three", "status:401", agent="", **here)
        running = (await self.ask("Four", agent="", model="openai:infinite@50", **here)).generation
        waiting = (await self.ask("Five", **here)).generation
        return first.conversation, [first, plain, failed, running, waiting]

    async def test_they_are_those_of_its_answers_one_after_the_other(self):
        conversation, answers = await self.conversation()
        found = await in_database(steps_in, conversation)
        assert [step.sequence for step in found] == list(range(7))
        one_by_one = []
        for answer in answers:
            one_by_one += await self.steps(await self.reload(answer))
        assert list(map(all_of, found)) == list(map(all_of, one_by_one))
        await stop_generation(answers[4])
        await stop_generation(answers[3])
        *_, stopped = await in_database(steps_in, conversation)
        assert (stopped.sequence, stopped.name) == (6, "answer")

    async def test_they_cost_few_queries_however_many_they_are(self):
        conversation, answers = await self.conversation()

        def count():
            with CaptureQueriesContext(connection) as queries:
                steps_in(conversation)
            return len(queries)

        assert await in_database(count) <= 3
        await stop_generation(answers[4])
        await stop_generation(answers[3])
