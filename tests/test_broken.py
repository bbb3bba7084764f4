from django.test import SimpleTestCase

from chat.broken import BrokenAnswers, break_off

START = {"type": "http.response.start", "status": 200, "headers": []}
PIECE = {"type": "http.response.body", "body": b"a", "more_body": True}
END = {"type": "http.response.body"}


class BrokenAnswersTests(SimpleTestCase):
    async def sent(self, *, broken):
        async def app(scope, receive, send):
            await send(START)
            await send(PIECE)
            if broken:
                break_off(scope)
            await send(END)

        async def send(message):
            messages.append(message)

        messages = []
        await BrokenAnswers(app)({"type": "http"}, None, send)
        return messages

    async def test_an_answer_that_is_broken_off_has_no_end(self):
        assert await self.sent(broken=True) == [START, PIECE]

    async def test_any_other_passes(self):
        assert await self.sent(broken=False) == [START, PIECE, END]
