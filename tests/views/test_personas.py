"""Personas over the API and by plain forms, and what a conversation makes of them."""

from html import unescape
from uuid import uuid4

import httpx
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from chat.errors import BadRequest, NotFound
from chat.generations import turns
from chat.generations.accept import accept
from chat.generations.asks import Ask
from chat.generations.personas import change_persona
from chat.models import Conversation, Persona
from tests.models.test_personas import make
from tests.servers import Site
from tests.views.kept import API, KeptTestCase, path_of

POET = {
    "name": "Poet",
    "description": "Rhymes",
    "system_prompt": "Rhyme.",
    "model": "openai:verse",
    "parameters": {"temperature": 1.5},
    "starters": ["Sing of tea."],
}


class ApiTests(KeptTestCase):
    def make(self, **fields):
        return self.call("POST", "/personas/", {**POET, **fields}, status=201)

    def test_one_is_made_read_changed_and_hidden(self):
        made = self.make()
        assert made == {
            "id": made["id"], **POET, "owner": "user", "hidden": False, "version": 1,
        }  # fmt: skip
        path = f"/personas/{made['id']}/"
        assert self.call("GET", path) == made
        [listed] = self.call("GET", "/personas/")["items"]
        assert listed == {k: v for k, v in made.items() if k not in ("system_prompt", "parameters")}
        changed = self.call("PATCH", path, {"system_prompt": "Sing."})
        assert (changed["version"], changed["system_prompt"]) == (2, "Sing.")
        assert changed["parameters"] == POET["parameters"]
        assert self.call("PATCH", path, {"hidden": True})["hidden"] is True
        assert self.call("GET", "/personas/")["items"] == []
        assert [p["id"] for p in self.call("GET", "/personas/", hidden="true")["items"]] == [
            made["id"]
        ]

    def test_versions_are_listed_page_by_page_and_made_the_newest_again(self):
        path = f"/personas/{self.make()['id']}/"
        for prompt in ("Two.", "Three."):
            self.call("PATCH", path, {"system_prompt": prompt})
        page = self.call("GET", f"{path}versions/", limit="2")
        assert [each["system_prompt"] for each in page["items"]] == ["Three.", "Two."]
        page = self.call("GET", f"{path}versions/", limit="2", cursor=page["next"])
        assert [each["version"] for each in page["items"]] == [1]
        assert page["next"] is None
        restored = self.call("PATCH", path, {"version": 1})
        assert (restored["version"], restored["system_prompt"]) == (4, "Rhyme.")
        self.call("PATCH", path, {"version": 1, "name": "P"}, status=400)
        self.call("PATCH", path, {"version": 9}, status=404)
        self.call("GET", f"{path}versions/", cursor="x", status=400)

    def test_what_is_no_persona_is_refused(self):
        for wrong in (
            {"name": " "}, {"name": "x" * 101}, {"system_prompt": "x" * 20_001},
            {"starters": ["a"] * 7}, {"starters": [" "]}, {"parameters": {"temperature": 3}},
            {"owner": "site"},
        ):  # fmt: skip
            self.call("POST", "/personas/", {**POET, **wrong}, status=400)
        self.call("POST", "/personas/", {**POET, "model": "nobody"}, status=404)
        assert not Persona.objects.exists()

    def test_what_one_may_not_see_is_not_found(self):
        group = Group.objects.create(name="poets")
        for persona in (make(self.bob), make(None, groups=[group])):
            path = f"/personas/{persona.pk}/"
            self.call("GET", path, status=404)
            self.call("PATCH", path, {"name": "P"}, status=404)
            self.call("GET", f"{path}versions/", status=404)
            body = {"persona": str(persona.pk)}
            self.call("POST", "/conversations/", body, status=404)
            self.call("PATCH", path_of(self.add()), body, status=404)
        sites = make(None)
        assert self.call("GET", f"/personas/{sites.pk}/")["owner"] == "site"
        self.call("PATCH", f"/personas/{sites.pk}/", {"name": "P"}, status=404)
        self.call("GET", f"/personas/{sites.pk}/versions/", status=404)

    def test_a_conversation_keeps_its_version_until_it_is_given_the_newest(self):
        made = self.make()
        body = {"persona": made["id"]}
        told = self.call("POST", "/conversations/", body, status=201)
        told_of = {"id": made["id"], "name": "Poet", "version": 1, "newest": 1}
        assert told["persona"] == told_of
        self.call("PATCH", f"/personas/{made['id']}/", {"system_prompt": "Sing."})
        path = path_of(told["id"])
        assert self.call("GET", path)["persona"] == {**told_of, "newest": 2}
        assert self.call("PATCH", path, {"title": "T"})["persona"]["version"] == 1
        [listed] = self.call("GET", "/conversations/")["items"]
        assert listed["persona"]["version"] == 1
        assert self.call("PATCH", path, body)["persona"]["version"] == 2
        assert self.call("PATCH", path, {"persona": None})["persona"] is None

    def test_a_conversation_goes_on_with_what_is_not_offered_any_more(self):
        persona = make(None, system_prompt="Rhyme.")
        conversation = self.add(persona_version=persona.newest)
        persona.groups.add(Group.objects.create(name="others"))
        assert self.call("GET", path_of(conversation))["persona"]["name"] == "Poet"
        self.call("PATCH", path_of(conversation), {"persona": str(persona.pk)}, status=404)
        self.client.force_login(self.ada)
        html = self.client.get(reverse("chat:options", args=[conversation.pk])).content.decode()
        assert "It is not offered to you any more" in html
        html = self.client.get(
            reverse("chat:conversation", args=[conversation.pk])
        ).content.decode()
        assert "newer version" not in html

    def test_deleted_and_restored_forked_and_exported_it_has_the_same(self):
        persona = make(self.ada)
        conversation = self.add("Tea", ("q", "a"), persona_version=persona.newest)
        path = path_of(conversation)
        self.call("DELETE", path, status=204)
        assert self.call("POST", f"{path}restore/")["persona"]["version"] == 1
        message = str(conversation.messages.order_by("-id").first().pk)
        fork = self.call("POST", f"{path}fork/", {"message": message}, status=201)
        assert fork["persona"] == self.call("GET", path)["persona"]
        for text in (self.export(f"{path}export/"), self.export("/export/")):
            assert '"persona": {"name": "Poet", "version": 1}' in text

    def test_lists_take_as_many_queries_with_many_as_with_one(self):
        def fill():
            persona = make(self.ada)
            make(None)
            self.add(persona_version=persona.newest)

        def queries(path):
            with CaptureQueriesContext(connection) as found:
                self.client.get(path)
            return len(found)

        self.client.force_login(self.ada)
        addresses = [f"{API}/personas/", f"{API}/conversations/", reverse("chat:personas")]
        fill()
        for path in addresses:
            self.client.get(path)
        before = [queries(path) for path in addresses]
        for _ in range(5):
            fill()
        assert [queries(path) for path in addresses] == before


