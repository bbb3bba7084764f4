"""What the chat models make of what model servers send; 5.4.12 are the rows of that checklist."""

import asyncio
import time
from contextlib import aclosing
from unittest import mock

from chat import errors
from chat.llm.clients import Backlog
from tests.llm.base import UpstreamTestCase, chat, impatient
from tests.upstream import MARKDOWN, unused_port, words_text

THREE = words_text(3)


class GoodAnswerTests(UpstreamTestCase):
    async def test_5_4_12_answer_is_the_models_text_with_finish_reason_and_usage(self):
        answer = await self.ask("markdown")
        assert answer.error is None
        assert answer.text == MARKDOWN
        assert answer.finish_reason == "stop"
        assert set(answer.usage) == {"input_tokens", "output_tokens", "total_tokens"}

    async def test_5_4_12_bytes_one_by_one(self):
        answer = await self.ask("bytes")
        assert (answer.error, answer.text) == (None, MARKDOWN)

    async def test_text_survives_every_framing(self):
        for mode in ("crlf", "cr", "close-after"):
            with self.subTest(mode):
                answer = await self.ask(mode)
                assert (answer.error, answer.text) == (None, MARKDOWN)

    async def test_first_token_is_not_held_back_by_the_pace(self):
        with chat(PACE_MS=10_000):
            async with aclosing(self.stream("words:3@1000")) as pieces:
                piece = await asyncio.wait_for(anext(pieces), 5)
        assert piece.text.startswith("word0 ")

    async def test_one_read_after_the_pace_takes_all_tokens_that_arrived(self):
        with chat(PACE_MS=200):
            answer = await self.ask("words:50@1000")
        assert answer.text == words_text(50)
        assert len([piece for piece in answer.pieces if piece.text]) <= 5

    async def test_fast_answer_is_left_in_the_kernel_between_reads(self):
        hold = Backlog.hold
        with (
            chat(PACE_MS=30),
            mock.patch.object(Backlog, "hold", autospec=True, side_effect=hold) as held,
        ):
            answer = await self.ask("words:500@2000")
        assert answer.text == words_text(500)
        assert held.called

    async def test_5_4_12_each_reasoning_field_is_read(self):
        for field in ("reasoning_content", "reasoning", "thinking"):
            with self.subTest(field):
                answer = await self.ask(f"reasoning:{field}")
                assert answer.reasoning == "Let me think about it."
                assert answer.text == "The answer."

    async def test_5_4_12_null_content_is_no_text(self):
        answer = await self.ask("null-content")
        assert (answer.error, answer.text) == (None, "Hello")

    async def test_5_4_12_comments_between_the_tokens_are_no_text(self):
        ping = {"raw": ": ping\n\n"}
        tokens = [ping, {"delta": "a"}, ping, ping, {"delta": "b"}, ping, {"finish": "stop"}, ping]
        self.upstream.script([*tokens, {"done": True}])
        answer = await self.ask("x")
        assert (answer.error, answer.text, answer.finish_reason) == (None, "ab", "stop")

    async def test_refusal_is_text(self):
        assert (await self.ask("refusal")).text == "I cannot do that."

    async def test_5_4_12_no_done_marker_is_fine(self):
        answer = await self.ask("no-done")
        assert (answer.error, answer.text, answer.finish_reason) == (None, THREE, "stop")

    async def test_c12_other_finish_reasons_are_passed_on(self):
        for reason in ("length", "content_filter"):
            answer = await self.ask(f"finish:{reason}")
            assert (answer.error, answer.finish_reason) == (None, reason)

    async def test_c14_usage_that_is_missing_or_impossible_is_none(self):
        for mode in ("no-usage", "usage-negative", "usage-text"):
            with self.subTest(mode):
                answer = await self.ask(mode)
                assert (answer.error, answer.text, answer.usage) == (None, THREE, None)

    async def test_5_4_12_usage_chunk_without_choices_is_read(self):
        answer = await self.ask("words:3")
        assert (answer.error, answer.text) == (None, THREE)
        assert answer.usage == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}

    async def test_5_4_12_usage_in_the_finish_chunk_is_read(self):
        assert (await self.ask("usage-in-finish")).usage["output_tokens"] == 3

    async def test_hanging_after_the_finish_reason_is_complete(self):
        with mock.patch("chat.llm.openai_compatible.AFTER_FINISH_SECONDS", 0.05):
            answer = await self.ask("hang-after-finish")
        assert (answer.error, answer.text, answer.finish_reason) == (None, THREE, "stop")

    async def test_server_without_stream_options_is_asked_again_without_and_remembered(self):
        first, second = await self.ask("no-stream-options"), await self.ask("no-stream-options")
        assert first.text == second.text == MARKDOWN
        options = ["stream_options" in entry["body"] for entry in self.upstream.journal]
        assert options == [True, False, False]
        assert first.steps == []

    async def test_connection_is_used_again(self):
        await self.ask("markdown")
        await self.ask("markdown")
        first, second = self.upstream.journal
        assert first["connection"] == second["connection"]

    async def test_request_carries_roles_and_key(self):
        history = [("user", "a"), ("assistant", "b")]
        await self.ask("echo", system="Be kind.", history=history, prompt="c")
        (entry,) = self.upstream.journal
        assert entry["body"]["messages"] == [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ]
        assert entry["headers"]["authorization"] == "Bearer sk-canary1234"

    async def test_fifty_answers_at_once_do_not_mix(self):
        answers = await asyncio.gather(
            *(self.ask("echo", prompt=f"number {i} " * 20) for i in range(50))
        )
        for i, answer in enumerate(answers):
            assert (answer.error, answer.text) == (None, f"number {i} " * 20)


