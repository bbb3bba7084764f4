import os
from unittest import mock

from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase, override_settings

from chat.conf import KEYS, ChatSettings, chat_settings, from_environment


class ChatSettingsTests(SimpleTestCase):
    @override_settings(CHAT={"PACE_MS": 7})
    def test_what_is_not_set_has_its_default(self):
        self.assertEqual(chat_settings(), ChatSettings(pace_ms=7))

    @override_settings(CHAT={"PACE": 7})
    def test_an_unknown_key_is_left_to_the_checks(self):
        self.assertEqual(chat_settings(), ChatSettings())

    @override_settings()
    def test_a_site_need_not_set_anything(self):
        from django.conf import settings

        del settings.CHAT
        chat_settings.cache_clear()
        self.addCleanup(chat_settings.cache_clear)
        with mock.patch.dict(os.environ):
            del os.environ["CHAT_TITLES"]  # Else the environment speaks for a project without them.
            self.assertEqual(chat_settings(), ChatSettings())

    def test_a_changed_setting_is_in_force_at_once(self):
        chat_settings()
        with override_settings(CHAT={"MODEL": "demo"}):
            self.assertEqual(chat_settings().model, "demo")
        self.assertNotEqual(chat_settings().model, "demo")


class EnvironmentTests(SimpleTestCase):
    def test_every_key_has_a_variable(self):
        samples = {bool: "on", int: "3", float: "0.5", tuple: "a, b,", dict: '{"a": 1}', str: "x"}
        values = {bool: True, int: 3, float: 0.5, tuple: ("a", "b"), dict: {"a": 1}, str: "x"}
        for key, field in KEYS.items():
            default = getattr(ChatSettings(), key.lower())
            kind = float if field.type is float else type(default)
            with self.subTest(key):
                found = from_environment({f"CHAT_{key}": samples[kind]})
                self.assertEqual(found, {key: values[kind]})
                self.assertIs(type(found[key]), kind)

    def test_nothing_set_gives_nothing(self):
        self.assertEqual(from_environment({"PATH": "/bin", "CHAT_DATA_DIR": "x"}), {})

    def test_words_for_switches(self):
        for raw, value in {"1": True, "True": True, " yes ": True, "off": False, "": False}.items():
            with self.subTest(raw=raw):
                found = from_environment({"CHAT_OPEN_DIALECTS": raw})
                self.assertIs(found["OPEN_DIALECTS"], value)

    def test_a_bad_value_names_its_variable(self):
        bad = {
            "CHAT_PACE_MS": "fast",
            "CHAT_MAX_READERS": "1.5",
            "CHAT_IDLE_TIMEOUT": "",
            "CHAT_OPEN_DIALECTS": "maybe",
            "CHAT_MODELS": "[1]",
        }
        for name, raw in bad.items():
            with self.subTest(name), self.assertRaisesMessage(ImproperlyConfigured, name):
                from_environment({name: raw})
