"""The parameters of a conversation: set by a form or over the API, and told to the model."""

from uuid import uuid4

import httpx
from django.db import transaction
from django.urls import reverse

from chat.generations import turns
from chat.generations.accept import accept
from chat.generations.asks import Ask
from chat.generations.parameters import merged
from chat.models import Conversation
from tests.servers import Site
from tests.views.kept import API, KeptTestCase


class ParameterTests(KeptTestCase):
    def setUp(self):
        super().setUp()
        self.client.force_login(self.ada)

    def post(self, conversation, **form):
        address = reverse("chat:options", args=[conversation.pk])
        answer = self.client.post(address, {"action": "parameters", **form}, follow=True)
        assert answer.status_code == 200
        conversation.refresh_from_db()
        return answer.content.decode()

    def patch(self, conversation, **fields):
        address = f"{API}/conversations/{conversation.pk}/"
        answer = self.client.patch(address, fields, content_type="application/json")
        return answer.status_code, answer.json()

    def run_of(self, conversation, **fields):
        ask = Ask(
            user=self.ada, key=str(uuid4()), default_model="demo", text="Why?",
            conversation_id=conversation.pk, **fields,
        )  # fmt: skip
        with transaction.atomic():
            return turns.load_run(accept(ask).generation)

    def test_a_form_sets_them_and_shows_them_again(self):
        conversation = self.add()
        html = self.post(
            conversation,
            temperature="0.5",
            top_p="1",
            max_tokens="",
            system_prompt=" Be\r\nbrief. ",
        )
        assert conversation.parameters == {"temperature": 0.5, "top_p": 1}
        assert conversation.system_prompt == "Be\nbrief."
        assert 'value="0.5"' in html
        self.post(conversation)
        assert (conversation.parameters, conversation.system_prompt) == ({}, "")

    def test_a_form_says_what_is_wrong_and_sets_nothing(self):
        conversation = self.add()
        for field, value in (("temperature", "2.5"), ("top_p", "much"), ("max_tokens", "0")):
            assert f"parameters.{field}: Input should be" in self.post(
                conversation, **{field: value}
            )
            assert conversation.parameters is None

    def test_the_api_sets_and_tells_them(self):
        conversation = self.add()
        status, told = self.patch(
            conversation, parameters={"max_tokens": 7}, system_prompt="Rhyme."
        )
        assert status == 200
        assert (told["parameters"], told["system_prompt"]) == ({"max_tokens": 7}, "Rhyme.")
        assert self.patch(conversation, title="Verse")[1]["parameters"] == {"max_tokens": 7}
        for wrong in ({"temperature": -1}, {"temperature": "1"}, {"top_k": 1}, {"max_tokens": 1.5}):
            status, told = self.patch(conversation, parameters=wrong)
            assert (status, told["error"]["code"]) == (400, "bad_request")
        assert self.patch(conversation, parameters={})[1]["parameters"] == {}

    def test_nobody_sets_them_for_somebody_else(self):
        assert self.patch(self.add(owner=self.bob), parameters={})[0] == 404

    def test_a_run_is_told_them_and_a_request_says_more(self):
        parameters = {"temperature": 0.5, "max_tokens": 9}
        conversation = self.add(parameters=parameters, system_prompt="Rhyme.")
        run = self.run_of(conversation, options={"max_completion_tokens": 3})
        assert run.options == {"temperature": 0.5, "max_completion_tokens": 3}
        assert run.system == "Rhyme."

    def test_what_a_client_tells_as_system_comes_before_it(self):
        conversation = self.add(system_prompt="Rhyme.")
        told = conversation.messages.create(role="system", text="Be brief.")
        assert self.run_of(conversation, parent_id=told.pk).system == "Be brief."

    def test_a_fork_has_the_same(self):
        conversation = self.add(
            "Tea", ("q", "a"), parameters={"top_p": 0.1}, system_prompt="Rhyme."
        )
        message = conversation.messages.order_by("-id").first()
        address = f"{API}/conversations/{conversation.pk}/fork/"
        body = {"message": str(message.pk)}
        made = self.client.post(address, body, content_type="application/json").json()
        fork = Conversation.objects.get(pk=made["id"])
        assert (fork.parameters, fork.system_prompt) == ({"top_p": 0.1}, "Rhyme.")


def test_of_two_names_for_a_length_the_last_said_counts():
    assert merged({"max_tokens": 5}, None, {"max_completion_tokens": 3}) == {
        "max_completion_tokens": 3
    }
    assert merged({"max_completion_tokens": 3, "top_p": 1}, {"max_tokens": 5}) == {
        "max_tokens": 5,
        "top_p": 1,
    }


def test_the_model_server_is_asked_with_them(live_site: Site) -> None:
    live_site.upstream.reset()
    live_site.upstream.script("words:2")
    live_site.create_user()
    headers = {"Authorization": f"Bearer {live_site.create_api_key()}"}
    with httpx.Client(base_url=f"{live_site.url}{API}", headers=headers) as api:
        body = {"parameters": {"temperature": 0.25, "max_tokens": 11}, "system_prompt": "Rhyme."}
        made = api.post("/conversations/", json=body).raise_for_status().json()
        sent = api.post(
            f"/conversations/{made['id']}/messages/",
            json={"text": "Why?"},
            headers={"Accept": "text/event-stream"},
            timeout=30,
        )
        assert "event: done" in sent.raise_for_status().text
    asked = live_site.upstream.journal[0]["body"]
    assert (asked["temperature"], asked["max_tokens"]) == (0.25, 11)
    assert asked["messages"][0] == {"role": "system", "content": "Rhyme."}
