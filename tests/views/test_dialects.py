"""The door of the dialects, before a small view of its own."""

from importlib import import_module

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
)
from django.http import HttpResponse
from django.test import AsyncRequestFactory, TransactionTestCase, override_settings

from chat.errors import NotFound
from chat.models import ApiKey
from chat.views.dialects import endpoint, json_body
from chat.views.streams import error_response

OPEN = override_settings(CHAT={"OPEN_DIALECTS": True})
PAGES = override_settings(CHAT={"OPEN_DIALECTS": True, "CORS_ORIGINS": ("http://localhost:5173",)})
ANY_PAGE = override_settings(CHAT={"OPEN_DIALECTS": True, "CORS_ORIGINS": ("*",)})


@endpoint("GET", "POST", tell=error_response)
async def who(request, identity):
    if request.method == "POST":
        json_body(request)
    if "lost" in request.GET:
        raise NotFound
    if "defect" in request.GET:
        raise ZeroDivisionError
    return HttpResponse(identity.user.get_username())


@endpoint("GET", "POST", tell=error_response, safe={"GET"})
async def read(request, identity):
    return HttpResponse(identity.user.get_username())


class DoorTests(TransactionTestCase):
    def setUp(self):
        self.ada = get_user_model().objects.create_user(username="ada")
        self.key = ApiKey.objects.create_key(self.ada)[1]
        store = import_module(settings.SESSION_ENGINE).SessionStore()
        store[SESSION_KEY] = str(self.ada.pk)
        store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        store[HASH_SESSION_KEY] = self.ada.get_session_auth_hash()
        store.save()
        self.session_key = store.session_key

    async def call(
        self, method="GET", path="/who", body="", content_type="", in_session=False, **headers
    ):
        factory = AsyncRequestFactory()
        if in_session:
            factory.cookies[settings.SESSION_COOKIE_NAME] = self.session_key
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = factory.generic(
            method,
            path,
            body,
            content_type or "application/octet-stream",
            headers=named,
        )
        return await (read if path == "/read" else who)(request)

    async def name(self, **options):
        response = await self.call(**options)
        return response.content.decode() if response.status_code == 200 else response.status_code

    async def test_strangers_are_refused_while_the_dialects_are_closed(self):
        assert await self.name() == 401

    @OPEN
    async def test_strangers_are_guests_while_the_dialects_are_open(self):
        assert (await self.name()).startswith("guest-")

    @OPEN
    async def test_a_wrong_key_makes_nobody_a_guest(self):
        assert await self.name(authorization="Bearer sk-wrong") == 401

    async def test_keys_and_sessions_are_always_let_in(self):
        assert await self.name(authorization=f"Bearer {self.key}") == "ada"
        assert await self.name(in_session=True, origin="http://testserver") == "ada"
        assert await self.name(in_session=True, sec_fetch_site="same-origin") == "ada"

    @ANY_PAGE
    async def test_a_page_of_another_site_cannot_use_a_session(self):
        for headers in (
            {"origin": "http://evil.test"},
            {"origin": "null"},
            {"origin": "https://testserver"},
            {"origin": "http://testserver:81"},
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
            {"sec_fetch_site": "none", "sec_fetch_mode": "navigate"},
            {},
        ):
            assert await self.name(in_session=True, **headers) == 403, headers

    async def test_a_page_that_can_tell_nothing_else_is_known_by_its_address(self):
        reads = {"in_session": True, "accept": "text/event-stream"}
        assert await self.name(referer="http://testserver/ask-demo/", **reads) == "ada"
        assert await self.name(referer="http://evil.test/ask-demo/", **reads) == 403
        assert await self.name(referer="http://testserver.evil.test/", **reads) == 403
        assert await self.name(**reads) == 403
        assert await self.name(in_session=True, referer="http://testserver/") == 403

    @PAGES
    async def test_what_only_reads_is_answered_to_any_page_and_shown_to_those_named(self):
        for headers in ({"origin": "http://evil.test"}, {"sec_fetch_site": "cross-site"}, {}):
            response = await self.call(path="/read", in_session=True, **headers)
            assert response.content == b"ada"
            assert "Access-Control-Allow-Origin" not in response
            assert await self.name(method="POST", path="/read", in_session=True, **headers) == 403

    @PAGES
    async def test_a_named_page_may_send_its_session(self):
        response = await self.call(in_session=True, origin="http://localhost:5173")
        assert response.content == b"ada"
        assert response["Access-Control-Allow-Credentials"] == "true"

    @ANY_PAGE
    async def test_a_page_that_is_not_named_may_not_send_a_session(self):
        response = await self.call(origin="http://anywhere.test")
        assert response["Access-Control-Allow-Origin"] == "http://anywhere.test"
        assert "Access-Control-Allow-Credentials" not in response

    @OPEN
    async def test_a_page_of_another_site_cannot_ask_as_a_guest(self):
        assert await self.name(origin="http://evil.test") == 403
        assert await self.name(sec_fetch_site="cross-site") == 403

    @PAGES
    async def test_a_named_page_may_ask_and_read_the_answer(self):
        response = await self.call(origin="http://localhost:5173")
        assert response.content.startswith(b"guest-")
        assert response["Access-Control-Allow-Origin"] == "http://localhost:5173"
        assert "Origin" in response["Vary"]

    @PAGES
    async def test_errors_can_be_read_by_a_named_page_too(self):
        response = await self.call(path="/who?lost", origin="http://localhost:5173")
        assert response.status_code == 404
        assert response["Access-Control-Allow-Origin"] == "http://localhost:5173"

    @ANY_PAGE
    async def test_any_page_may_ask_as_a_guest_where_the_setting_says_so(self):
        assert (await self.name(origin="http://anywhere.test")).startswith("guest-")

    @PAGES
    async def test_a_preflight_names_methods_and_headers(self):
        response = await self.call(
            "OPTIONS",
            origin="http://localhost:5173",
            access_control_request_headers="content-type,x-stainless-os",
        )
        assert response.status_code == 204
        assert response["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
        assert response["Access-Control-Allow-Headers"] == "content-type,x-stainless-os"
        response = await self.call("OPTIONS", origin="http://localhost:5173")
        assert "last-event-id" in response["Access-Control-Allow-Headers"]

    @PAGES
    async def test_a_preflight_of_another_page_gets_no_permission(self):
        response = await self.call("OPTIONS", origin="http://evil.test")
        assert "Access-Control-Allow-Origin" not in response

    @OPEN
    async def test_a_body_must_say_that_it_is_json(self):
        assert await self.name(method="POST", body="{}", content_type="text/plain") == 400
        assert (await self.name(method="POST", body="{}", content_type="application/json"))[:5]

    async def test_another_method_is_refused_by_name(self):
        response = await self.call("DELETE")
        assert response.status_code == 405
        assert response["Allow"] == "GET, POST, OPTIONS"

    @OPEN
    async def test_a_defect_is_logged_and_answered_as_one(self):
        with self.assertLogs("chat.views.dialects", "ERROR"):
            response = await self.call(path="/who?defect")
        assert response.status_code == 500
        assert b"internal_error" in response.content
