"""Burr's streaming chat page without its page: what it sends, and how it reads the answer."""

import codecs
import json

import httpx
from burr.tracking.server.schema import ApplicationLogs

PROJECT = "demo_streaming_chatbot"  # The one that the page asks for.
API = "/api/v0"
QUESTION = ("text:safe", "text:answer_question")  # What the model says before it answers.
UNSAFE = "Tell me something unsafe"
REFUSAL = "I am afraid I can't respond to that..."


def turns(*texts):
    """Return a chat history of user and assistant in turn."""
    return [
        {"role": "assistant" if i % 2 else "user", "content": text, "type": "text"}
        for i, text in enumerate(texts)
    ]


class Page:
    """
    Reads as the page does: each read is cut and parsed by itself, nothing is kept for the next.

    A read that cannot be taken so raises, as there; the page then hangs for ever.
    """

    def __init__(self):
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.history = None
        self.answer = ""
        self.events = []

    @property
    def kinds(self):
        return [event["type"] for event in self.events]

    def read(self, value):
        for part in self._decoder.decode(value).split("data: ")[1:]:
            event = json.loads(part)
            self.events.append(event)
            if event["type"] == "chat_history":
                self.history = event["value"]
            if event["type"] == "delta":
                self.answer += event["value"]


class Chat:
    """One application of a caller: anybody with a key, or nobody in particular without one."""

    def __init__(self, site, app, *, key=None, project=PROJECT):
        self.app = app
        self.project = project
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(base_url=site.url, headers=headers, timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.http.close()

    @property
    def chatbot(self):
        return f"{API}/streaming_chatbot"

    @property
    def name(self):
        return f"{self.project}/{self.app}"

    def create(self):
        answer = self.http.post(f"{self.chatbot}/create/{self.name}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def history(self):
        answer = self.http.get(f"{self.chatbot}/history/{self.name}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def stream(self, prompt, **headers):
        """Return the answer as a context manager, to be read in it."""
        path = f"{self.chatbot}/response/{self.name}"
        return self.http.stream("POST", path, json={"prompt": prompt}, headers=headers)

    def ask(self, prompt, **headers):
        """Return the page when it has read the whole answer."""
        page = Page()
        with self.stream(prompt, **headers) as answer:
            assert answer.status_code == 200, answer.read()
            for part in answer.iter_raw():
                page.read(part)
        return page

    def apps(self, partition="__none__", **query):
        path = f"{API}/{self.project}/{partition}/apps"
        return self.http.get(path, params=query).json()

    def logs(self):
        """Return all that is told of it, as Burr's own models read it."""
        answer = self.http.get(f"{API}/{self.name}/__none__/apps")
        assert answer.status_code == 200, answer.text
        return ApplicationLogs.model_validate(answer.json())

    def actions(self):
        return [step.step_start_log.action for step in self.logs().steps]

    def sequences(self):
        return [step.step_start_log.sequence_id for step in self.logs().steps]
