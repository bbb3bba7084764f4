"""Every word of the pages has its German, with what stands for values; errors have theirs."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import override_settings
from django.utils.translation import override

from chat import errors, language
from chat.generations.continued import AGENTS, EMPTY, WHOLE, WRITING
from scripts import translations

BASE_DIR = Path(__file__).resolve().parent.parent
REASONS = (WHOLE, WRITING, AGENTS, EMPTY)
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z.\d]*[sdf]|%[sd]|\{\w+\}|<[^>]+>")


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    translations.compile_all(BASE_DIR)
    language._words.cache_clear()


def forms(text: Any) -> list[str]:
    return list(text) if isinstance(text, list | tuple) else [text]


@pytest.mark.parametrize("domain", ["django", "djangojs"])
@pytest.mark.parametrize("name", translations.LANGUAGES)
def test_every_word_is_translated_and_keeps_its_placeholders(name, domain):
    path = BASE_DIR / translations.LOCALE / name / "LC_MESSAGES" / f"{domain}.po"
    known = translations.read(path, name)
    wrong = []
    for message in translations.extract_all(BASE_DIR)[domain]:
        if not message.id:
            continue
        found = known.get(message.id, context=message.context)
        if not found or found.fuzzy or not translations.is_whole(found.string):
            wrong.append(f"not translated: {message.id!r}")
            continue
        wanted = sorted(set(PLACEHOLDER.findall(forms(message.id)[-1])))
        wrong += [
            f"other placeholders: {message.id!r} → {each!r}"
            for each in forms(found.string)
            if sorted(set(PLACEHOLDER.findall(each))) != wanted
        ]
    assert wrong == []


def test_what_is_marked_is_found_in_all_three_kinds_of_source():
    found = translations.extract_all(BASE_DIR)
    assert "What would you like to know?" in found["django"]  # A template.
    assert "Previous 7 days" in found["django"]  # Python.
    assert "Resumed, nothing lost" in found["djangojs"]  # A script.


def test_scripts_get_their_words_with_the_page_and_english_needs_none():
    with override("de"):
        german = render_to_string("404.html")
        assert language.words()["Stop"] == "Anhalten"
    with override("en"):
        english = render_to_string("404.html")
    assert 'id="words"' in german
    assert '<html lang="de" dir="ltr">' in german
    assert 'id="words"' not in english


@override_settings(LANGUAGES=[("en", "English"), ("ar", "Arabic")])
def test_a_language_written_from_right_to_left_is_said_to_be_one():
    with override("ar"):
        assert '<html lang="ar" dir="rtl">' in render_to_string("404.html")


def test_every_error_has_a_meaning_that_is_its_message_where_it_has_one():
    classes = [c for c in vars(errors).values() if inspect.isclass(c) and hasattr(c, "code")]
    with override("en"):
        assert {each.code for each in classes} == set(language.MEANINGS)
        for each in classes:
            if each.default_message:
                assert str(language.MEANINGS[each.code]) == each.default_message


def test_people_are_told_errors_in_their_language_and_programs_in_english():
    error = errors.Overloaded().as_dict()
    assert error["message"].startswith("The server is busy.")
    with override("de"):
        assert language.tell(error).startswith("Der Server ist beschäftigt.")
        special = {"code": "prompt_too_long", "message": "It has 9 bytes too many."}
        assert language.tell(special) == "Die Nachricht ist zu lang. Kürzen Sie sie."
        assert errors.Overloaded().as_dict() == error
    assert language.tell({"code": "prompt_too_long", "message": "9 too many."}) == "9 too many."


def test_people_are_told_why_an_answer_cannot_be_gone_on_from():
    with override("de"):
        told = {language.tell(errors.NotContinuable(why).as_dict()) for why in REASONS}
        assert len(told) == len(REASONS)
        assert language.tell(errors.NotContinuable().as_dict()) not in told
    assert all(errors.NotContinuable(why).as_dict()["message"] == why for why in REASONS)
