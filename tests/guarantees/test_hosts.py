"""S13: the site answers to its own names alone. What Django logs of others is expected."""

import pytest

from tests.guarantees.clients import API
from tests.guarantees.raw import exchange, status_of

SITE_ERRORS = True


@pytest.mark.parametrize(
    "host", ["evil.test", "127.0.0.1.evil.test", "127.0.0.1@evil.test", "127.0.0.1:x", "", "a b"]
)
def test_s13_a_host_that_is_not_ours_is_refused(any_site, any_ada, host):
    for path in ("/accounts/login/", "/", f"{API}/conversations/"):
        lines = (f"GET {path} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {any_ada.key}")
        request = "\r\n".join([*lines, "Connection: close"]).encode() + b"\r\n\r\n"
        answer = exchange(any_site, request)
        if path.startswith(API):
            assert b"evil.test" not in answer
        else:
            assert status_of(answer) == 400
