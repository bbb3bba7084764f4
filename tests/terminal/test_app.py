"""The chat on the whole screen, with keys pressed by a pilot, before a real site."""

import asyncio
import re
import time
from contextlib import asynccontextmanager

import pytest
from textual.widgets import Input, Markdown, OptionList

from chat.terminal.answers import Phase
from chat.terminal.app import ChatApp
from chat.terminal.config import Account, Choices
from chat.terminal.dialogs import Help, Picker
from chat.terminal.transcript import SHOWN, Earlier, PromptView
from chat.terminal.words import printable
from tests.terminal.running import somebody
from tests.upstream import MARKDOWN, words_text

PATIENCE = 20.0
ENDLESS = [{"delta": "Once "}, {"delta": "upon "}, {"hang": True}]


class Driver:
    """The app and its keyboard."""

    def __init__(self, app, pilot):
        self.app = app
        self.pilot = pilot

    async def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.screen
            await self.pilot.pause(0.05)

    async def press(self, *keys):
        await self.pilot.press(*keys)

    async def send(self, text):
        self.app.composer.text = text
        await self.press("enter")

    async def ask(self, text):
        """Send a prompt and wait for the end of its answer."""
        await self.send(text)
        await self.until(lambda: self.views and self.views[-1].has_class("over"))
        assert self.shown[-1] == printable(self.answers[-1].text)
        return self.answers[-1]

    async def search(self, text):
        self.app.sidebar.query_one(Input).value = text
        await self.until(lambda: all(text in title for title in self.titles))

    async def pick(self, key, words):
        """Open a list by its key and choose what alone has these words."""
        await self.press(key)
        await self.until(lambda: isinstance(self.app.screen, Picker))
        picker = self.app.screen
        await self.until(lambda: any(shown.option_count for shown in picker.query(OptionList)))
        picker.query_one(Input).value = words
        await self.until(lambda: picker.query_one(OptionList).option_count == 1)
        await self.press("enter")

    @property
    def views(self):
        return self.app.transcript.answers

    @property
    def answers(self):
        return [view.answer for view in self.views]

    @property
    def prompts(self):
        return [str(view.content) for view in self.app.query(PromptView)]

    @property
    def shown(self):
        """The Markdown that each answer is drawn from."""
        return [text.source for view in self.views for text in view.query(Markdown)]

    @property
    def feet(self):
        return [str(foot.content) for view in self.views for foot in view.query(".foot")]

    @property
    def titles(self):
        """The conversations in the list, without the entry for a new one."""
        options = self.app.sidebar.query_one(OptionList).options[1:]
        return [str(option.prompt).strip("● ") for option in options]

    @property
    def screen(self):
        """All text that is on the screen, line by line."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in lines)


@asynccontextmanager
async def chat(person, *, size=(80, 24), model="openai:echo", **choices):
    account = Account(url=person.site.url, key=person.key)
    app = ChatApp(account, Choices(model=model, **choices))
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot)
        await driver.until(lambda: app.default_model)
        yield driver


# Answers --------------------------------------------------------------------------


def test_an_answer_is_shown_while_it_is_written_and_whole_in_the_end(site, ada):
    async def run():
        site.upstream.script([{"delta": "Once "}, {"hang": True}], "markdown")
        async with chat(ada, size=(80, 60)) as driver:
            await driver.send("Tell me a story.")
            await driver.until(lambda: driver.shown == ["Once "])
            await driver.until(lambda: "Once" in driver.screen)
            assert "Writing" in driver.screen
            assert driver.prompts == ["Tell me a story."]
            await driver.press("escape")
            await driver.until(lambda: driver.answers[-1].is_over)
            answer = await driver.ask("In Markdown")
            assert driver.shown[-1] == answer.text == MARKDOWN
            await driver.until(lambda: "That is all." in driver.screen)
            assert "│ name" in driver.screen
            assert "tokens" in driver.feet[-1]

    asyncio.run(run())


def test_prompts_are_typed_while_an_answer_is_written_and_show_their_place(site, ada):
    async def run():
        site.upstream.script(ENDLESS)
        async with chat(ada) as driver:
            await driver.send("Tell me a story.")
            await driver.until(lambda: driver.shown == ["Once upon "])
            for text in ("A second", "A third"):
                await driver.send(text)
            await driver.until(lambda: driver.feet[1:] == ["Queued, next", "Queued, number 2"])
            assert "2 queued" in driver.screen
            await driver.press("ctrl+c")
            await driver.until(lambda: all(answer.is_over for answer in driver.answers))
            await driver.until(lambda: driver.shown == ["Once upon ", "A second", "A third"])
            assert driver.feet[0].startswith("Stopped")
            assert [answer.phase for answer in driver.answers] == ["stopped", "done", "done"]

    asyncio.run(run())


def test_ctrl_c_stops_what_runs_and_leaves_when_nothing_does(site, ada):
    async def run():
        site.upstream.script(ENDLESS)
        async with chat(ada) as driver:
            await driver.send("Tell me a story.")
            await driver.until(lambda: driver.shown == ["Once upon "])
            await driver.press("ctrl+c")
            await driver.until(lambda: driver.answers[0].is_over)
            assert driver.app.is_running
            await driver.press("ctrl+c")
            await driver.until(lambda: not driver.app.is_running)
            assert driver.app.return_code == 0

    asyncio.run(run())


def test_thoughts_are_folded_when_the_answer_begins(site, ada):
    async def run():
        steps = [
            {"reasoning": "Let me think."},
            {"sleep": 1},
            {"delta": "Yes."},
            {"finish": "stop"},
        ]
        site.upstream.script(steps)
        async with chat(ada) as driver:
            await driver.send("Is it?")
            await driver.until(lambda: "Let me think." in driver.screen)
            assert "▾ Thinking" in driver.screen
            await driver.until(lambda: driver.answers[0].is_over)
            await driver.until(lambda: re.search(r"▸ Thought for \d.\d s", driver.screen))
            assert "Let me think." not in driver.screen
            await driver.press("ctrl+t")
            await driver.until(lambda: "Let me think." in driver.screen)
            assert driver.shown == ["Yes."]

    asyncio.run(run())


def test_a_failure_is_shown_with_its_reason_and_can_be_tried_again(site, ada):
    async def run():
        site.upstream.script("error-after:3@20", "echo")
        async with chat(ada) as driver:
            answer = await driver.ask("Try it")
            assert answer.phase is Phase.FAILED
            assert driver.feet == ["✗ The model server reported an error. Ctrl-R tries again."]
            assert driver.shown == [words_text(3)]
            await driver.press("ctrl+r")
            await driver.until(lambda: driver.shown == ["Try it"])
            assert driver.prompts == ["Try it"]

    asyncio.run(run())


def test_a_prompt_that_was_refused_is_sent_again(site, ada):
    async def run():
        async with chat(ada, model="nonsense") as driver:
            await driver.ask("Try it")
            assert driver.feet[0].startswith("✗ No model is called 'nonsense'.")
            driver.app.model = "openai:echo"
            await driver.press("ctrl+r")
            await driver.until(lambda: driver.shown == ["Try it"])

    asyncio.run(run())


def test_nothing_that_is_said_steers_the_terminal_or_is_taken_for_markup(site, ada):
    async def run():
        prompt = "[red]a[/red] \x1b[31m <b>html</b>"
        async with chat(ada, size=(120, 40)) as driver:
            await driver.ask(prompt)
            await driver.until(lambda: driver.titles and driver.titles[0].startswith("[red]a"))
            assert driver.screen.count("[red]a[/red] \ufffd[31m <b>html</b>") >= 2
            assert "\x1b" not in driver.screen

    asyncio.run(run())


def test_lines_stay_lines(site, ada):
    async def run():
        async with chat(ada, model="openai:text:Roses\nViolets") as driver:
            await driver.ask("A poem")
            await driver.until(lambda: re.search(r"Roses *\n *Violets", driver.screen))

    asyncio.run(run())


def test_what_was_asked_elsewhere_appears(site, ada):
    async def run():
        async with chat(ada) as driver:
            await driver.ask("Asked here")
            talk = driver.app.talk.id
            site.upstream.script(ENDLESS)
            running = await asyncio.to_thread(ada.ask, "Asked elsewhere", conversation=talk)
            await driver.until(lambda: driver.prompts == ["Asked here", "Asked elsewhere"])
            await driver.until(lambda: driver.shown[-1] == "Once upon ")
            await asyncio.to_thread(ada.stop, running["id"])
            await driver.until(lambda: driver.answers[-1].is_over)

    asyncio.run(run())


def test_an_answer_goes_on_after_the_site_was_away(site_factory):
    site = site_factory()
    with somebody(site) as eve:

        async def run():
            site.upstream.script("words:400@40")
            async with chat(eve) as driver:
                await driver.send("Count")
                await driver.until(lambda: driver.shown and "word9 " in driver.shown[0])
                await asyncio.to_thread(site.kill)
                await driver.until(lambda: "No connection, trying again" in driver.screen)
                await asyncio.to_thread(site.start)
                await driver.until(lambda: driver.answers[0].is_over)
                await driver.until(lambda: "Ctrl-R tries again." in driver.feet[0])
                assert driver.answers[0].phase is Phase.INTERRUPTED
                assert "Connected as" in driver.screen
                kept = eve.messages(driver.app.talk.id)[1]["text"]
                assert driver.shown == [kept]

        asyncio.run(run())


# Conversations and models ---------------------------------------------------------


def test_conversations_are_listed_searched_and_opened(site, ada):
    async def run():
        for text in ("A needle in a haystack", "Only hay"):
            ada.ended(ada.ask(text, model="openai:echo"))
        async with chat(ada) as driver:
            await driver.press("ctrl+o")
            assert driver.app.sidebar.display
            await driver.until(lambda: driver.titles[:2] == ["Only hay", "A needle in a haystack"])
            await driver.search("needle")
            await driver.press("down", "down", "enter")
            await driver.until(lambda: driver.prompts == ["A needle in a haystack"])
            await driver.until(lambda: driver.shown == ["A needle in a haystack"])
            assert driver.app.composer.has_focus
            assert "A needle in a haystack" in driver.screen.splitlines()[0]
            await driver.ask("And another")
            assert site.upstream.journal[-1]["body"]["messages"][-1]["content"] == "And another"
            assert len(site.upstream.journal[-1]["body"]["messages"]) == 4
            await driver.press("ctrl+n")
            await driver.until(lambda: driver.prompts == [])
            assert "New conversation" in driver.screen

    asyncio.run(run())


def test_the_list_is_always_there_on_a_wide_screen(site, ada):
    async def run():
        async with chat(ada, size=(120, 40)) as driver:
            await driver.ask("A title for the list")
            await driver.until(lambda: "A title for the list" in driver.titles)
            assert driver.app.sidebar.region.width > 20
            assert "● " not in "".join(driver.titles)
            await driver.press("ctrl+o")
            assert driver.app.sidebar.query_one(Input).has_focus
            await driver.press("escape")
            assert driver.app.composer.has_focus

    asyncio.run(run())


def test_the_last_conversation_is_opened_and_what_runs_there_followed(site, ada):
    async def run():
        site.upstream.script("echo", ENDLESS)
        talk = ada.conversation()
        ada.ended(ada.ask("First", conversation=talk))
        running = ada.ask("Second", conversation=talk)
        async with chat(ada, conversation="last") as driver:
            await driver.until(lambda: driver.prompts == ["First", "Second"])
            await driver.until(lambda: driver.shown == ["First", "Once upon "])
            await driver.press("escape")
            await driver.until(lambda: driver.answers[-1].is_over)
        assert ada.generation(running["id"])["status"] == "stopped"

    asyncio.run(run())


def test_of_a_long_conversation_the_end_is_shown_and_the_rest_on_demand(site, ada):
    async def run():
        talk = ada.conversation()
        turns = SHOWN // 2 + 2
        for number in range(turns):
            ada.ended(ada.ask(f"Number {number}", conversation=talk, model="openai:words:1"))
        async with chat(ada, conversation=talk) as driver:
            await driver.until(lambda: len(driver.prompts) == SHOWN // 2)
            assert driver.prompts[-1] == f"Number {turns - 1}"
            earlier = driver.app.query_one(Earlier)
            assert str(earlier.content) == "↑ 4 earlier messages"
            earlier.focus()
            await driver.press("enter")
            await driver.until(lambda: len(driver.prompts) == turns)
            assert driver.prompts == [f"Number {number}" for number in range(turns)]
            assert not driver.app.query(Earlier)

    asyncio.run(run())


def test_a_conversation_that_is_deleted_elsewhere_is_left(site, ada):
    async def run():
        async with chat(ada) as driver:
            await driver.ask("Soon gone")
            path = f"/conversations/{driver.app.talk.id}/"
            await asyncio.to_thread(ada.http.delete, path)
            await driver.until(lambda: driver.app.talk.id is None)
            assert driver.prompts == []

    asyncio.run(run())


def test_a_model_is_chosen_by_typing_a_part_of_its_name(site, ada):
    async def run():
        async with chat(ada, model="") as driver:
            assert driver.app.default_model == "openai:fake"
            await driver.pick("ctrl+l", "ECH")
            await driver.until(lambda: driver.app.model == "openai:echo")
            assert "openai:echo" in driver.screen.splitlines()[0]
            await driver.ask("Hello")
        assert site.upstream.journal[-1]["model"] == "echo"

    asyncio.run(run())


def test_an_agent_is_chosen_and_may_be_left_out_again(site, ada):
    async def run():
        async with chat(ada) as driver:
            for words, agent in (("rout", "router"), ("by itself", "")):
                await driver.pick("ctrl+g", words)
                await driver.until(lambda agent=agent: driver.app.agent == agent)
                answer = await driver.ask("Hello")
                found = await asyncio.to_thread(ada.generation, answer.generation)
                assert found["agent"] == agent
            assert answer.text == "Hello"

    asyncio.run(run())


# Keys and screens -----------------------------------------------------------------


def test_the_keys_are_listed_on_a_question_mark_that_begins_no_prompt(site, ada):
    async def run():
        async with chat(ada) as driver:
            for key in ("question_mark", "f1"):
                await driver.press(key)
                await driver.until(lambda: isinstance(driver.app.screen, Help))
                await driver.until(lambda: "Ctrl-O, F2" in driver.screen)
                await driver.press("escape")
            await driver.press("a", "question_mark")
            assert driver.app.composer.text == "a?"

    asyncio.run(run())


def test_a_prompt_may_have_several_lines_and_be_brought_back(site, ada):
    async def run():
        async with chat(ada) as driver:
            await driver.press("a", "ctrl+j", "b", "backslash", "enter", "c")
            assert driver.app.composer.text == "a\nb\nc"
            assert driver.app.composer.size.height == 3
            await driver.press("enter")
            await driver.until(lambda: driver.shown == ["a\nb\nc"])
            await driver.press("enter", "space", "enter")  # Nothing is no prompt.
            assert len(driver.prompts) == 1
            driver.app.composer.clear()
            await driver.press("up")
            assert driver.app.composer.text == "a\nb\nc"
            await driver.press("down")
            assert driver.app.composer.text == ""

    asyncio.run(run())


def test_dialogs_keep_the_keys_to_themselves(site, ada):
    async def run():
        async with chat(ada) as driver:
            await driver.ask("Stay")
            await driver.press("f1", "ctrl+n", "ctrl+r", "pagedown")
            assert isinstance(driver.app.screen, Help)
            await driver.press("escape")
            assert driver.prompts == ["Stay"]
            assert len(driver.answers) == 1

    asyncio.run(run())


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (24, 8), (200, 50)])
def test_it_fits_screens_of_any_size(site, ada, size):
    async def run():
        async with chat(ada, size=size) as driver:
            await driver.ask("A prompt that is longer than the narrowest of these screens")
            lines = driver.screen.splitlines()
            assert len(lines) == size[1]
            assert all(len(line) <= size[0] for line in lines)
            assert "Ask" in lines[-2]
            assert lines[-1].endswith("? keys")
            assert not driver.app.screen.show_horizontal_scrollbar

    asyncio.run(run())


def test_without_colours_there_are_none(site, ada, monkeypatch):
    async def run():
        async with chat(ada) as driver:
            await driver.ask("Hello")
            return driver.app.export_screenshot()

    def colours(svg):
        frame = {
            "#ff5f57",
            "#febc2e",
            "#28c840",
            "#c5c8c6",
        }  # The window that the picture is put into.
        found = set(re.findall(r"#[0-9a-f]{6}", svg)) - frame
        return {each for each in found if len({each[1:3], each[3:5], each[5:7]}) > 1}

    assert colours(asyncio.run(run()))
    monkeypatch.setenv("NO_COLOR", "1")
    assert colours(asyncio.run(run())) == set()


def test_a_key_that_is_not_valid_ends_it_with_a_reason(site, capsys):
    async def run():
        app = ChatApp(Account(url=site.url, key="sk-00000000-wrong"), Choices())
        async with app.run_test() as pilot:
            deadline = time.monotonic() + PATIENCE
            while app.is_running and time.monotonic() < deadline:
                await pilot.pause(0.05)
        assert app.return_code == 2

    asyncio.run(run())
    assert "does not accept the key" in capsys.readouterr().err


def test_a_link_is_opened_only_if_it_leads_to_a_page(site, ada, monkeypatch):
    async def run():
        opened = []
        async with chat(ada) as driver:
            monkeypatch.setattr(driver.app, "open_url", opened.append)
            await driver.ask("[a](https://example.com/) [b](file:///etc/passwd) [c](javascript:x)")
            text = driver.app.query_one(Markdown)
            for address in ("file:///etc/passwd", "javascript:x", "https://example.com/"):
                text.post_message(Markdown.LinkClicked(text, address))
            await driver.until(lambda: opened)
        assert opened == ["https://example.com/"]

    asyncio.run(run())
