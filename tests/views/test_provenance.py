"""About an answer: what is told of how it was made, and to whom."""

from datetime import timedelta
from unittest import mock

from django.test import TransactionTestCase
from django.utils import timezone

from chat.database import in_database
from chat.generations import rates, timing
from chat.generations.forks import fork_conversation
from chat.generations.timing import Marks
from chat.models import Message, Price, Provenance, Timing
from chat.models.usage import NANO
from chat.traces.provenance import _amount, about
from tests.generations.test_generations import GenerationCase
from tests.views.kept import KeptTestCase, path_of

SECOND = timedelta(seconds=1)


class AboutTestCase(KeptTestCase):
    def setUp(self):
        super().setUp()
        now = timezone.now()
        self.conversation = self.add("Tea")
        self.answer = self.add_turn(
            self.conversation, "Which?", "Green.", model="openai:tea", cursor=1234,
            created_at=now - 9 * SECOND, started_at=now - 5 * SECOND,
            first_delta_at=now - 4 * SECOND, ended_at=now, finish_reason="stop",
            usage={"input_tokens": 1200, "output_tokens": 80, "total_tokens": 1280},
            idempotency_key="frame-7",
        )  # fmt: skip
        self.client.force_login(self.ada)

    def page(self, message=None, **query):
        return self.client.get(f"/m/{(message or self.answer).pk}/about/", query)

    def facts(self, message=None):
        told = self.page(message).context["about"]
        return {label: value for group in told.groups for label, value in group.facts}


class AboutTests(AboutTestCase):
    def test_all_that_is_known_is_told(self):
        facts = self.facts()
        expected = {
            "Model": "openai:tea",
            "Status": "Done",
            "Finish reason": "stop",
            "Waited in the queue": "4.00 s",
            "First token after": "1.00 s",
            "Duration": "5.00 s",
            "Tokens in": "1200",
            "Tokens out": "80",
            "Speed": "20.0 tokens/s",
            "Message": str(self.answer.pk),
            "Generation": str(self.answer.generation.pk),
            "Request": "frame-7",
            "Events": "1234",
        }
        self.assertEqual({name: facts.get(name) for name in expected}, expected)
        for unknown in ("Agent", "Route", "Version", "Cost", "Thought for"):
            self.assertNotIn(unknown, facts)

    def test_a_part_is_what_stands_in_the_page(self):
        page, part = self.page(), self.page(**{"as": "part"})
        self.assertContains(page, "<html")
        self.assertNotContains(part, "<html")
        for response in (page, part):
            self.assertContains(response, "openai:tea")
            self.assertContains(response, f"/g/{self.answer.generation.pk}/")

    def test_what_it_was_asked_with_is_told_as_it_was_then(self):
        Provenance.objects.create(
            generation=self.answer.generation,
            parameters={"temperature": 0.5, "stop": ["END"]},
            system_prompt="Be <b>brief</b>.",
            cost=NANO // 80,
            currency="EUR",
        )
        self.conversation.parameters = {"temperature": 2}
        self.conversation.system_prompt = "Be long."
        self.conversation.save()
        page = self.page()
        told = page.context["about"]
        self.assertEqual(told.parameters, [("Temperature", "0.5"), ("stop", '["END"]')])
        self.assertContains(page, "Be &lt;b&gt;brief&lt;/b&gt;.")
        self.assertNotContains(page, "Be long.")
        self.assertEqual(self.facts()["Cost"], "0.0125 EUR")

    def test_a_cost_without_a_count_is_an_estimate(self):
        generation = self.answer.generation
        generation.usage = None
        generation.save()
        Provenance.objects.create(generation=generation, cost=NANO, currency="USD")
        facts = self.facts()
        self.assertEqual(facts["Cost, estimated"], "1.00 USD")
        self.assertNotIn("Tokens in", facts)

    def test_amounts_have_as_many_digits_as_they_need(self):
        found = [_amount(cost) for cost in (0, 1, 12_345, 1_500_000_000, 1234 * NANO)]
        self.assertEqual(found, ["0.00", "0.00", "0.000012", "1.50", "1234.00"])

    def test_which_version_it_is(self):
        again = self.add_answer(self.conversation, self.answer.parent, "Black.")
        self.assertEqual(self.facts()["Version"], "1 of 2")
        self.assertEqual(self.facts(again)["Version"], "2 of 2")

    def test_an_agents_route_is_told(self):
        generation = self.answer.generation
        generation.agent = "router"
        generation.save()
        for number, name in enumerate(("check", "decide", "answer")):
            result = {"reason": "a question"} if name == "decide" else None
            generation.steps.create(sequence=number, name=name, status="done", result=result)
        facts = self.facts()
        self.assertEqual(facts["Agent"], "router")
        self.assertEqual(facts["Route"], "check → decide → answer")
        self.assertEqual(facts["Reason"], "a question")

    def test_a_failure_is_told(self):
        error = {"code": "upstream_reset", "message": "Broken off.", "retryable": True}
        failed = self.add_turn(self.conversation, "q", "", status="failed", error=error)
        self.assertContains(self.page(failed), "Broken off.")
        self.assertEqual(self.facts(failed)["Status"], "Failed")

    def test_an_answer_without_a_run_was_brought_in(self):
        asked = self.conversation.messages.create(role="user", text="q")
        told = self.conversation.messages.create(role="assistant", text="a", parent=asked)
        page = self.page(told)
        self.assertContains(page, "brought in from elsewhere")
        self.assertNotContains(page, "/g/")

    async def test_a_fork_says_where_it_came_from(self):
        fork = await fork_conversation(self.ada, self.conversation.pk, message_id=self.answer.pk)
        await in_database(self.check_fork, fork)

    def check_fork(self, fork):
        copy = fork.messages.get(role="assistant")
        page = self.page(copy)
        place = f"/c/{self.conversation.pk}/#m-{self.answer.pk}"
        self.assertContains(page, place)
        self.assertContains(page, "copied when the conversation was forked")
        self.call("DELETE", path_of(self.conversation), status=204)
        self.assertNotContains(self.page(copy), place)

    def test_strangers_and_prompts_have_no_page(self):
        self.assertEqual(self.page(self.answer.parent).status_code, 404)
        self.client.force_login(self.bob)
        for query in ({}, {"as": "part"}):
            self.assertEqual(self.page(**query).status_code, 404)

    def test_the_number_of_queries_is_fixed(self):
        again = self.add_answer(self.conversation, self.answer.parent, "Black.")
        message = Message.objects.select_related("generation__provenance", "conversation")
        with self.assertNumQueries(2):
            about(message.with_thought().get(pk=again.pk))


