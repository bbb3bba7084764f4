import json
import re

import httpx
import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.test import TransactionTestCase
from django.utils import timezone
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from chat.bus import bus
from chat.database import close_database_threads
from chat.models import ApiKey, Conversation, Generation
from tests.test_admin import AdminCase, Staff, Status, make_turn, people, url


class ApiKeyTests(AdminCase):
    def add(self, **fields):
        data = {"owner": self.owner.pk, "name": "CI", "expires_at_0": "", "expires_at_1": ""}
        return self.client.post(url(ApiKey, "add"), data | fields, follow=True)

    def test_a_new_key_is_shown_once_and_works(self):
        answer = self.add(expires_at_0="2999-01-01", expires_at_1="00:00")
        row = ApiKey.objects.get()
        [message] = [
            str(m) for m in answer.context["messages"] if "sk-" in str(m) and ": sk-" in str(m)
        ]
        key = message.rpartition(" ")[2]
        self.assertEqual(ApiKey.objects.find(key), row)
        self.assertEqual((row.owner, row.name, row.expires_at.year), (self.owner, "CI", 2999))
        for page in (url(ApiKey), url(ApiKey, "change", row.pk), url(ApiKey, "history", row.pk)):
            again = self.client.get(page)
            self.assertContains(again, row.prefix)
            self.assertNotContains(again, key)
            self.assertNotContains(again, row.digest)
        self.assertEqual(LogEntry.objects.get().object_id, str(row.pk))

    def test_a_key_keeps_its_owner(self):
        row, key = ApiKey.objects.create_key(self.owner)
        data = {"owner": self.admin.pk, "name": "Renamed", "expires_at_0": "", "expires_at_1": ""}
        self.client.post(url(ApiKey, "change", row.pk), data)
        found = ApiKey.objects.find(key)
        self.assertEqual((found.owner, found.name), (self.owner, "Renamed"))

    def test_revoking_ends_keys_once(self):
        row, key = ApiKey.objects.create_key(self.owner)
        other, other_key = ApiKey.objects.create_key(self.owner)
        self.assertContains(self.act(ApiKey, "revoke_selected", row), "1 API key was revoked.")
        self.assertIsNone(ApiKey.objects.find(key))
        self.assertEqual(ApiKey.objects.find(other_key), other)
        entry = LogEntry.objects.get()
        self.assertEqual(
            (entry.object_id, entry.user, entry.action_flag), (str(row.pk), self.admin, CHANGE)
        )
        revoked_at = ApiKey.objects.get(pk=row.pk).revoked_at
        self.assertContains(self.act(ApiKey, "revoke_selected", row), "0 API keys were revoked.")
        self.assertEqual(ApiKey.objects.get(pk=row.pk).revoked_at, revoked_at)

    def test_revoking_takes_the_change_permission(self):
        row, key = ApiKey.objects.create_key(self.owner)
        self.login_staff("view_apikey", "delete_apikey")
        self.act(ApiKey, "revoke_selected", row)
        self.assertEqual(ApiKey.objects.find(key), row)

    def test_list_tells_valid_keys_from_others(self):
        now = timezone.now()
        names = {"good": {}, "old": {"expires_at": now}, "ended": {"revoked_at": now}}
        for name, fields in names.items():
            row, _ = ApiKey.objects.create_key(self.owner, name=name)
            ApiKey.objects.filter(pk=row.pk).update(**fields)
        answer = self.client.get(url(ApiKey), {"o": "2"})
        self.assertContains(answer, 'alt="True"', 1)
        self.assertContains(answer, 'alt="False"', 2)
        for state, name in [("valid", "good"), ("expired", "old"), ("revoked", "ended")]:
            rows = self.client.get(url(ApiKey), {"state": state}).context["cl"].result_list
            self.assertEqual([row.name for row in rows], [name])


class NewsTests(AdminCase):
    def test_owner_hears_of_changed_and_deleted_conversations(self):
        news = []
        self.addCleanup(bus().subscribe("news", news.append))
        page = url(Conversation, "change", self.conversation.pk)
        pk = str(self.conversation.pk)
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(page, {"title": "Looms", "model": "", "agent": ""})
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(url(Conversation, "delete", pk), {"post": "yes"})
        self.assertEqual(
            news,
            [
                {"user": str(self.owner.pk), "frame": {"id": pk, "change": "deleted"} | change}
                for change in ({"change": "updated", "title": "Looms"}, {})
            ],
        )


