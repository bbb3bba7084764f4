from unittest import mock

from django.core.checks import CheckMessage, run_checks
from django.db import connection
from django.test import SimpleTestCase, TestCase, override_settings

from chat import checks
from chat.bus import bus
from chat.eventlog.memory import MemoryEventLog


def ids(found: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in found]


class SharedLog(MemoryEventLog):
    """A log that says that many processes can use it."""

    supports_many_processes = True


class SyncOnly:
    """A middleware that never heard of async."""

    def __init__(self, get_response):
        self.get_response = get_response


class ShippedSettingsTests(TestCase):
    def test_the_shipped_settings_pass(self):
        self.assertEqual(run_checks(), [])


class KeyTests(SimpleTestCase):
    @override_settings(CHAT={"MDOEL": "demo"})
    def test_an_unknown_key_is_named_with_its_nearest_neighbour(self):
        (error,) = checks.check_keys(None)
        self.assertEqual(error.id, "chat.E001")
        self.assertEqual(error.msg, "CHAT['MDOEL'] is not a setting. Did you mean MODEL?")

    @override_settings(CHAT={"XYZZY": 1})
    def test_nothing_is_suggested_when_nothing_is_near(self):
        (error,) = checks.check_keys(None)
        self.assertEqual(error.msg, "CHAT['XYZZY'] is not a setting.")

    def test_a_misspelt_variable_is_named(self):
        with mock.patch.dict("os.environ", {"CHAT_QUEUE_LIMITS": "1"}):
            (warning,) = checks.check_environment(None)
        self.assertEqual(warning.id, "chat.W005")
        self.assertIn("CHAT_QUEUE_LIMIT?", warning.msg)

    def test_variables_of_others_and_of_the_site_are_left_alone(self):
        with mock.patch.dict("os.environ", {"CHAT_WEBHOOK_XYZ": "1", "CHAT_DATA_DIR": "x"}):
            self.assertEqual(checks.check_environment(None), [])


class ValueTests(SimpleTestCase):
    BAD = (
        ("MAX_READERS", -1),
        ("MAX_READERS", 0),
        ("MAX_READERS", 2.5),
        ("MAX_READERS", "12"),
        ("MAX_READERS", True),
        ("PACE_MS", 1001),
        ("MAX_PROMPT_BYTES", 131_073),
        ("IDLE_TIMEOUT", float("nan")),
        ("IDLE_TIMEOUT", float("inf")),
        ("QUEUE_LIMIT", -1),
        ("OPEN_DIALECTS", "off"),
        ("CORS_ORIGINS", "https://a.example"),
        ("CORS_ORIGINS", [1]),
        ("MODELS", []),
        ("MODEL", None),
    )
    GOOD = (
        ("PACE_MS", 0),
        ("QUEUE_LIMIT", 0),
        ("RETENTION_SECONDS", 0),
        ("IDLE_TIMEOUT", 0.5),
        ("IDLE_TIMEOUT", 60),
        ("CORS_ORIGINS", ["https://a.example"]),
        ("MODELS", {}),
    )

    def test_a_value_of_the_wrong_type_or_out_of_range_is_an_error(self):
        for key, value in self.BAD:
            with self.subTest(key=key, value=value), override_settings(CHAT={key: value}):
                (error,) = checks.check_values(None)
                self.assertEqual(error.id, "chat.E002")
                self.assertIn(f"CHAT['{key}'] must be ", error.msg)

    def test_edges_are_accepted(self):
        for key, value in self.GOOD:
            with self.subTest(key=key, value=value), override_settings(CHAT={key: value}):
                self.assertEqual(checks.check_values(None), [])


class EventLogTests(SimpleTestCase):
    def test_names_and_paths_of_event_logs_are_accepted(self):
        for name in ("memory", "redis", "chat.eventlog.memory.MemoryEventLog"):
            with self.subTest(name), override_settings(CHAT={"EVENT_LOG": name}):
                self.assertEqual(checks.check_event_log(None), [])

    def test_anything_else_is_an_error(self):
        for name in ("disk", "chat.eventlog.nowhere.Log", "chat.conf.ChatSettings", "", 3):
            with self.subTest(name), override_settings(CHAT={"EVENT_LOG": name}):
                self.assertEqual(ids(checks.check_event_log(None)), ["chat.E003"])


class RedisTests(SimpleTestCase):
    @override_settings(CHAT={"EVENT_LOG": "redis"}, REDIS_URL="")
    def test_an_event_log_in_redis_needs_an_address(self):
        (error,) = checks.check_redis(None)
        self.assertEqual(error.id, "chat.E007")
        self.assertIn("REDIS_URL", error.hint)

    @override_settings(CHAT={"EVENT_LOG": "redis"}, REDIS_URL="redis://127.0.0.1:6379/0")
    def test_an_event_log_in_redis_needs_the_package(self):
        self.assertEqual(checks.check_redis(None), [])
        with mock.patch.dict("sys.modules", {"redis": None}):
            (error,) = checks.check_redis(None)
            self.assertEqual(checks.check_event_log(None), [])
        self.assertIn("extra 'redis'", error.hint)

    @override_settings(CHAT={}, REDIS_URL="")
    def test_other_event_logs_need_no_redis(self):
        self.assertEqual(checks.check_redis(None), [])


