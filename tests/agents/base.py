"""An agent that answers in one process, against the scripted model server."""

import asyncio

from django.test import TransactionTestCase

from chat.database import in_database
from chat.eventlog import event_log
from chat.events import EventKind
from chat.generations.steps import steps_of
from chat.models import Generation, Step
from tests.generations.test_generations import GenerationCase

QUICK = {"class": "chat.agents.router.build", "seconds_per_word": 0}
DEMO = {"class": "chat.llm.demo.DemoChatModel", "tokens_per_second": 0}
RULES_ONLY = QUICK | {"safety": "rules"}


class AgentCase(GenerationCase, TransactionTestCase):
    """Ways to ask the router and to look at its steps; its model is asked for the mode only."""

    event_log = "database"
    agents = {"router": RULES_ONLY}

    def setUp(self):
        super().setUp()
        self.upstream.reset()
        chat = self.chat(
            MAX_RUNNING_PER_USER=99, AGENTS=self.agents, MODELS={"quick": DEMO}, PACE_MS=1
        )
        self.enterContext(chat)

    def script(self, *answers):
        """Answer the next questions so: a mode of the upstream, or plain words."""
        self.upstream.script(*(a if ":" in a else f"text:{a}" for a in answers))

    async def ask(self, text="Why?", *answers, model="openai:words:5", **fields):
        self.script(*answers)
        return await self.start(text, model=model, **{"agent": "router"} | fields)

    async def answer(self, text="Why?", *answers, **fields):
        """Return the generation when it has ended."""
        generation = (await self.ask(text, *answers, **fields)).generation
        await self.events(generation)
        return await self.reload(generation)

    async def reload(self, generation):
        rows = Generation.objects.select_related("message__parent", "conversation")
        return await in_database(rows.get, pk=generation.pk)

    async def steps(self, generation):
        return await in_database(steps_of, generation)

    async def rows(self):
        return await in_database(lambda: list(Step.objects.order_by("generation", "sequence")))

    async def told_steps(self, generation):
        """Return name and status of each step event."""
        return [
            (event.data["name"], event.data["status"])
            for event in await self.events(generation)
            if event.kind == EventKind.STEP
        ]

    async def until(self, generation, kind, *, step=""):
        """Wait for an event of that kind, or for a step to be told as started."""
        async with asyncio.timeout(20):
            async for batch in event_log().follow(generation.pk):
                for event in batch:
                    if event.kind == kind and (not step or event.data.get("name") == step):
                        return

    @property
    def asked(self):
        """What the model server was sent, request by request: role and content."""
        return [
            [(m["role"], m["content"]) for m in entry["body"]["messages"]]
            for entry in self.upstream.journal
        ]
