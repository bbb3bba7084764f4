"""Models that staff define, asked over real HTTP: where, with which key, and by whose leave."""

from django.test import override_settings

from chat.errors import UnknownModel, UpstreamAuth
from chat.llm import served
from chat.llm.keys import seal
from chat.llm.registry import (
    available_models,
    check_model_name,
    get_chat_model,
    usable_default,
)
from chat.llm.served import Catalogue, Served
from chat.llm.vision import takes_images
from tests.llm.base import Answer, UpstreamTestCase, chat, stream_answer

SITE_KEY, OWN_KEY = "sk-canary1234", "sk-own-key-5678"


class ServedCase(UpstreamTestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(served.put, served.NONE)

    def serve(self, *rows, off=()):
        served.put(Catalogue(rows={row.name: row for row in rows}, off=frozenset(off)))

    async def reply(self, name):
        answer = Answer()
        try:
            async for piece in stream_answer(model=name, system="", history=(), prompt="Hello"):
                answer.pieces.append(piece)
        except Exception as exc:
            answer.error = exc
        return answer

    async def sent_key(self, name):
        self.upstream.journal.clear()
        assert (await self.reply(name)).error is None
        [entry] = self.upstream.journal
        return entry["model"], entry["headers"].get("authorization")


class KeyTests(ServedCase):
    async def test_its_own_key_goes_to_its_own_address(self):
        row = Served(
            name="fast", model="echo", base_url=self.upstream.base_url, sealed_key=seal(OWN_KEY)
        )
        self.serve(row)
        assert await self.sent_key("fast") == ("echo", f"Bearer {OWN_KEY}")

    async def test_the_sites_key_is_never_sent_to_another_address(self):
        url = self.upstream.base_url
        self.serve(
            Served(name="fast", model="echo", base_url=url),
            Served(name="local", model="echo", base_url=self.upstream.root_url, provider="ollama"),
        )
        for name in ("fast", "local"):
            model, key = await self.sent_key(name)
            assert model == "echo"
            assert SITE_KEY not in (key or "")

    async def test_without_an_address_it_is_the_sites_with_its_key(self):
        self.serve(Served(name="echo"))
        assert await self.sent_key("echo") == ("echo", f"Bearer {SITE_KEY}")

    async def test_a_changed_row_is_asked_anew(self):
        row = {"name": "fast", "base_url": self.upstream.base_url, "sealed_key": seal(OWN_KEY)}
        self.serve(Served(**row, model="echo"))
        first = get_chat_model("fast")
        assert get_chat_model("fast") is first
        self.serve(Served(**row | {"sealed_key": seal("sk-second-9999")}, model="echo"))
        assert get_chat_model("fast") is not first
        assert await self.sent_key("fast") == ("echo", "Bearer sk-second-9999")

    async def test_a_key_that_cannot_be_read_fails_the_answer_clearly(self):
        with override_settings(SECRET_KEY="quite another secret than that in force"):
            sealed = seal(OWN_KEY)
        self.serve(Served(name="fast", base_url=self.upstream.base_url, sealed_key=sealed))
        answer = await self.reply("fast")
        assert isinstance(answer.error, UpstreamAuth)
        assert "enter it again" in str(answer.error)
        assert self.upstream.journal == []

    def test_neither_key_is_in_a_representation(self):
        row = Served(name="fast", base_url="http://a/v1", sealed_key=seal(OWN_KEY))
        self.serve(row)
        shown = f"{row!r}{served.catalogue()!r}{get_chat_model('fast')!r}"
        assert OWN_KEY not in shown
        assert row.sealed_key not in shown


class NameTests(ServedCase):
    def test_a_model_of_other_groups_is_as_unknown_as_any(self):
        self.serve(Served(name="fast", groups=frozenset({1})))
        check_model_name("fast", frozenset({1, 2}))
        check_model_name("fast")
        for groups in (frozenset(), frozenset({2})):
            with self.assertRaises(UnknownModel) as refused:
                check_model_name("fast", groups)
            with self.assertRaises(UnknownModel) as unknown:
                check_model_name("fost", groups)
            assert str(refused.exception) == str(unknown.exception).replace("fost", "fast")

    def test_whoever_asks_within_an_answer_is_asked_for(self):
        self.serve(Served(name="fast", groups=frozenset({1})))
        token = served.asking.set(frozenset())
        self.addCleanup(served.asking.reset, token)
        with self.assertRaises(UnknownModel):
            get_chat_model("fast")

    def test_a_model_that_is_off_is_gone_even_if_it_is_found(self):
        self.serve(off=["openai:echo", "fast"])
        for name in ("openai:echo", "fast"):
            with self.assertRaises(UnknownModel):
                get_chat_model(name)

    def test_only_what_is_listed(self):
        self.serve(Served(name="openai:echo"))
        with chat(MODELS_LISTED_ONLY=True):
            check_model_name("openai:echo")
            for name in ("openai:other", "demo", "ollama:x"):
                with self.assertRaises(UnknownModel):
                    check_model_name(name)

    def test_on_trial_it_is_there_though_it_is_off(self):
        row = Served(name="fast")
        self.serve(off=["fast"])
        with served.trying(row):
            check_model_name("fast")
        with self.assertRaises(UnknownModel):
            check_model_name("fast")

    async def test_the_list_is_that_of_the_groups(self):
        self.upstream.models["openai"] = ["echo", "words"]
        self.serve(
            Served(name="fast", label="Fast one", description="Quick", groups=frozenset({1})),
            Served(name="openai:echo", label="Parrot"),
        )
        with chat(MODEL="fast"):
            everybody = await available_models(frozenset())
            theirs = await available_models(frozenset({1}))
            assert await usable_default(frozenset()) == "openai:echo"
            assert await usable_default(frozenset({1})) == "fast"
        assert "fast" not in [model.name for model in everybody]
        assert (theirs[0].label, theirs[0].description) == ("Fast one", "Quick")
        names = [model.name for model in theirs]
        assert names.count("openai:echo") == 1

    def test_images_are_as_staff_say(self):
        self.serve(
            Served(name="a", images=True),
            Served(name="openai:gpt-4o", images=False),
            Served(name="b", model="llava:7b"),
        )
        assert [takes_images(name) for name in ("a", "openai:gpt-4o", "b")] == [True, False, True]