class BadTextTests(UpstreamTestCase):
    async def test_b07_split_surrogate_pair_is_joined_also_across_reads(self):
        for mode in ("surrogate-split", "surrogate-split@20"):
            answer = await self.ask(mode)
            assert (answer.error, answer.text) == (None, "a👋b")

    async def test_b07_lone_surrogates_become_replacement_characters(self):
        answer = await self.ask("surrogate-lone")
        assert (answer.error, answer.text) == (None, "a\ufffdb\ufffd")

    async def test_nul_becomes_a_replacement_character(self):
        assert (await self.ask("nul")).text == "a\ufffdb"

    async def test_5_4_12_b13_separators_of_other_standards_do_not_split_lines(self):
        text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\r\nh\ri\ufeffj👩‍👧\u202ek"
        for mode in ("text", "raw-text"):
            answer = await self.ask(f"{mode}:{text}")
            assert (answer.error, answer.text) == (None, text)

    async def test_b14_event_stream_syntax_in_text_is_text(self):
        text = "\n\nevent: end\ndata: {}\n\nid: x\nretry: 0\n: c\ndata: [DONE]\n\n"
        assert (await self.ask(f"text:{text}")).text == text

    async def test_b19_one_huge_event_is_passed_on_whole(self):
        answer = await self.ask("big:5000000")
        assert (answer.error, len(answer.text)) == (None, 5_000_000)