class InForceTests(KeptTestCase):
    def run_of(self, **fields):
        ask = Ask(user=self.ada, key=str(uuid4()), default_model="demo", text="Why?", **fields)
        with transaction.atomic():
            return turns.load_run(accept(ask).generation)

    def persona(self, **fields):
        return make(self.ada, **{k: v for k, v in POET.items() if k != "name"} | fields)

    def test_a_new_conversation_begins_as_its_persona_says(self):
        run = self.run_of(persona_id=self.persona().pk)
        assert (run.system, run.options, run.model) == (
            "Rhyme.", {"temperature": 1.5}, "openai:verse",
        )  # fmt: skip

    def test_each_comes_before_the_next(self):
        persona = self.persona(parameters={"temperature": 1.5, "top_p": 0.5, "max_tokens": 9})
        conversation = self.add(
            persona_version=persona.newest,
            parameters={"temperature": 1, "top_p": 1},
            system_prompt="Sing.",
            model="demo",
        )
        run = self.run_of(conversation_id=conversation.pk, options={"temperature": 0})
        assert run.options == {"temperature": 0, "top_p": 1, "max_tokens": 9}
        assert (run.system, run.model) == ("Sing.", "demo")
        run = self.run_of(conversation_id=conversation.pk, model="openai:asked")
        assert run.model == "openai:asked"

    def test_an_empty_persona_leaves_all_to_the_site(self):
        run = self.run_of(persona_id=make(self.ada).pk)
        assert (run.system, run.options, run.model) == (None, {}, "demo")

    def test_what_a_client_tells_as_system_comes_before_it(self):
        conversation = self.add(persona_version=self.persona().newest)
        told = conversation.messages.create(role="system", text="Be brief.")
        run = self.run_of(conversation_id=conversation.pk, parent_id=told.pk)
        assert run.system == "Be brief."

    def test_the_same_key_with_another_persona_is_another_request(self):
        asked = {"user": self.ada, "key": "k", "default_model": "demo", "text": "Why?"}
        persona = self.persona()
        accept(Ask(**asked, persona_id=persona.pk))
        assert not accept(Ask(**asked, persona_id=persona.pk)).is_new
        assert Ask(**asked).fingerprint != Ask(**asked, persona_id=persona.pk).fingerprint

    def test_what_is_there_already_does_not_begin_with_one(self):
        with self.assertRaises(BadRequest):
            self.run_of(persona_id=self.persona().pk, conversation_id=self.add().pk)
        with self.assertRaises(NotFound):
            self.run_of(persona_id=make(self.bob).pk)
        assert Conversation.objects.count() == 1


