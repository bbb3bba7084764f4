from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import TransactionTestCase
from django.urls import reverse
from django.utils import timezone

from chat.admin.running import Row
from chat.database import close_database_threads
from chat.models import Conversation, Generation, Worker
from tests.test_admin import HOSTILE, Staff, Status, make_turn, people, url
from tests.test_admin_actions import Browser

PAGE = reverse("admin:chat_generation_running")


class RunningPageTests(Staff, TransactionTestCase):
    """In real transactions: logs are read and stops work in threads of their own."""

    @classmethod
    def tearDownClass(cls):
        close_database_threads()
        super().tearDownClass()

    def setUp(self):
        self.admin, self.owner, self.conversation = people()
        self.sign_in()

    def test_it_shows_what_has_not_ended_and_who_writes_it(self):
        worker = Worker.objects.create(name="host 42")
        started = timezone.now() - timedelta(seconds=90)
        running = make_turn(
            self.conversation, status=Status.RUNNING, worker=worker.pk, created_at=started
        )
        queued = make_turn(self.conversation, status=Status.QUEUED)
        make_turn(self.conversation, status=Status.DONE)
        answer = self.client.get(PAGE)
        rows = answer.context["rows"]
        self.assertEqual([row.generation for row in rows], [running, queued])
        self.assertEqual([row.worker for row in rows], ["host 42", ""])
        self.assertContains(answer, "2 generations run or wait.")
        self.assertGreaterEqual(rows[0].age, 90)

    def test_tokens_are_estimated_from_what_is_written(self):
        now = timezone.now()
        generation = Generation(started_at=now - timedelta(seconds=5))
        row = Row(generation, "", 400, now)
        self.assertEqual((row.tokens, row.tokens_per_second), (100, 20.0))
        self.assertIsNone(Row(generation, "", 0, now).tokens_per_second)
        self.assertIsNone(Row(Generation(), "", 400, now).tokens_per_second)

    def test_one_is_stopped_with_an_audit_and_the_others_run_on(self):
        other = make_turn(
            Conversation.objects.create(owner=self.owner, title="Looms"), status=Status.QUEUED
        )
        queued = make_turn(self.conversation, status=Status.QUEUED)
        answer = self.client.post(PAGE, {"generation": queued.pk}, follow=True)
        self.assertContains(answer, "The generation was stopped.")
        statuses = dict(Generation.objects.values_list("pk", "status"))
        self.assertEqual(statuses, {queued.pk: Status.STOPPED, other.pk: Status.QUEUED})
        self.assertEqual(LogEntry.objects.get().object_id, str(queued.pk))

    def test_what_has_ended_or_never_was_is_no_failure(self):
        done = make_turn(self.conversation)
        for value in (done.pk, "x", ""):
            answer = self.client.post(PAGE, {"generation": value}, follow=True)
            self.assertContains(answer, "It has ended by itself.")

    def test_stopping_takes_the_change_permission_and_looking_the_view_permission(self):
        queued = make_turn(self.conversation, status=Status.QUEUED)
        self.login_staff("view_generation")
        self.assertNotContains(self.client.get(PAGE), 'name="generation"')
        answer = self.client.post(PAGE, {"generation": queued.pk})
        self.assertEqual(answer.status_code, 403)
        self.client.force_login(self.owner)
        self.assertEqual(self.client.get(PAGE).status_code, 302)
        queued.refresh_from_db()
        self.assertEqual(queued.status, Status.QUEUED)

    def test_hostile_texts_are_escaped_and_the_list_leads_here(self):
        self.conversation.title = HOSTILE
        self.conversation.save()
        make_turn(self.conversation, status=Status.QUEUED, model=HOSTILE)
        answer = self.client.get(PAGE)
        self.assertContains(answer, "&lt;script&gt;")
        for forbidden in ("<script>alert", "<img src=x", " style=", " onclick="):
            self.assertNotContains(answer, forbidden)
        self.assertContains(self.client.get(url(Generation)), PAGE)


@pytest.fixture(scope="module")
def site(live_site):
    live_site.create_user("root", staff=True)
    live_site.create_user("ada")
    return live_site


def test_staff_see_an_answer_grow_and_run_it_again(site):
    site.upstream.script("words:5")
    site.upstream.script("infinite@50")
    key = site.create_api_key("ada")
    with Browser(site, "ada") as ada, Browser(site, "root") as root:
        ada.http.headers["Authorization"] = f"Bearer {key}"
        conversation = ada.http.post("/api/v1/conversations/", json={}).json()["id"]
        messages = f"/api/v1/conversations/{conversation}/messages/"
        sent = ada.http.post(messages, json={"text": "Hi"}).raise_for_status().json()
        first = sent["generation"]["id"]
        with ada.http.stream("GET", f"/api/v1/generations/{first}/events/") as events:
            events.read()
        page = root.post(url(Generation), action="rerun_selected", _selected_action=first, index=0)
        assert "1 generation is run again." in page.text
        assert "Conversation" in root.http.get(PAGE).text
        [again] = [
            m["generation"]
            for m in ada.http.get(messages).json()["items"]
            if m.get("generation") and m["generation"] != first
        ]
        assert again in root.http.get(PAGE).text
        assert "The generation was stopped." in root.post(PAGE, generation=again).text
        assert again not in root.http.get(PAGE).text