class FaultTests(UpstreamTestCase):
    async def fails(self, mode, error, *, text="", requests=1, no_retry=False):
        self.upstream.reset()
        with mock.patch("chat.llm.openai_compatible.MAX_RETRIES", 0 if no_retry else 2):
            answer = await self.ask(mode)
        assert type(answer.error) is error, answer.error
        assert answer.text == text
        assert len(self.upstream.journal) == requests
        assert answer.finish_reason is None
        return answer

    async def fails_without_echo(self, mode):
        answer = await self.fails(mode, errors.UpstreamError, text=THREE)
        assert "Provider" not in str(answer.error.as_dict())

    async def test_c01_refused_connection_is_unreachable(self):
        with self.settings(OPENAI_BASE_URL=f"http://127.0.0.1:{unused_port()}/v1"):
            answer = await self.ask("x")
        assert type(answer.error) is errors.UpstreamUnreachable
        assert [step["attempt"] for step in answer.steps] == [1, 2]

    async def test_c01_unknown_host_is_unreachable(self):
        with (
            self.settings(OPENAI_BASE_URL="http://no-such-host.invalid/v1"),
            mock.patch("chat.llm.openai_compatible.MAX_RETRIES", 0),
        ):
            answer = await self.ask("x")
        assert type(answer.error) is errors.UpstreamUnreachable

    async def test_c01_tls_failure_is_unreachable(self):
        url = self.upstream.base_url.replace("http:", "https:")
        with (
            self.settings(OPENAI_BASE_URL=url),
            mock.patch("chat.llm.openai_compatible.MAX_RETRIES", 0),
        ):
            answer = await self.ask("x")
        assert type(answer.error) is errors.UpstreamUnreachable

    async def test_c02_no_headers_is_a_timeout_and_closes(self):
        with impatient():
            await self.fails("hang-before-headers", errors.UpstreamTimeout)
        assert self.upstream.wait_for(lambda journal: journal[0]["closed"])

    async def test_headers_without_a_token_is_a_timeout(self):
        with impatient():
            await self.fails("silent", errors.UpstreamTimeout)

    async def test_c03_silence_in_mid_answer_is_a_timeout_and_keeps_the_text(self):
        with impatient():
            await self.fails("hang-after:3", errors.UpstreamTimeout, text=THREE)
        assert self.upstream.wait_for(lambda journal: journal[0]["closed"])

    async def test_c04_comments_do_not_keep_a_silent_answer_alive(self):
        with impatient():
            await self.fails("comments", errors.UpstreamTimeout)
            await self.fails("comments-after:3", errors.UpstreamTimeout, text=THREE)

    async def test_c05_reset_in_mid_answer_is_not_retried(self):
        await self.fails("reset-after:3", errors.UpstreamReset, text=THREE)

    async def test_5_4_12_c05_cut_in_mid_answer_fails_and_keeps_the_text(self):
        await self.fails("cut-after:3", errors.UpstreamReset, text=THREE)

    async def test_c06_clean_eof_without_finish_reason_is_truncated(self):
        await self.fails("eof-after:3", errors.UpstreamTruncated, text=THREE)
        await self.fails("empty", errors.UpstreamTruncated)

    async def test_c07_html_is_a_protocol_error(self):
        await self.fails("html", errors.UpstreamProtocol)
        await self.fails("html-after:3", errors.UpstreamProtocol, text=THREE)

    async def test_c08_garbage_is_a_protocol_error(self):
        await self.fails("garbage", errors.UpstreamProtocol)
        answer = await self.fails("garbage-after:3", errors.UpstreamProtocol, text=THREE)
        assert "json" not in str(answer.error).lower()

    async def test_c09_error_in_mid_answer_fails_without_echoing_the_provider(self):
        for mode in (
            "error-after:3",
            "error-event-after:3",
            "groq-error-after:3",
        ):
            with self.subTest(mode):
                await self.fails_without_echo(mode)

    async def test_5_4_12_c09_field_named_error_fails(self):
        await self.fails_without_echo("error-field-after:3")

    async def test_5_4_12_c09_error_before_done_fails(self):
        await self.fails_without_echo("error-done-after:3")

    async def test_c09_error_objects_are_told_apart(self):
        for code, error in {
            "429": errors.UpstreamRateLimited,
            "rate_limit_exceeded": errors.UpstreamRateLimited,
            "context_length_exceeded": errors.ContextTooLong,
            "invalid_api_key": errors.UpstreamAuth,
            "model_not_found": errors.UpstreamModelNotFound,
            "400": errors.UpstreamRejected,
            "500": errors.UpstreamError,
        }.items():
            with self.subTest(code):
                await self.fails(f"error-code-after:3:{code}", error, text=THREE)

    async def test_error_object_with_status_200_and_no_stream(self):
        await self.fails("json-error", errors.UpstreamAuth)

    async def test_c11_refusals_are_not_retried(self):
        for mode, error in {
            "status:401": errors.UpstreamAuth,
            "status:403": errors.UpstreamAuth,
            "status:404": errors.UpstreamModelNotFound,
            "status:400": errors.UpstreamRejected,
            "context-too-long": errors.ContextTooLong,
        }.items():
            with self.subTest(mode):
                await self.fails(mode, error)

    async def test_c11_the_key_and_the_providers_words_are_not_in_the_error(self):
        words = {"error": {"message": "Incorrect API key: sk-canary1234\x1b[31m\nFAKE"}}
        self.upstream.script([{"status": 401, "body": words}])
        with self.assertLogs("chat.llm", "WARNING") as logs:
            answer = await self.ask("x")
        assert type(answer.error) is errors.UpstreamAuth
        assert "canary" not in f"{answer.error!r}{answer.error.as_dict()}{logs.output}"
        assert "\x1b" not in logs.output[0]
        assert "\n" not in logs.output[0]


