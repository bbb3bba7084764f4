"""The trace of an answer as the server renders it, read and used without JavaScript."""

from datetime import timedelta
from unittest import mock
from uuid import uuid4
from xml.etree import ElementTree

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chat.database import close_database_threads
from chat.models import Conversation, Generation, Step, Timing
from chat.traces import page, rows

User = get_user_model()
HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'
POEM = ("prompt", "check_safety", "decide_mode", "generate_poem")
SAID = [{"role": "user", "content": "A poem, please", "type": "text"}]
USED = {"input_tokens": 20, "output_tokens": 30, "total_tokens": 50}
# What each action of the router changes.
RESULTS = {
    "prompt": {"prompt": "A poem, please", "chat_history": SAID},
    "check_safety": {"safe": True},
    "decide_mode": {"mode": "generate_poem"},
    "generate_poem": {"response": "Roses", "chat_history": [*SAID, {"role": "assistant"}]},
}


def add_answer(conversation: Conversation, *, text: str = "Roses", **fields) -> Generation:
    prompt = conversation.messages.create(role="user", text="A poem, please")
    message = conversation.messages.create(role="assistant", text=text, parent=prompt)
    now = timezone.now()
    known = {"status": "done", "model": "demo", "started_at": now, "epoch": 1}
    if fields.get("status", "done") != "running":
        known |= {"ended_at": now + timedelta(seconds=4), "finish_reason": "stop"}
    return Generation.objects.create(
        owner=conversation.owner, conversation=conversation, message=message, **known | fields
    )


def add_steps(generation: Generation, names=POEM, *, first: int = 0, **last) -> list[Step]:
    """Add a step a second, each with the state that the one before has left."""
    assert generation.started_at
    steps, state = [], {}
    for place, name in enumerate(names):
        begin = generation.started_at + timedelta(seconds=place)
        after = {**state, **RESULTS.get(name, {})}
        streams = name.startswith(("generate", "unsafe"))
        step = Step(
            generation=generation,
            sequence=first + place,
            name=name,
            status="done",
            inputs={"prompt": "A poem, please"} if name == "prompt" else {},
            state_before=state,
            state_after=after,
            result=RESULTS.get(name, {}),
            started_at=begin,
            first_delta_at=begin + timedelta(milliseconds=250) if streams else None,
            ended_at=begin + timedelta(milliseconds=1000),
            deltas=15 if streams else 0,
            calls=1 if streams else 0,
            usage=USED if streams else None,
        )
        steps.append(step)
        state = after
    for name, value in last.items():
        setattr(steps[-1], name, value)
    return Step.objects.bulk_create(steps)


class TraceCase:
    """People, and a conversation with an answer of the router."""

    @classmethod
    def make(cls, self) -> None:
        self.ada = User.objects.create_user("ada")
        self.bob = User.objects.create_user("bob")
        self.conversation = Conversation.objects.create(owner=self.ada, title="Verse")
        self.generation = add_answer(self.conversation, agent="router", usage=USED)
        self.steps = add_steps(self.generation)

    def login_staff(self, *codenames: str):
        staff = User.objects.create_user("staff", is_staff=True)
        staff.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        self.client.force_login(staff)
        return staff

    def get(self, name="trace", *args, generation=None, status=200, **query):
        address = reverse(f"chat:{name}", args=[(generation or self.generation).pk, *args])
        response = self.client.get(address, query)
        assert response.status_code == status, response.content[-2000:]
        return response

    def page(self, generation=None, **query) -> str:
        return self.get(generation=generation, **query).content.decode()