class StopTests(Staff, TransactionTestCase):
    """In real transactions: a stop works in threads of its own."""

    @classmethod
    def tearDownClass(cls):
        close_database_threads()
        super().tearDownClass()

    def setUp(self):
        self.admin, self.owner, self.conversation = people()
        self.sign_in()

    def test_stops_what_runs_and_waits_and_keeps_an_audit(self):
        queued = make_turn(self.conversation, status=Status.QUEUED)
        other = Conversation.objects.create(owner=self.owner, title="Looms")
        running = make_turn(other, status=Status.RUNNING, answer="So far")
        done = make_turn(other, status=Status.DONE)
        page = self.act(Generation, "stop_selected", queued, running, done)
        self.assertContains(page, "2 generations were stopped.")
        statuses = dict(Generation.objects.values_list("pk", "status"))
        self.assertEqual(
            statuses,
            {queued.pk: Status.STOPPED, running.pk: Status.STOPPED, done.pk: Status.DONE},
        )
        running.message.refresh_from_db()
        self.assertEqual(running.message.text, "So far")
        entries = LogEntry.objects.filter(user=self.admin, action_flag=CHANGE)
        self.assertEqual({e.object_id for e in entries}, {str(queued.pk), str(running.pk)})
        self.assertContains(self.client.get(url(Generation, "history", running.pk)), "Stopped.")

    def test_stopping_takes_the_change_permission(self):
        generation = make_turn(self.conversation, status=Status.RUNNING)
        self.login_staff("view_generation", "delete_generation")
        self.assertNotContains(self.client.get(url(Generation)), "stop_selected")
        self.act(Generation, "stop_selected", generation)
        generation.refresh_from_db()
        self.assertEqual(generation.status, Status.RUNNING)

    def test_the_change_permission_stops_but_does_not_edit(self):
        generation = make_turn(self.conversation, status=Status.RUNNING)
        self.login_staff("change_generation")
        change = self.client.post(url(Generation, "change", generation.pk), {"model": "x"})
        self.assertEqual(change.status_code, 403)
        page = self.act(Generation, "stop_selected", generation)
        self.assertContains(page, "1 generation was stopped.")


class Browser:
    """Somebody signed in on a real site."""

    def __init__(self, site, username):
        self.site = site
        self.http = httpx.Client(base_url=site.url, cookies=site.login(username))

    def __enter__(self):
        self.http.__enter__()
        return self

    def __exit__(self, *exc):
        self.http.__exit__(*exc)

    def socket(self):
        cookie = f"sessionid={self.http.cookies['sessionid']}"
        address = f"{self.site.ws_url}/ws/chat/"
        return connect(address, origin=self.site.url, additional_headers={"Cookie": cookie})

    def post(self, path, **data):
        page = self.http.get("/admin/" if path == "/accounts/logout/" else path)
        token = re.search('name="csrfmiddlewaretoken" value="(.+?)"', page.text)
        data["csrfmiddlewaretoken"] = token[1] if token else self.http.cookies["csrftoken"]
        return self.http.post(path, data=data, follow_redirects=True)


def frames_until(socket, kind):
    """Return the frames up to the one with an event of this kind."""
    found = []
    while True:
        found.append(json.loads(socket.recv(timeout=20)))
        if kind in {event["kind"] for event in found[-1].get("events", [])}:
            return found


@pytest.fixture(scope="module")
def site(live_site):
    live_site.create_user("root", staff=True)
    live_site.create_user("ada")
    return live_site


def close_code(socket):
    try:
        while True:
            socket.recv(timeout=20)
    except ConnectionClosed:
        return socket.close_code


def test_staff_stop_an_answer_that_a_user_is_reading(site):
    site.upstream.script("infinite@50")
    with Browser(site, "ada") as ada, Browser(site, "root") as root, ada.socket() as socket:
        socket.send(json.dumps({"type": "send", "id": "1", "conversation": None, "text": "Go on"}))
        frames = frames_until(socket, "delta")
        [generation] = [f["generation"] for f in frames if f["type"] == "accepted"]
        page = root.post(
            url(Generation), action="stop_selected", _selected_action=generation, index=0
        )
        assert "1 generation was stopped." in page.text
        frames_until(socket, "stopped")
        assert site.upstream.journal[-1]["closed"]


def test_a_revoked_key_loses_its_socket(site):
    key = site.create_api_key("ada")
    authorization = {"Authorization": f"Bearer {key}"}
    address = f"{site.ws_url}/ws/chat/"
    with (
        Browser(site, "root") as root,
        Browser(site, "ada") as ada,
        connect(address, additional_headers=authorization) as socket,
        ada.socket() as other,
    ):
        for each in (socket, other):
            assert json.loads(each.recv(timeout=20))["type"] == "hello"
        [pk] = re.findall('value="([0-9a-f-]{36})"', root.http.get(url(ApiKey)).text)
        page = root.post(url(ApiKey), action="revoke_selected", _selected_action=pk, index=0)
        assert "1 API key was revoked." in page.text
        assert close_code(socket) == 4403
        other.send(json.dumps({"type": "ping"}))
        assert json.loads(other.recv(timeout=20))["type"] == "pong"


def test_signing_out_closes_the_sockets_of_that_browser(site):
    with (
        Browser(site, "ada") as one,
        Browser(site, "ada") as two,
        one.socket() as socket,
        two.socket() as other,
    ):
        for each in (socket, other):
            assert json.loads(each.recv(timeout=20))["type"] == "hello"
        one.post("/accounts/logout/")
        assert close_code(socket) == 4403
        other.send(json.dumps({"type": "ping"}))
        assert json.loads(other.recv(timeout=20))["type"] == "pong"