class ThoughtTests(AboutTestCase):
    def titles(self):
        for address in (f"/c/{self.conversation.pk}/", f"/m/{self.answer.pk}/"):
            yield self.client.get(address)

    def test_the_fold_says_how_long_it_was_thought(self):
        Message.objects.filter(pk=self.answer.pk).update(reasoning="Hm.")
        timing = Timing.objects.create(generation=self.answer.generation, marks=[[3250, 6]])
        for page in self.titles():
            self.assertContains(page, '<span class="reasoning-title">Thoughts</span>')
        for thought_ms, title in ((3240, "3.2 s"), (0, "0.0 s"), (75_400, "1 min 15 s")):
            timing.thought_ms = thought_ms
            timing.save()
            for page in self.titles():
                self.assertContains(page, f">Thought for {title}</span>")
        self.assertEqual(self.facts()["Thought for"], "1 min 15 s")

    def noted(self, *pieces):
        with mock.patch.object(timing, "monotonic") as clock:
            clock.return_value = 100.0
            marks = Marks()
            for piece in pieces:
                clock.return_value += 0.5
                marks.note(3) if piece == "text" else marks.note_thought()
            return marks.thought_ms

    def test_it_is_the_time_from_the_first_thought_to_the_first_text(self):
        self.assertEqual(self.noted("thought", "thought", "text", "thought", "text"), 1000)
        for unknown in ((), ("text",), ("text", "thought", "text"), ("thought",)):
            self.assertIsNone(self.noted(*unknown), unknown)


class KeptTests(GenerationCase, TransactionTestCase):
    event_log = "database"

    def setUp(self):
        super().setUp()
        rates.forget()  # Prices of another test.

    async def ended(self, **fields):
        generation = (await self.start(**fields)).generation
        await self.events(generation)
        return await self.reload(generation)

    def kept(self, generation):
        return Provenance.objects.filter(generation=generation).first()

    async def test_a_plain_answer_has_no_row(self):
        generation = await self.ended(model="openai:words:3")
        self.assertIsNone(await in_database(self.kept, generation))

    async def test_parameters_and_prompt_in_force_are_kept(self):
        options = {"temperature": 0.25, "max_tokens": 50}
        generation = await self.ended(model="openai:words:3", options=options)
        kept = await in_database(self.kept, generation)
        self.assertEqual(kept.parameters, options)
        self.assertEqual((kept.system_prompt, kept.currency), ("", ""))

    async def test_a_price_is_that_of_the_day(self):
        price = Price(model="openai:words:3", input_price=1, output_price=2, currency="EUR")
        await in_database(price.save)
        generation = await self.ended(model="openai:words:3")
        kept = await in_database(self.kept, generation)
        usage = generation.usage
        cost = (usage["input_tokens"] + 2 * usage["output_tokens"]) * 1000
        self.assertEqual((kept.cost, kept.currency), (cost, "EUR"))

    async def test_thinking_is_timed(self):
        generation = await self.ended(model="openai:reasoning:reasoning_content@10")
        row = await in_database(Timing.objects.get, generation=generation)
        self.assertGreaterEqual(row.thought_ms, 0)
        generation = await self.ended(model="openai:words:3")
        row = await in_database(Timing.objects.get, generation=generation)
        self.assertIsNone(row.thought_ms)
