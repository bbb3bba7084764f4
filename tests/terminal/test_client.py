"""What both forms of the client are made of, before a real site."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import pytest

from chat.terminal.answers import Phase, Thread
from chat.terminal.api import Api
from chat.terminal.client import Client
from chat.terminal.config import Account
from chat.terminal.connection import State
from chat.terminal.failures import Refused, SignedOut, Unreachable
from chat.terminal.history import branch_of, load
from tests.guarantees.sites import site_with_people
from tests.servers import free_port
from tests.upstream import words_text

PATIENCE = 20.0


def account_of(person):
    return Account(url=person.site.url, key=person.key)


@asynccontextmanager
async def connected(person, **options):
    """A client that is online."""
    states = []
    client = Client(account_of(person), on_change=lambda _: None, on_state=states.append, **options)
    running = asyncio.create_task(client.run())
    await until(lambda: State.ONLINE in states)
    try:
        yield client
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def test_prompts_of_a_new_conversation_all_go_there(site, ada):
    async def run():
        async with connected(ada) as client:
            thread = Thread()
            answers = [client.ask(f"Number {n}", thread, model="openai:echo") for n in range(3)]
            await until(lambda: all(answer.is_over for answer in answers))
            assert [answer.text for answer in answers] == [f"Number {n}" for n in range(3)]
            assert len(ada.messages(thread.id)) == 6
            assert client.answers == {}

    asyncio.run(run())


def test_one_that_waits_says_its_place_and_can_be_taken_back(site, ada):
    async def run():
        site.upstream.script("infinite@50")
        async with connected(ada) as client:
            thread = Thread()
            first, second, third = (client.ask(text, thread) for text in ("One", "Two", "Three"))
            await until(lambda: third.phase is Phase.QUEUED)
            assert (second.place, third.place) == (1, 2)
            client.stop(second)
            await until(lambda: second.is_over)
            assert (second.phase, second.text) == (Phase.STOPPED, "")
            assert third.place == 1
            assert first.phase is Phase.WRITING
            client.stop(first)
            await until(lambda: third.is_over)
            assert third.phase is Phase.DONE

    asyncio.run(run())


def test_one_that_is_stopped_before_it_is_sent_is_never_asked(site, ada):
    async def run():
        async with connected(ada) as client:
            thread = Thread()
            first = client.ask("One", thread, model="openai:echo")
            second = client.ask("Two", thread, model="openai:echo")
            client.stop(second)
            assert second.phase is Phase.STOPPED
            await until(lambda: first.is_over)
        assert len(site.upstream.journal) == 1

    asyncio.run(run())


def test_one_that_is_stopped_before_it_is_accepted_is_stopped_then(site, ada):
    async def run():
        site.upstream.script("infinite@50")
        async with connected(ada) as client:
            answer = client.ask("One", Thread())
            client.stop(answer)
            assert not answer.is_over
            await until(lambda: answer.is_over)
            assert answer.phase is Phase.STOPPED

    asyncio.run(run())


def test_an_answer_is_given_again(site, ada):
    async def run():
        site.upstream.script("words:3", "words:5")
        async with connected(ada) as client:
            thread = Thread()
            first = client.ask("Count", thread)
            await until(lambda: first.is_over)
            again = client.regenerate(first.message, thread)
            await until(lambda: again.is_over)
            assert (first.text, again.text) == (words_text(3), words_text(5))
            assert again.message != first.message

    asyncio.run(run())


def test_a_text_that_arrived_wrong_is_replaced_by_what_is_stored(site, ada):
    async def run():
        site.upstream.script(
            [{"delta": "One "}, {"sleep": 0.5}, {"delta": "two"}, {"finish": "stop"}]
        )
        async with connected(ada) as client:
            answer = client.ask("Count", Thread())
            await until(lambda: answer.text == "One ")
            answer.text = "Ono "
            await until(lambda: answer.is_over)
            assert (answer.phase, answer.text) == (Phase.DONE, "One two")

    asyncio.run(run())


def test_events_that_were_missed_are_read_again(site, ada):
    async def run():
        site.upstream.script("words:40@40")
        async with connected(ada) as client:
            answer = client.ask("Count", Thread())
            await until(lambda: answer.cursor > 3)
            answer.cursor -= 2  # As if the next batch began too late.
            await until(lambda: answer.is_over)
            assert (answer.phase, answer.text) == (Phase.DONE, words_text(40))

    asyncio.run(run())


@pytest.fixture(scope="module")
def forgetful():
    """Somebody on a site that forgets events at once."""
    with site_with_people(CHAT_RETENTION_SECONDS="0.5") as (_, people):
        yield people.ada


def test_what_has_expired_is_read_from_the_message(forgetful):
    generation = forgetful.ask("Count", model="openai:words:9")
    forgetful.ended(generation)
    deadline = time.monotonic() + PATIENCE
    while forgetful.poll(generation["id"]).status_code != 410:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    async def run():
        async with connected(forgetful) as client:
            answer = client.follow(generation["id"], generation["message"], Thread())
            await until(lambda: answer.is_over)
            assert (answer.phase, answer.text) == (Phase.DONE, words_text(9))

    asyncio.run(run())


def test_an_answer_that_is_deleted_fails(site, ada):
    site.upstream.script("infinite@50")
    generation = ada.ask("Go on")

    async def run():
        async with connected(ada) as client:
            answer = client.follow(generation["id"], generation["message"], Thread())
            await until(lambda: answer.text)
            ada.http.delete(f"/conversations/{generation['conversation']}/").raise_for_status()
            await until(lambda: answer.is_over)
            assert answer.phase in {Phase.STOPPED, Phase.FAILED}

    asyncio.run(run())


# Reading what is stored -----------------------------------------------------------


def test_conversations_models_and_messages_are_read(site, ada):
    generation = ada.ask("An unmistakable prompt", model="openai:echo")
    ada.ended(generation)

    async def run():
        api = Api(account_of(ada))
        assert "demo" in [choice.name for choice in await api.models()]
        (found,) = await api.conversations(query="unmistakable")
        assert found["id"] == generation["conversation"]
        assert (await api.conversation(found["id"]))["title"] == "An unmistakable prompt"
        assert [row["role"] for row in await api.messages(found["id"])] == ["user", "assistant"]
        assert (await api.saved(generation["id"]))[:2] == ("done", "An unmistakable prompt")
        with pytest.raises(Refused) as caught:
            await api.conversation(generation["id"])
        assert caught.value.code == "not_found"
        assert [choice.name for choice in await api.agents()] == ["", "router"]

    asyncio.run(run())


def test_a_conversation_of_many_pages_is_read_whole(site, ada):
    conversation = ada.conversation()
    for number in range(6):
        ada.ended(ada.ask(f"Number {number}", conversation=conversation, model="openai:echo"))

    async def run(page):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("chat.terminal.api.PAGE", page)
            return await Api(account_of(ada)).messages(conversation)

    assert asyncio.run(run(5)) == asyncio.run(run(200))
    assert len(asyncio.run(run(5))) == 12


@pytest.mark.parametrize(
    ("address", "key", "error", "words"),
    [
        ("{site}", "sk-00000000-wrong", SignedOut, "does not accept the key"),
        ("{nobody}", "sk-1", Unreachable, "Connection refused"),
        ("{upstream}", "sk-1", Refused, "Not found"),
    ],
)
def test_what_is_wrong_is_said(site, address, key, error, words):
    nobody = f"http://127.0.0.1:{free_port()}"
    url = address.format(site=site.url, nobody=nobody, upstream=site.upstream.root_url)
    with pytest.raises(error, match=words):
        asyncio.run(Api(Account(url=url, key=key)).models())


def test_a_key_does_not_follow_a_redirect(site, ada):
    """With HTTPS on, the site sends whoever comes without it elsewhere."""

    async def run(url):
        account = Account(url=url, key=ada.key)
        with pytest.raises(Unreachable, match="has moved to https://"):
            await Api(account).models()
        with pytest.raises(Unreachable, match="has moved to https://"):
            await Client(account, on_change=lambda _: None).run()

    async def elsewhere(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 301 -\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def serve():
        server = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
        async with server:
            await run(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    asyncio.run(serve())


def test_the_newest_branch_is_shown(site, ada):
    conversation = ada.conversation()
    first = ada.ended(ada.ask("One", conversation=conversation, model="openai:echo"))
    ada.ended(ada.ask("Two", conversation=conversation, model="openai:echo"))
    options = {"conversation": conversation, "parent": first["message"], "model": "openai:echo"}
    ada.ended(ada.ask("Another two", **options))
    rows = ada.messages(conversation)
    assert [row["text"] for row in branch_of(rows)] == ["One", "One", "Another two", "Another two"]
    assert branch_of([]) == []


def test_what_is_being_written_is_followed_and_what_failed_says_why(site, ada):
    conversation = ada.conversation()
    site.upstream.script("status:401", "words:3", "infinite@50")
    for text in ("Fail", "Count"):
        ada.ended(ada.ask(text, conversation=conversation))
    running = ada.ask("Go on", conversation=conversation)

    async def run():
        async with connected(ada) as client:
            found = await load(client, Thread(conversation))
            assert [each for each in found if isinstance(each, str)] == ["Fail", "Count", "Go on"]
            failed, done, written = (each for each in found if not isinstance(each, str))
            assert (failed.phase, failed.text) == (Phase.FAILED, "")
            assert failed.reason.startswith("The model provider refused")
            assert (done.phase, done.text) == (Phase.DONE, words_text(3))
            assert written.generation == running["id"]
            await until(lambda: written.text)
            client.stop(written)
            await until(lambda: written.is_over)

    asyncio.run(run())