class RetryTests(UpstreamTestCase):
    async def test_c10_short_retry_after_is_honoured_and_visible(self):
        self.upstream.script("status:429:0.1", "echo")
        answer = await self.ask("x", prompt="hi")
        assert (answer.error, answer.text) == (None, "hi")
        assert answer.steps == [
            {
                "name": "retry",
                "status": "started",
                "attempt": 1,
                "reason": "upstream_rate_limited",
                "wait": 0.1,
            }
        ]
        first, second = self.upstream.journal
        assert second["opened"] - first["opened"] >= 0.1

    async def test_c10_long_retry_after_is_given_up_at_once(self):
        self.upstream.script("status:429:120", "echo")
        answer = await self.ask("x")
        assert type(answer.error) is errors.UpstreamRateLimited
        assert answer.error.retry_after == 120
        assert len(self.upstream.journal) == 1

    async def test_c10_garbage_retry_after_and_no_third_retry(self):
        self.upstream.script(*["status:429:soon"] * 4)
        with mock.patch("chat.llm.openai_compatible.random.uniform", return_value=0.01):
            answer = await self.ask("x")
        assert type(answer.error) is errors.UpstreamRateLimited
        assert len(self.upstream.journal) == 3

    async def test_loading_model_and_server_errors_are_retried(self):
        with mock.patch("chat.llm.openai_compatible.random.uniform", return_value=0.01):
            for mode in ("loading", "status:500", "status:502", "reset-before-headers"):
                self.upstream.script(mode, "echo")
                answer = await self.ask("x", prompt="hi")
                assert (answer.error, answer.text) == (None, "hi")
                assert len(answer.steps) == 1

    async def test_c15_kept_connection_closed_by_the_server_is_retried(self):
        await self.ask("close-after")
        answer = await self.ask("echo", prompt="hi")
        assert (answer.error, answer.text) == (None, "hi")
        self.upstream.script("echo", "reset-before-headers", "echo")
        await self.ask("x")
        answer = await self.ask("x", prompt="hi")
        assert (answer.error, answer.text) == (None, "hi")


class StopTests(UpstreamTestCase):
    """C17: the upstream sees the close at once, wherever the answer is."""

    async def stop(self, mode, *, after):
        async def run():
            async with aclosing(self.stream(mode)) as pieces:
                async for _ in pieces:
                    pass

        task = asyncio.create_task(run())
        await asyncio.to_thread(self.upstream.wait_for, after)
        stopped = time.monotonic()
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(self.upstream.wait_for, lambda j: j[0]["closed"])
        assert self.upstream.journal[0]["closed"] - stopped <= 0.25
        assert len(self.upstream.journal) == 1

    async def test_c17_cancel_before_headers(self):
        await self.stop("hang-before-headers", after=bool)

    async def test_c17_cancel_in_silence(self):
        await self.stop("hang-after:3", after=lambda j: j and j[0]["sent"] == 3)

    async def test_c17_c13_cancel_in_an_endless_answer(self):
        for pace in (1, 5000):
            self.upstream.reset()
            with chat(PACE_MS=pace):
                await self.stop("infinite@1000", after=lambda j: j and j[0]["sent"] > 20)

    async def test_c17_cancel_while_waiting_to_retry(self):
        self.upstream.script("status:503:5")
        with mock.patch("asyncio.sleep", side_effect=asyncio.CancelledError) as sleep:
            async with aclosing(self.stream("x")) as pieces:
                assert (await anext(pieces)).step
                with self.assertRaises(asyncio.CancelledError):
                    await anext(pieces)
        sleep.assert_called_once()
        assert len(self.upstream.journal) == 1

    async def test_c17_closing_the_generator_closes_the_connection(self):
        async with aclosing(self.stream("infinite@200")) as pieces:
            await anext(pieces)
        stopped = time.monotonic()
        assert await asyncio.to_thread(self.upstream.wait_for, lambda j: j[0]["closed"])
        assert self.upstream.journal[0]["closed"] - stopped <= 0.25

    async def test_c16_answers_past_the_pool_wait_for_a_connection(self):
        with mock.patch("chat.llm.clients.MAX_CONNECTIONS", 5):
            answers = await asyncio.gather(*(self.ask("words:20@500") for _ in range(30)))
        assert {(answer.error, answer.text) for answer in answers} == {(None, words_text(20))}
        assert len({entry["connection"] for entry in self.upstream.journal}) == 5

    async def test_c16_connections_return_after_failures(self):
        for mode in ("hang-after:1", "error-after:1", "garbage-after:1", "eof-after:1"):
            with impatient():
                await self.ask(mode)
        assert await asyncio.to_thread(
            self.upstream.wait_for, lambda journal: len(self.upstream.connections) <= 1
        )
