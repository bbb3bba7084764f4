from django.test import SimpleTestCase, override_settings

from chat.origins import OriginCheck

OWN = {b"host": "chat.example.com"}


def lets_in(path="/ws/ai/", **headers):
    named = {"host": "chat.example.com"} | headers
    scope = {"path": path, "scheme": "ws"}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in named.items()]
    return OriginCheck(None).lets_in(scope)


def allows(origin, *, scheme="ws", host="chat.example.com"):
    return OriginCheck.allows(origin, {"scheme": scheme}, {b"host": host})


@override_settings(ALLOWED_HOSTS=["chat.example.com", ".other.example"])
class OriginTests(SimpleTestCase):
    def test_the_page_of_the_same_origin_is_allowed(self):
        assert allows("http://chat.example.com")
        assert allows("http://chat.example.com:80")
        assert allows("http://chat.example.com:8000", host="chat.example.com:8000")
        assert allows("https://chat.example.com", scheme="wss")

    def test_s01_every_other_origin_is_refused(self):
        for origin in (
            "",
            "null",
            "file://",
            "https://chat.example.com",
            "http://chat.example.com:8000",
            "http://evil.chat.example.com",
            "http://chat.example.com.evil.com",
            "http://example.com",
            "http://evil.test:9001",
            "http://chat.example.com:x",
        ):
            assert not allows(origin), origin

    def test_s01_a_host_that_is_not_ours_has_no_own_origin(self):
        assert not allows("http://evil.test", host="evil.test")

    def test_a_project_that_names_no_hosts_is_open_to_this_machine_while_it_is_written(self):
        local = ("localhost:8000", "a.localhost", "127.0.0.1:8000", "[::1]:8000")
        with override_settings(ALLOWED_HOSTS=[], DEBUG=True):
            assert all(allows(f"http://{host}", host=host) for host in local)
            assert not allows("http://chat.example.com")
        with override_settings(ALLOWED_HOSTS=[], DEBUG=False):
            assert not any(allows(f"http://{host}", host=host) for host in local)

    @override_settings(SECURE_SSL_REDIRECT=True)
    def test_behind_a_proxy_with_tls_the_own_origin_is_https(self):
        assert allows("https://chat.example.com")
        assert not allows("http://chat.example.com")

    @override_settings(CHAT={"ALLOWED_ORIGINS": ("https://app.example.org",)})
    def test_a_list_replaces_the_own_origin(self):
        assert allows("https://app.example.org")
        assert not allows("http://chat.example.com")


@override_settings(ALLOWED_HOSTS=["chat.example.com"])
class DialectOriginTests(SimpleTestCase):
    own = "http://chat.example.com"
    page = "http://localhost:5173"

    def test_a_program_is_let_in_to_a_dialect_and_nowhere_else(self):
        assert lets_in()
        assert not lets_in("/ws/chat/")
        assert lets_in("/ws/chat/", authorization="Bearer x")

    def test_a_session_is_only_taken_from_a_page_that_is_named(self):
        assert not lets_in(cookie="sessionid=x")
        assert lets_in(cookie="sessionid=x", origin=self.own)
        assert not lets_in(cookie="sessionid=x", origin=self.page)
        with override_settings(CHAT={"CORS_ORIGINS": (self.page,)}):
            assert lets_in(cookie="sessionid=x", origin=self.page)
            assert not lets_in("/ws/chat/", cookie="sessionid=x", origin=self.page)
        with override_settings(CHAT={"CORS_ORIGINS": ("*",)}):
            assert not lets_in(cookie="sessionid=x", origin=self.page)

    def test_pages_without_a_session_are_let_in_if_they_are_named_or_any_is(self):
        assert not lets_in(origin=self.page)
        for origins in ((self.page,), ("*",)):
            with override_settings(CHAT={"CORS_ORIGINS": origins}):
                assert lets_in(origin=self.page)
                assert not lets_in(origin="null")