class EngineTests(SimpleTestCase):
    def test_names_and_paths_of_engines_are_accepted(self):
        for name in ("inline", "chat.generations.engine.InlineEngine"):
            with self.subTest(name), override_settings(CHAT={"ENGINE": name}):
                self.assertEqual(checks.check_engine(None), [])

    def test_anything_else_is_an_error(self):
        for name in ("workers", "chat.nowhere.Engine", "", 3):
            with self.subTest(name), override_settings(CHAT={"ENGINE": name}):
                self.assertEqual(ids(checks.check_engine(None)), ["chat.E008"])

    @override_settings(CHAT={"ENGINE": "procrastinate", "EVENT_LOG": "memory"})
    def test_workers_need_postgresql_an_app_and_a_log_for_many_processes(self):
        found = checks.check_engine(None)
        self.assertEqual(set(ids(found)), {"chat.E008"})
        said = " ".join(error.msg for error in found)
        self.assertEqual("not PostgreSQL" in said, connection.vendor != "postgresql")
        self.assertIn("MemoryEventLog", said)
        self.assertRegex(said, "not installed|its app is not")


class AsgiTests(SimpleTestCase):
    @override_settings(ASGI_APPLICATION=None)
    def test_a_site_without_asgi_application_is_told(self):
        self.assertEqual(ids(checks.check_asgi(None)), ["chat.E005"])

    @override_settings(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"])
    def test_a_site_without_channels_is_told(self):
        self.assertEqual(ids(checks.check_asgi(None)), ["chat.E005"])


class WarningTests(SimpleTestCase):
    def test_tracing_is_off_in_the_shipped_settings(self):
        self.assertEqual(checks.check_tracing(None), [])

    def test_tracing_that_is_on_is_named(self):
        for name in checks.TRACING_VARIABLES:
            with self.subTest(name), mock.patch.dict("os.environ", {name: "true"}):
                self.assertEqual(ids(checks.check_tracing(None)), ["chat.W001"])

    def test_one_process_needs_nothing_to_be_shared(self):
        for processes in ("1", "", "many"):
            with mock.patch.dict("os.environ", {"WEB_CONCURRENCY": processes}):
                self.assertEqual(checks.check_processes(None), [])

    @mock.patch.dict("os.environ", {"WEB_CONCURRENCY": "4"})
    def test_several_processes_should_hear_each_other(self):
        with override_settings(REDIS_URL="", CHAT={"EVENT_LOG": f"{__name__}.SharedLog"}):
            bus.cache_clear()
            reached = bus().reaches_processes
            self.assertEqual(ids(checks.check_processes(None)), [] if reached else ["chat.W002"])
        with override_settings(
            REDIS_URL="redis://127.0.0.1:1/0", CHAT={"EVENT_LOG": f"{__name__}.SharedLog"}
        ):
            self.assertEqual(checks.check_processes(None), [])

    @mock.patch.dict("os.environ", {"WEB_CONCURRENCY": "4"})
    @override_settings(REDIS_URL="redis://127.0.0.1:1/0", CHAT={"EVENT_LOG": "memory"})
    def test_d21_several_processes_are_refused_an_event_log_in_memory(self):
        (error,) = checks.check_processes(None)
        self.assertEqual((error.id, error.is_serious()), ("chat.E006", True))

    def test_origins_need_a_scheme_and_no_path(self):
        good = ["https://a.example", "http://127.0.0.1:3000", "https://[::1]:8443"]
        bad = ["a.example", "https://a.example/", "*", "ws://a.example", "https://", "null"]
        with override_settings(CHAT={"CORS_ORIGINS": good + bad}):
            self.assertEqual(ids(checks.check_origins(None)), ["chat.W003"] * len(bad))

    def test_a_sync_only_middleware_is_named(self):
        path = f"{__name__}.SyncOnly"
        with override_settings(MIDDLEWARE=[path]):
            (warning,) = checks.check_middleware(None)
        self.assertEqual(warning.id, "chat.W004")
        self.assertIn(path, warning.msg)


class ModelTests(SimpleTestCase):
    def test_a_malformed_entry_is_an_error(self):
        for entry in (None, {}, 3, {"class": ""}, {"class": "nodots"}, {"class": 3}):
            with self.subTest(entry=entry), override_settings(CHAT={"MODELS": {"x": entry}}):
                self.assertEqual(ids(checks.check_models(None)), ["chat.E004"])

    @override_settings(CHAT={"MODELS": {"x": {"class": "a.package.Model", "temperature": 0}}})
    def test_a_path_with_arguments_is_accepted(self):
        self.assertEqual(checks.check_models(None), [])


class AgentTests(SimpleTestCase):
    def test_an_entry_that_is_not_there_is_an_error(self):
        for entry, words in {
            None: "dotted path",
            "nodots": "dotted path",
            "nowhere.to.be_found": "not there",
            "chat.agents.router.nothing": "nothing",
        }.items():
            with self.subTest(entry=entry), override_settings(CHAT={"AGENTS": {"x": entry}}):
                (found,) = checks.check_agents(None)
                self.assertEqual(found.id, "chat.E009")
                self.assertIn(words, found.msg)

    def test_an_argument_that_the_built_in_agent_does_not_know_is_an_error(self):
        entry = {"class": "chat.agents.router.build", "refusl": "No."}
        with override_settings(CHAT={"AGENTS": {"router": entry}}):
            (found,) = checks.check_agents(None)
        self.assertIn("'refusl'", found.msg)

    def test_a_name_must_fit(self):
        for name in ("", "x" * 101, 3):
            entry = {name: "chat.agents.router.build"}
            with self.subTest(name=name), override_settings(CHAT={"AGENTS": entry}):
                self.assertEqual(ids(checks.check_agents(None)), ["chat.E009"])

    @override_settings(
        CHAT={
            "AGENTS": {
                "router": {"class": "chat.agents.router.build", "refusal": "No."},
                "other": {"class": "tests.agents.graphs.greeter", "greeting": "Hi"},
            }
        }
    )
    def test_functions_with_arguments_are_accepted(self):
        self.assertEqual(checks.check_agents(None), [])