class PageCase(TraceCase, TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.make(cls)

    def setUp(self) -> None:
        self.client.force_login(self.ada)


class WhoTests(PageCase):
    PARTS = (("trace",), ("trace_step", 1), ("trace_graph",), ("trace_timing",))

    def test_its_owner_sees_it(self) -> None:
        for name, *args in self.PARTS:
            self.get(name, *args)

    def test_to_others_there_is_nothing(self) -> None:
        self.client.force_login(self.bob)
        for name, *args in self.PARTS:
            self.get(name, *args, status=404)

    def test_whoever_is_not_signed_in_is_asked_to(self) -> None:
        self.client.logout()
        for name, *args in self.PARTS:
            assert "/login/" in self.get(name, *args, status=302)["Location"]

    def test_staff_with_the_permissions_sees_it(self) -> None:
        self.login_staff("view_generation", "view_message")
        html = self.page()
        assert "generate_poem" in html
        assert "ada" in html
        assert "trace_fork" not in html
        assert ">Fork" not in html

    def test_staff_without_one_of_them_does_not(self) -> None:
        for codenames in ((), ("view_generation",), ("view_message",)):
            staff = self.login_staff(*codenames)
            self.get(status=404)
            staff.delete()

    def test_permissions_without_being_staff_are_not_enough(self) -> None:
        self.bob.user_permissions.set(
            Permission.objects.filter(codename__in=["view_generation", "view_message"])
        )
        self.client.force_login(self.bob)
        self.get(status=404)

    def test_what_is_not_there_is_not_found(self) -> None:
        self.get("trace_step", 99, status=404)
        assert self.client.get(reverse("chat:trace", args=[uuid4()])).status_code == 404


class HeadTests(PageCase):
    def test_it_says_what_is_known_of_the_answer(self) -> None:
        html = self.page()
        for text in ("Verse", "A poem, please", "demo", "router", "20 prompt, 30 completion"):
            assert text in html
        assert "prompt → check_safety → decide_mode → generate_poem" in html
        assert "safe=True · mode=generate_poem" in html
        assert "4.00 s" in html
        assert reverse("chat:conversation", args=[self.conversation.pk]) in html

    def test_an_error_is_told_with_its_cause(self) -> None:
        error = {"code": "upstream_auth", "message": "The key <x> was refused.", "retryable": False}
        failed = add_answer(self.conversation, status="failed", error=error, text="")
        html = self.page(failed)
        assert "upstream_auth" in html
        assert "The key &lt;x&gt; was refused." in html

    def test_one_that_goes_on_from_another_leads_to_it(self) -> None:
        assert "Goes on from" not in self.page()
        cut = add_answer(self.conversation, status="stopped")
        html = self.page(add_answer(self.conversation, continues=cut))
        assert f'Goes on from <a href="{reverse("chat:trace", args=[cut.pk])}">' in html

    def test_a_reason_that_a_step_gives_is_told(self) -> None:
        refused = add_answer(self.conversation, agent="router")
        add_steps(
            refused,
            ("prompt", "check_safety"),
            first=4,
            result={"safe": False, "reason": "weapons"},
        )
        assert "weapons" in self.page(refused)

    def test_what_people_wrote_is_text(self) -> None:
        self.conversation.title = HOSTILE
        self.conversation.save()
        step = self.steps[-1]
        step.name = step.state_after["response"] = step.result["response"] = HOSTILE
        step.save()
        html = self.page()
        assert "<script>alert" not in html
        assert "<img" not in html


class StepTests(PageCase):
    def test_the_table_has_every_step_with_its_times(self) -> None:
        html = self.page()
        for name in POEM:
            assert f">{name}</a>" in html
        assert "1.00 s" in html
        assert "250 ms" in html
        assert "25.0 ms/token" in html
        assert "(30/750 ms)" in html
        assert 'class="kind kind-stream">streaming' in html
        assert html.count('<span class="status-word">Done</span>') >= 4

    def test_without_a_choice_the_last_step_is_shown(self) -> None:
        assert "<code>generate_poem</code></h2>" in self.page()

    def test_a_step_is_chosen_by_its_number(self) -> None:
        html = self.page(step="2")
        assert "<code>decide_mode</code></h2>" in html
        assert html.count('aria-current="true"') == 1
        for number in ("99", "x", "-1", "9" * 30, "٣"):
            assert "<code>generate_poem</code></h2>" in self.page(step=number)

    def test_a_failed_step_is_what_is_shown_first(self) -> None:
        failed = add_answer(self.conversation, agent="router", status="failed")
        add_steps(failed, POEM[:3], first=4, status="failed", error="Traceback", state_after=None)
        html = self.page(failed)
        assert "<code>decide_mode</code></h2>" in html
        assert "It failed before it had changed anything." in html

    def test_the_state_is_shown_before_after_and_by_its_difference(self) -> None:
        html = self.get("trace_step", 2).content.decode()
        assert html.index("Difference") < html.index("After") < html.index("Before")
        assert '<span class="json-word">added</span> <span class="json-key">mode</span>' in html
        assert "3 unchanged" in html

    def test_its_values_are_to_be_had_as_json(self) -> None:
        values = self.get("trace_step", 3, **{"as": "json"}).json()
        assert values["result"]["response"] == "Roses"
        assert values["state_before"]["mode"] == "generate_poem"

    def test_tracebacks_are_shown_to_staff_alone(self) -> None:
        failed = add_answer(self.conversation, agent="router", status="failed")
        add_steps(failed, POEM[:3], first=4, status="failed", error='File "secret.py"')
        assert "secret.py" not in self.page(failed)
        assert "secret.py" not in self.get("trace_step", 6, generation=failed).content.decode()
        self.login_staff("view_generation", "view_message")
        assert "secret.py" in self.page(failed)
        values = self.get("trace_step", 6, generation=failed, **{"as": "json"}).json()
        assert "error" not in values

    def test_the_source_of_our_own_agents_is_shown_to_everybody(self) -> None:
        html = self.get("trace_step", 2).content.decode()
        assert "decide_mode" in html
        assert 'class="k">async</span>' in html
        assert '<span class="chip">mode</span>' in html

    @override_settings(CHAT={"AGENTS": {"own": "tests.agents.graphs.greeter"}})
    def test_the_source_of_a_sites_own_agents_is_shown_to_staff(self) -> None:
        own = add_answer(self.conversation, agent="own")
        add_steps(own, ("choose",), first=4)
        assert "Its source is shown to staff." in self.page(own)
        self.login_staff("view_generation", "view_message")
        assert 'class="k">async</span>' in self.page(own)

    def test_what_people_noted_down_is_shown(self) -> None:
        assert 'id="notes"' not in self.page()
        noted = {"note": HOSTILE, "ground_truth": "An ode"}
        self.steps[-1].annotations.create(
            tags=["meter"],
            observations=[{"data_fields": noted, "thumbs_up_thumbs_down": False}],
        )
        html = self.page()
        for text in ('id="notes"', "meter", "An ode", "wrong"):
            assert text in html
        assert "<script>alert" not in html
        assert 'id="notes"' not in self.page(step="0")

    def test_a_plain_answer_is_one_step(self) -> None:
        plain = add_answer(self.conversation, text="Tea")
        html = self.page(plain)
        assert "<code>answer</code></h2>" in html
        assert html.count('class="step-row') == 1
        assert "none: the model by itself" in html
        assert self.get("trace_step", 4, generation=plain, **{"as": "json"}).json()["result"] == {
            "response": "Tea"
        }

    def test_one_that_waits_has_no_step(self) -> None:
        queued = add_answer(self.conversation, status="queued", started_at=None, text="")
        html = self.page(queued)
        assert "It waits for the answer before it." in html
        assert 'http-equiv="refresh"' in html

    def test_one_that_runs_is_refreshed_without_a_script(self) -> None:
        running = add_answer(self.conversation, status="running", agent="router", text="")
        assert "Its first step is about to start." in self.page(running)
        add_steps(running, POEM[:2], first=4, status="started", ended_at=None, state_after=None)
        html = self.page(running)
        assert 'http-equiv="refresh"' in html
        assert "is known when it has ended" in html
        assert 'http-equiv="refresh"' not in self.page()


class WholeConversationTests(PageCase):
    def test_all_its_steps_are_in_one_table_with_the_pauses_between(self) -> None:
        later = timezone.now() + timedelta(minutes=4, seconds=30)
        plain = add_answer(
            self.conversation, started_at=later, ended_at=later + timedelta(seconds=1)
        )
        other = add_answer(
            self.conversation, agent="router", started_at=later + timedelta(seconds=1)
        )
        add_steps(other, first=5)
        html = self.page(all="")
        assert html.count('class="step-row') == 9
        assert "Pause of 4 min" in html
        assert f"/g/{plain.pk}/?all&amp;step=4#step" in html
        assert f"/g/{other.pk}/?all&amp;step=8#step" in html

    def test_of_very_many_steps_the_newest_are_shown(self) -> None:
        add_answer(self.conversation)
        add_steps(add_answer(self.conversation, agent="router"), ["think"] * 30, first=5)
        newest = add_answer(self.conversation)
        assert "Only the newest" not in self.page(newest, all="").partition('id="step"')[0]
        with mock.patch.object(rows, "MAX_ROWS", 20), mock.patch.object(page, "MAX_ROWS", 20):
            html = self.page(newest, all="").partition('id="step"')[0]
        numbers = [int(part.partition('"')[0]) for part in html.split('data-step="')[1:]]
        assert numbers == list(range(15, 36))
        assert "Only the newest are listed." in html

    def test_a_long_way_is_told_by_its_ends(self) -> None:
        long = add_answer(self.conversation, agent="router")
        add_steps(long, ["first", *["think"] * 50, "last"], first=4)
        html = self.page(long)
        assert "first → think" in html
        assert "think → last" in html
        assert html.count("think → ") < 20

    def test_the_newest_step_may_come_first(self) -> None:
        later = timezone.now() + timedelta(minutes=4, seconds=30)
        add_answer(self.conversation, started_at=later, ended_at=later + timedelta(seconds=1))
        html = self.page(all="", newest="")
        places = [html.index(f'data-step="{number}"') for number in (4, 3, 2, 1, 0)]
        assert places == sorted(places)
        assert places[0] < html.index("Pause of 4 min") < places[1]
        assert "?all&amp;newest&amp;step=2#step" in html
        assert "Oldest first" in html

    def test_numbers_are_those_of_each_answers_own_trace(self) -> None:
        plain = add_answer(self.conversation)
        add_steps(add_answer(self.conversation, agent="router"), first=5)
        last = add_answer(self.conversation)
        for generation, number in ((plain, 4), (last, 9)):
            for query in ({}, {"all": ""}):
                html = self.page(generation, step=str(number), **query)
                assert f'<span class="muted">{number}</span> <code>answer</code></h2>' in html

    def test_the_number_of_queries_does_not_grow_with_the_steps(self) -> None:
        self.page()
        few, many = self.queries(), {}
        for place in range(4):
            generation = add_answer(self.conversation, agent="router")
            add_steps(generation, ["think"] * 100, first=4 + 100 * place)
        many = self.queries()
        assert many == few
        assert max(few.values()) <= 16, few

    def queries(self) -> dict[str, int]:
        newest = Generation.objects.latest("pk")
        found = {}
        for name, query in (("one", {}), ("step", {"step": "1"}), ("all", {"all": ""})):
            with CaptureQueriesContext(connection) as queries:
                self.page(newest, **query)
            found[name] = len(queries)
        return found

    def test_states_are_not_loaded_for_the_table(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            self.page(all="")
        tables = [q["sql"] for q in queries if "ORDER BY" in q["sql"] and "chat_step" in q["sql"]]
        assert tables
        assert not any("state_before" in sql for sql in tables if "LIMIT 1000" in sql)


class GraphTests(PageCase):
    def test_the_page_holds_it_with_the_way_taken(self) -> None:
        html = self.page(step="2")
        svg = html[html.index("<svg xmlns") : html.index("</svg>", html.index("<svg xmlns")) + 6]
        root = ElementTree.fromstring(svg)
        nodes = {g.get("data-node"): g.get("class", "") for g in root.iter() if g.get("data-node")}
        assert len(nodes) == 9
        assert "is-current" in nodes["decide_mode"]
        assert "is-visited" in nodes["generate_poem"]
        assert "is-visited" not in nodes["unsafe_response"]
        assert root[0].text == "The graph of router"
        assert "Taken: prompt, check_safety, decide_mode, generate_poem." in (root[1].text or "")

    def test_the_same_stands_there_as_a_list(self) -> None:
        html = self.page()
        assert "The same as a list" in html
        assert "if mode=generate_poem" in html

    def test_it_can_be_downloaded(self) -> None:
        response = self.get("trace_graph")
        assert response["Content-Type"].startswith("image/svg+xml")
        assert response["Content-Disposition"].startswith("attachment;")
        ElementTree.fromstring(response.content)
        assert b"style=" not in response.content

    def test_of_an_agent_that_has_gone_the_steps_are_drawn(self) -> None:
        gone = add_answer(self.conversation, agent="gone")
        add_steps(gone, ("one", "two"), first=4)
        html = self.page(gone)
        assert 'data-node="two"' in html
        assert "The agent has no such action any more." in html

    def test_there_is_no_style_and_no_script_in_the_page(self) -> None:
        html = self.page()
        assert " style=" not in html
        assert "<style" not in html
        assert " onclick=" not in html


class InsightTests(PageCase):
    def test_what_was_used_is_told_by_step_and_in_all(self) -> None:
        html = self.page()
        table = html[html.index('id="insights"') : html.index('id="family"')]
        cells = ["".join(part.split("<")[0].split()) for part in table.split('step-figure">')[1:]]
        assert cells[-5:] == ["1", "20", "30", "50", "15"]

    def test_what_was_not_counted_is_not_zero(self) -> None:
        silent = add_answer(self.conversation, agent="router")
        add_steps(silent, POEM[:1], first=4)
        table = self.page(silent)
        table = table[table.index('id="insights"') : table.index('id="family"')]
        assert ">0<" not in table


class TimingTests(PageCase):
    def test_text_and_times_are_told(self) -> None:
        Timing.objects.create(generation=self.generation, marks=[[10, 2], [30, 3]])
        assert self.get("trace_timing").json() == {"text": "Roses", "marks": [[10, 2], [30, 3]]}

    def test_unknown_times_are_none(self) -> None:
        assert self.get("trace_timing").json() == {"text": "Roses", "marks": []}

    def test_deleting_an_answer_deletes_its_times(self) -> None:
        Timing.objects.create(generation=self.generation, marks=[[10, 5]])
        self.conversation.delete()
        assert not Timing.objects.exists()


class LinkTests(PageCase):
    def test_the_answer_in_the_chat_leads_to_its_trace(self) -> None:
        html = self.client.get(reverse("chat:conversation", args=[self.conversation.pk])).content
        assert reverse("chat:trace", args=[self.generation.pk]) in html.decode()

    def test_so_does_one_that_runs(self) -> None:
        running = add_answer(self.conversation, status="running", ended_at=None)
        html = self.client.get(reverse("chat:message", args=[running.message_id])).content
        assert reverse("chat:trace", args=[running.pk]) in html.decode()

    def test_the_admin_leads_to_it(self) -> None:
        self.client.force_login(User.objects.create_superuser("root"))
        for name, *args in (("change", self.generation.pk), ("changelist",)):
            html = self.client.get(reverse(f"admin:chat_generation_{name}", args=args)).content
            assert reverse("chat:trace", args=[self.generation.pk]) in html.decode()


class ForkTests(TraceCase, TransactionTestCase):
    def setUp(self) -> None:
        self.make(self)
        self.client.force_login(self.ada)

    def tearDown(self) -> None:
        close_database_threads()

    def fork(self, **data):
        address = reverse("chat:trace_fork", args=[self.generation.pk])
        return self.client.post(address, data)

    def test_a_step_is_forked_by_a_form_and_linked_both_ways(self) -> None:
        html = self.page(step="2")
        assert f'name="step" value="{self.steps[2].pk}"' in html
        response = self.fork(step=self.steps[2].pk)
        made = Conversation.objects.exclude(pk=self.conversation.pk).get()
        assert response["Location"] == reverse("chat:conversation", args=[made.pk])
        assert made.forked_at_step == self.steps[2]
        assert reverse("chat:conversation", args=[made.pk]) in self.page()
        assert "at step 2 decide_mode" in self.page()
        answer = add_answer(made)
        html = self.page(answer)
        assert "Forked from" in html
        assert f"/g/{self.generation.pk}/?step=2" in html

    def test_so_is_a_message(self) -> None:
        assert f'value="{self.generation.message_id}"' in self.page()
        assert self.fork(message=self.generation.message_id).status_code == 302
        made = Conversation.objects.exclude(pk=self.conversation.pk).get()
        assert made.forked_from == self.generation.message
        assert "Forks" in self.page()

    def test_what_cannot_be_forked_is_told_on_the_page(self) -> None:
        response = self.fork()
        assert response.status_code == 400
        assert 'role="alert"' in response.content.decode()
        assert self.fork(step="no id").status_code == 400
        assert self.fork(step=uuid4()).status_code == 404
        assert Conversation.objects.count() == 1

    def test_staff_cannot_fork_what_is_not_theirs(self) -> None:
        self.login_staff("view_generation", "view_message")
        assert self.fork(message=self.generation.message_id).status_code == 404
        assert Conversation.objects.count() == 1

    def test_it_takes_a_token_of_the_page(self) -> None:
        client = self.client_class(enforce_csrf_checks=True)
        client.force_login(self.ada)
        address = reverse("chat:trace_fork", args=[self.generation.pk])
        assert client.post(address, {"step": self.steps[2].pk}).status_code == 403
        assert self.client.get(address).status_code == 405