class PageTests(KeptTestCase):
    def setUp(self):
        super().setUp()
        self.client.force_login(self.ada)

    def get(self, name, *args, status=200, **query):
        answer = self.client.get(reverse(f"chat:{name}", args=args), query)
        assert answer.status_code == status
        return answer.content.decode()

    def post(self, page, *args, status=200, **form):
        answer = self.client.post(reverse(f"chat:{page}", args=args), form, follow=True)
        assert answer.status_code == status, answer.content
        return unescape(answer.content.decode())

    def fields(self, **changes):
        told = {k: v for k, v in POET.items() if k != "parameters"}
        return {**told, "starters": "Sing of tea.\r\n\r\n", "temperature": "1.5", **changes}

    def test_one_is_made_edited_and_looked_back_at(self):
        assert "You have made none yet." in self.get("personas")
        html = self.post("new_persona", **self.fields())
        assert "“Poet” is made." in html
        persona = Persona.objects.get()
        assert persona.newest.starters == ["Sing of tea."]
        assert persona.newest.parameters == {"temperature": 1.5}
        html = self.get("persona", persona.pk)
        assert 'value="1.5"' in html
        html = self.post("persona", persona.pk, **self.fields(system_prompt="Sing.\r\nLoud."))
        assert "Saved as version 2." in html
        persona.refresh_from_db()
        assert persona.newest.system_prompt == "Sing.\nLoud."
        assert "Saved." in self.post(
            "persona", persona.pk, **self.fields(system_prompt="Sing.\r\nLoud.", name="Bard")
        )
        assert "Rhyme." in self.get("persona_version", persona.pk, 1)
        html = self.post("persona_version", persona.pk, 1)
        assert "Version 3 says what version 1 did." in html
        self.get("persona_version", persona.pk, 9, status=404)

    def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_lost(self):
        html = self.post("new_persona", **self.fields(temperature="3", model="nobody"))
        assert "less than or equal to 2" in html
        assert "Sing of tea." in html
        html = self.post("new_persona", **self.fields(model="nobody"))
        assert "No model is called" in html
        assert "At most 6 lines" in self.post("new_persona", **self.fields(starters="a\n" * 7))
        assert not Persona.objects.exists()

    def test_it_is_hidden_shown_and_duplicated(self):
        persona = make(self.ada)
        assert "is hidden" in self.post("persona", persona.pk, action="hide")
        assert "Show again" in self.get("personas")
        assert "can be chosen again" in self.post("persona", persona.pk, action="show")
        assert "Poet (copy)" in self.post("persona", persona.pk, action="duplicate")
        assert Persona.objects.owned_by(self.ada).count() == 2

    def test_the_sites_is_read_and_copied_and_a_strangers_is_none(self):
        sites, his = make(None, system_prompt="Rhyme."), make(self.bob)
        html = self.get("persona", sites.pk)
        assert "Rhyme." in html
        assert 'name="system_prompt"' not in html
        self.post("persona", sites.pk, action="hide", status=404)
        assert "yours to change" in self.post("persona", sites.pk, action="duplicate")
        self.get("persona_version", sites.pk, 1, status=404)
        for name, args in (("persona", [his.pk]), ("persona_version", [his.pk, 1])):
            self.get(name, *args, status=404)
            self.post(name, *args, action="hide", status=404)

    def test_a_new_chat_shows_it_and_begins_with_it(self):
        persona = make(self.ada, **{k: v for k, v in POET.items() if k != "name"})
        html = self.get("home", persona=str(persona.pk))
        for text in ("Rhymes", "Sing of tea.", "openai:verse"):
            assert text in html
        assert "hash table" in self.get("home", persona="nonsense")
        html = self.post("home", text="Why?", key="k", model="", persona=str(persona.pk))
        conversation = Conversation.objects.get()
        assert conversation.persona_version == persona.newest
        assert conversation.generations.get().model == "openai:verse"
        hers = self.post(
            "home", text="Why?", key="l", model="", persona=str(make(self.bob).pk), status=404
        )
        assert "Why?" in hers

    def test_the_picker_of_a_form_keeps_it_leaves_it_and_never_renews_it(self):
        persona = make(self.ada)
        conversation = self.add(persona_version=persona.newest)
        with transaction.atomic():
            change_persona(self.ada, persona.pk, {"system_prompt": "Sing."})
        html = self.get("conversation", conversation.pk)
        assert "has a newer version, 2" in html
        for value, number in ((str(persona.pk), 1), ("", None)):
            self.post(
                "conversation", conversation.pk, text="Q", key=f"k{number}", model="", persona=value
            )
            conversation = Conversation.objects.get(pk=conversation.pk)
            version = conversation.persona_version
            assert (version and version.number) == number

    def test_the_options_give_the_newer_version_another_one_or_none(self):
        persona, other = make(self.ada), make(self.ada, "Cook")
        conversation = self.add(persona_version=persona.newest)
        with transaction.atomic():
            change_persona(self.ada, persona.pk, {"system_prompt": "Sing."})
        assert "Version 2 is newer." in self.get("options", conversation.pk)

        def choose(value):
            self.post("options", conversation.pk, action="persona", persona=value)
            return Conversation.objects.get(pk=conversation.pk).persona_version

        assert choose(str(persona.pk)).number == 2
        assert choose(str(other.pk)).persona == other
        assert choose("") is None
        self.post("options", conversation.pk, action="persona", persona="x", status=404)

    def test_parameters_are_saved_as_a_persona(self):
        persona = make(self.ada, model="openai:verse", parameters={"top_p": 1})
        conversation = self.add(persona_version=persona.newest)
        html = self.post(
            "options", conversation.pk, action="save-persona",
            persona_name="Bard", temperature="0.5", system_prompt="Sing.",
        )  # fmt: skip
        assert "is among your personas" in html
        made = Persona.objects.get(name="Bard").newest
        assert (made.system_prompt, made.model) == ("Sing.", "openai:verse")
        assert made.parameters == {"top_p": 1, "temperature": 0.5}
        html = self.post("options", conversation.pk, action="save-persona", persona_name=" ")
        assert "name: " in html
        conversation.refresh_from_db()
        assert conversation.parameters is None


def test_the_model_server_is_told_what_the_persona_says(live_site: Site) -> None:
    live_site.upstream.reset()
    live_site.upstream.script("words:2", "words:2")
    live_site.create_user()
    headers = {"Authorization": f"Bearer {live_site.create_api_key()}"}
    with httpx.Client(base_url=f"{live_site.url}{API}", headers=headers) as api:
        made = api.post("/personas/", json={**POET, "model": "openai:verse"}).json()
        body = {"persona": made["id"], "parameters": {"top_p": 0.5}}
        path = f"/conversations/{api.post('/conversations/', json=body).json()['id']}/messages/"
        for prompt in ("Why?", "And then?"):
            sent = api.post(
                path, json={"text": prompt}, headers={"Accept": "text/event-stream"}, timeout=30
            )
            assert "event: done" in sent.raise_for_status().text
            # What comes later is for those who begin later.
            api.patch(f"/personas/{made['id']}/", json={"system_prompt": "Sing."})
    for asked in live_site.upstream.journal[:2]:
        body = asked["body"]
        assert (body["model"], body["temperature"], body["top_p"]) == ("verse", 1.5, 0.5)
        assert body["messages"][0] == {"role": "system", "content": "Rhyme."}
