from django.test import SimpleTestCase, override_settings

from chat.origins import OriginCheck

OWN = {b"host": "chat.example.com"}


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

    @override_settings(SECURE_SSL_REDIRECT=True)
    def test_behind_a_proxy_with_tls_the_own_origin_is_https(self):
        assert allows("https://chat.example.com")
        assert not allows("http://chat.example.com")

    @override_settings(CHAT={"ALLOWED_ORIGINS": ("https://app.example.org",)})
    def test_a_list_replaces_the_own_origin(self):
        assert allows("https://app.example.org")
        assert not allows("http://chat.example.com")
