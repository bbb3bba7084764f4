"""Budgets against a real model server: refused, warned of, cut; and the usage they count."""

from datetime import timedelta
from decimal import Decimal

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import TestCase, TransactionTestCase
from django.test.utils import CaptureQueriesContext

from chat.database import in_transaction
from chat.errors import BudgetSpent
from chat.eventlog import event_log
from chat.events import EventKind
from chat.generations import budgets, rates, stop_generation, usage
from chat.generations.end import End, Facts
from chat.generations.turns import Run
from chat.models import Budget, Generation, Price, Spending, Usage
from chat.models.ids import new_id
from chat.models.usage import NANO, today
from tests.generations.test_generations import GenerationCase
from tests.upstream import words_text

Status = Generation.Status


class BudgetsWhileAnswering(GenerationCase, TransactionTestCase):
    event_log = "database"

    def setUp(self):
        super().setUp()
        rates.forget()
        self.addCleanup(rates.forget)

    async def abudget(self, amount, **fields):
        return await Budget.objects.acreate(name="Month", amount=amount, **fields)

    async def test_usage_is_what_the_model_counted(self):
        await Price.objects.acreate(model="", input_price=Decimal(1), output_price=Decimal(2))
        for _ in range(2):
            generation = (await self.start()).generation
            await self.events(generation)
        saved = await self.reload(generation)
        row = await Usage.objects.aget()
        counted = saved.usage["input_tokens"], saved.usage["output_tokens"]
        self.assertEqual((row.day, row.user_id, row.model), (today(), self.user.pk, saved.model))
        self.assertEqual((row.answers, row.estimated), (2, 0))
        self.assertEqual((row.input_tokens, row.output_tokens), (2 * counted[0], 2 * counted[1]))
        self.assertEqual(row.cost, 2 * (counted[0] + 2 * counted[1]) * 1000)

    async def test_what_the_model_did_not_count_is_estimated(self):
        generation = (await self.start(model="openai:infinite@200")).generation
        await self.until_text(generation)
        stopped = await stop_generation(generation)
        row = await Usage.objects.aget()
        text = (await self.reload(stopped)).message.text
        self.assertEqual((row.answers, row.estimated), (1, 1))
        self.assertEqual(row.output_tokens, usage.tokens_of(len(text)))

    async def until_text(self, generation):
        async for batch in event_log().follow(generation.pk):
            if any(event.kind is EventKind.DELTA for event in batch):
                return

    async def test_a_spent_budget_refuses_the_next_prompt_and_says_until_when(self):
        await self.abudget(1)
        await Usage.objects.acreate(day=today(), user=self.user, model="m", output_tokens=1)
        asked = len(self.upstream.journal)
        with self.assertRaisesRegex(BudgetSpent, "“Month” is spent.*renewed at") as caught:
            await self.start()
        self.assertGreater(caught.exception.retry_after, 0)
        self.assertTrue(caught.exception.as_dict()["retryable"])
        self.assertFalse(await Generation.objects.aexists())
        self.assertEqual(len(self.upstream.journal), asked)

    async def test_a_running_answer_is_cut_cleanly_and_keeps_its_text(self):
        await self.abudget(60, soft_percent=0)
        generation = (await self.start(model="openai:infinite@400")).generation
        events = await self.events(generation)
        end = events[-1]
        self.assertEqual((end.kind, end.data["finish_reason"]), (EventKind.DONE, "budget"))
        text = "".join(event.data["text"] for event in events if event.kind is EventKind.DELTA)
        saved = await self.reload(generation)
        self.assertEqual((saved.status, saved.message.text), (Status.DONE, text))
        self.assertTrue(text)
        # By no more than one read, which holds what came in 50 ms.
        self.assertLess(usage.tokens_of(len(text)), 60 + 200)
        with self.assertRaises(BudgetSpent):
            await self.start()
        self.assertTrue(await Spending.objects.aexists())
        await in_transaction(budgets.sweep)
        self.assertFalse(await Spending.objects.aexists())

    async def test_a_soft_limit_warns_once_and_the_answer_goes_on(self):
        await self.abudget(10_000, soft_percent=1)
        await Usage.objects.acreate(day=today(), user=self.user, model="m", output_tokens=500)
        generation = (await self.start(model="openai:words:50")).generation
        events = await self.events(generation)
        notices = [event for event in events if event.kind is EventKind.NOTICE]
        self.assertEqual(len(notices), 1)
        self.assertEqual((notices[0].data["code"], notices[0].data["percent"]), ("budget_low", 5))
        self.assertEqual((await self.reload(generation)).message.text, words_text(50))

    async def test_answers_at_the_same_time_share_what_is_left(self):
        await self.abudget(300, soft_percent=0)
        models = [f"openai:infinite@{200 + n}" for n in range(3)]
        running = [(await self.start(model=model)).generation for model in models]
        for generation in running:
            self.assertEqual((await self.events(generation))[-1].data["finish_reason"], "budget")
        spent = await self.spent()
        # Each may write for a second, and one read, before it hears of the others.
        self.assertLess(spent, 300 + 3 * 300)

    async def spent(self):
        return sum([row.output_tokens async for row in Usage.objects.all()])

    async def test_nothing_is_said_of_an_answer_without_a_budget(self):
        generation = (await self.start()).generation
        await self.events(generation)
        self.assertFalse(await Spending.objects.aexists())


class CountingTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ada = get_user_model().objects.create_user("ada")
        cls.bob = get_user_model().objects.create_user("bob")
        cls.group = Group.objects.create(name="Lab")
        cls.group.user_set.add(cls.ada, cls.bob)

    def setUp(self):
        rates.forget()
        self.addCleanup(rates.forget)

    def use(self, user, *, days_ago=0, model="m", tokens=10, **fields):
        day = today() - timedelta(days=days_ago)
        Usage.objects.create(day=day, user=user, model=model, output_tokens=tokens, **fields)

    def spent(self, owner=None, model="m", **fields):
        Budget.objects.all().delete()
        Budget.objects.create(name="b", amount=100, period="total", **fields)
        return [each.spent for each in budgets.standings((owner or self.ada).pk, model)]

    def test_each_scope_counts_its_own(self):
        self.use(self.ada)
        self.use(self.bob, tokens=20)
        self.use(None, tokens=40)
        self.assertEqual(self.spent(scope="each"), [10])
        self.assertEqual(self.spent(scope="user", user=self.ada), [10])
        self.assertEqual(self.spent(self.bob, scope="each"), [20])
        self.assertEqual(self.spent(scope="group", group=self.group), [30])
        self.assertEqual(self.spent(scope="site"), [70])

    def test_budgets_of_others_and_of_other_models_do_not_apply(self):
        stranger = get_user_model().objects.create_user("eve")
        self.assertEqual(self.spent(stranger, scope="group", group=self.group), [])
        Budget.objects.create(name="b", amount=1, scope="user", user=self.ada)
        self.assertEqual(len(budgets.standings(stranger.pk, "m")), 0)
        self.use(self.ada, model="other")
        self.use(self.ada)
        Budget.objects.all().delete()
        Budget.objects.create(name="b", amount=1, model="other", period="total")
        self.assertEqual(budgets.standings(self.ada.pk, "m"), [])
        self.assertEqual([each.spent for each in budgets.standings(self.ada.pk, "other")], [10])

    def test_only_the_period_counts(self):
        self.use(self.ada, days_ago=40)
        self.use(self.ada)
        Budget.objects.create(name="month", amount=100, period="month")
        Budget.objects.create(name="total", amount=100, period="total")
        found = {each.budget.name: each.spent for each in budgets.standings(self.ada.pk, "m")}
        self.assertEqual(found, {"month": 10, "total": 20})

    def test_money_counts_its_own_currency(self):
        self.use(self.ada, cost=3 * NANO, currency="EUR")
        self.use(self.ada, cost=5 * NANO, currency="USD")
        Budget.objects.create(name="b", amount=4, unit="money", currency="EUR", period="total")
        (found,) = budgets.standings(self.ada.pk, "m")
        self.assertEqual((found.spent, found.left, found.percent), (3 * NANO, NANO, 75))

    def test_a_budget_that_is_off_does_not_count(self):
        Budget.objects.create(name="b", amount=0, is_on=False)
        budgets.check(self.ada.pk, "m")

    def test_a_total_budget_is_not_worth_another_try(self):
        Budget.objects.create(name="b", amount=0, period="total")
        with self.assertRaises(BudgetSpent) as caught:
            budgets.check(self.ada.pk, "m")
        self.assertIsNone(caught.exception.retry_after)
        self.assertFalse(caught.exception.as_dict()["retryable"])

    def test_without_budgets_a_prompt_asks_the_database_nothing(self):
        rates.rates()
        with CaptureQueriesContext(connection) as queries:
            budgets.check(self.ada.pk, "m")
        self.assertEqual(len(queries), 0)

    def test_the_end_of_an_answer_costs_one_statement(self):
        rates.rates()
        run = Run(
            generation_id=new_id(),
            epoch=1,
            conversation_id=new_id(),
            owner_id=self.ada.pk,
            message_id=new_id(),
            model="m",
            history=[],
            prompt="hello",
        )
        counted = Facts(usage={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3})
        with CaptureQueriesContext(connection) as queries:
            usage.add(run, End.of([], Status.DONE, counted))
        self.assertEqual(len(queries), 1)

    def test_usage_outlives_the_account_without_its_name(self):
        self.use(self.ada)
        self.ada.delete()
        self.assertIsNone(Usage.objects.get().user)

    def test_a_budget_names_whom_it_is_for(self):
        with self.assertRaises(ValidationError):
            Budget(name="b", amount=1, scope="user").full_clean()
        with self.assertRaises(ValidationError):
            Budget(name="b", amount=1, scope="each", group=self.group).full_clean()
