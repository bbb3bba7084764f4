from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase, override_settings

from chat.errors import UnknownModel
from chat.llm import registry
from chat.llm.registry import available_models, default_model, get_chat_model
from tests.llm.base import chat
from tests.upstream import FakeUpstream, unused_port


def providers(*, openai="", key="", ollama=""):
    return override_settings(OPENAI_BASE_URL=openai, OPENAI_API_KEY=key, OLLAMA_HOST=ollama)


class DefaultModelTests(SimpleTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.upstream = cls.enterClassContext(FakeUpstream())

    def setUp(self):
        registry.reset()
        self.upstream.models.update(openai=["first", "second"], ollama=[])

    async def test_setting_wins(self):
        with providers(key="sk-x"), chat(MODEL="openai:mine"):
            assert await default_model() == "openai:mine"

    async def test_first_model_of_the_configured_server(self):
        with providers(openai=self.upstream.base_url):
            assert await default_model() == "openai:first"

    async def test_server_that_lists_nothing_gets_a_name_all_the_same(self):
        with providers(openai=f"http://127.0.0.1:{unused_port()}/v1"):
            assert await default_model() == "openai:default"

    async def test_official_server_is_not_asked(self):
        with providers(key="sk-x"):
            assert await default_model() == "openai:gpt-4.1-mini"

    async def test_first_model_of_ollama(self):
        self.upstream.models["ollama"] = ["llama3:8b"]
        with providers(ollama=f"127.0.0.1:{self.upstream.port}"):
            assert await default_model() == "ollama:llama3:8b"

    async def test_demo_when_there_is_nothing_else(self):
        with providers(ollama=f"http://127.0.0.1:{unused_port()}"):
            assert await default_model() == "demo"

    async def test_default_is_found_once(self):
        with providers(openai=self.upstream.base_url):
            await default_model()
            self.upstream.models["openai"] = ["other"]
            assert await default_model() == "openai:first"
            registry.reset()
            assert await default_model() == "openai:other"


class AvailableModelsTests(SimpleTestCase):
    def setUp(self):
        registry.reset()

    async def test_all_providers_are_listed_with_the_default_first(self):
        with FakeUpstream() as upstream:
            upstream.models.update(openai=["a", "text-embedding-3"], ollama=["b"])
            with (
                providers(openai=upstream.base_url, ollama=upstream.root_url),
                chat(MODELS={"mine": "x.Y"}, MODEL="ollama:b"),
            ):
                names = [model.name for model in await available_models()]
        assert names == ["ollama:b", "mine", "openai:a", "demo"]

    async def test_providers_that_are_down_add_nothing(self):
        down = f"http://127.0.0.1:{unused_port()}"
        with providers(openai=f"{down}/v1", ollama=down):
            names = [model.name for model in await available_models()]
        assert names == ["openai:default", "demo"]

    async def test_nonsense_from_a_provider_adds_nothing(self):
        with FakeUpstream() as upstream:
            upstream.models["openai"] = [None, 3, "ok", "bad\nname", {}]
            with providers(openai=upstream.base_url):
                names = [model.name for model in await available_models()]
        assert names == ["openai:ok", "demo"]


class GetChatModelTests(SimpleTestCase):
    def test_same_name_gives_the_same_model(self):
        assert get_chat_model("demo") is get_chat_model("demo")
        with providers(openai="http://a/v1/"):
            model = get_chat_model("openai:x/y:z")
        assert (model.model, model.base_url) == ("x/y:z", "http://a/v1")

    def test_the_key_is_not_in_the_models_representation(self):
        with providers(key="sk-canary"):
            model = get_chat_model("openai:x")
            assert "canary" not in f"{model!r}{model}{model.model_dump()}"

    def test_ollama_address_in_all_its_forms(self):
        for host, url in {
            "": "http://:11434",
            "127.0.0.1": "http://127.0.0.1:11434",
            "0.0.0.0": "http://127.0.0.1:11434",
            "box:1234": "http://box:1234",
            "http://box:1234/": "http://box:1234",
            "https://ollama.example": "https://ollama.example",
        }.items():
            if host:
                with self.subTest(host), providers(ollama=host):
                    assert registry.ollama_url() == url

    def test_unknown_names(self):
        for name in ("", "x", "openai", "openai:", "demo2", ":x", "mine"):
            with self.subTest(name), self.assertRaises(UnknownModel):
                get_chat_model(name)

    def test_unusable_entries_say_which(self):
        for entry in ("no.such.Class", {"class": "builtins.int"}, {}, "builtins.dict"):
            with (
                self.subTest(entry),
                chat(MODELS={"mine": entry}),
                self.assertRaisesMessage(ImproperlyConfigured, "'mine'"),
            ):
                get_chat_model("mine")
