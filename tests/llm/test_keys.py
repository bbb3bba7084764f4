import pytest
from django.test import override_settings

from chat.errors import UpstreamAuth
from chat.llm.keys import can_unseal, reseal, seal, unseal

KEY = "sk-canary-0123456789"
OLD, NEW = "an old secret, long enough for this", "a new secret, long enough for this"


def test_a_key_is_encrypted_and_read_again():
    sealed = seal(KEY)
    assert KEY not in sealed
    assert unseal(sealed) == KEY
    assert seal(KEY) != sealed


def test_no_key_stays_none():
    assert (seal(""), unseal(""), can_unseal("")) == ("", "", True)


def test_a_former_secret_still_reads_and_can_be_left_behind():
    with override_settings(SECRET_KEY=OLD):
        sealed = seal(KEY)
    with override_settings(SECRET_KEY=NEW, SECRET_KEY_FALLBACKS=[OLD]):
        assert unseal(sealed) == KEY
        again = reseal(sealed)
    with override_settings(SECRET_KEY=NEW, SECRET_KEY_FALLBACKS=[]):
        assert unseal(again) == KEY
        assert not can_unseal(sealed)


def test_another_secret_reads_nothing_and_says_so_without_the_key():
    with override_settings(SECRET_KEY=OLD):
        sealed = seal(KEY)
    with override_settings(SECRET_KEY=NEW), pytest.raises(UpstreamAuth) as caught:
        unseal(sealed)
    assert "SECRET_KEY has changed" in str(caught.value)
    assert sealed not in str(caught.value)


def test_what_was_tampered_with_is_not_read():
    assert not can_unseal(seal(KEY)[:-4] + "AAAA")
    assert not can_unseal("nonsense")
