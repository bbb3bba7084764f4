import stat

import pytest

from chat.terminal.config import (
    DEFAULT_URL,
    Account,
    clean_key,
    clean_url,
    config_path,
    find_account,
    read_file,
    save_account,
)
from chat.terminal.failures import BadConfig

URL = "https://chat.example.com"


@pytest.fixture
def environ(tmp_path):
    return {"XDG_CONFIG_HOME": str(tmp_path)}


@pytest.fixture
def saved(environ):
    account = Account(url=URL, key="sk-saved")
    save_account(account, config_path(environ))
    return account


def test_what_is_saved_is_found_and_nobody_else_can_read_it(environ, saved):
    assert find_account(environ=environ) == saved
    path = config_path(environ)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_folder_is_made_for_its_owner_alone(tmp_path):
    path = tmp_path / "config" / "streamchat.toml"
    save_account(Account(url=URL, key="sk-1"), path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    save_account(Account(url=URL, key="sk-2"), path)
    assert read_file(path).key == "sk-2"


def test_options_win_over_the_environment_and_that_over_the_file(environ, saved):
    given = environ | {"STREAMCHAT_URL": f"{URL}/a/", "STREAMCHAT_KEY": "sk-environ"}
    assert find_account(environ=given) == Account(url=f"{URL}/a", key="sk-environ")
    found = find_account(url=URL, key="sk-option", environ=given)
    assert found == Account(url=URL, key="sk-option")


def test_a_saved_key_goes_to_its_own_site_only(environ, saved):
    for url in ("https://other.example.com", f"{URL}:8443", "http://chat.example.com"):
        with pytest.raises(BadConfig, match="There is no key for"):
            find_account(url=url, environ=environ)
        with pytest.raises(BadConfig, match="There is no key for"):
            find_account(environ=environ | {"STREAMCHAT_URL": url})
    assert find_account(url=f"{URL.upper().replace('HTTPS', 'https')}/", environ=environ) == saved


def test_without_anything_a_site_on_this_machine_is_meant(environ):
    assert find_account(key="sk-1", environ=environ).url == DEFAULT_URL
    with pytest.raises(BadConfig, match="streamchat login"):
        find_account(environ=environ)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(environ, saved, mode):
    path = config_path(environ)
    path.chmod(mode)
    with pytest.raises(BadConfig, match=f"chmod 600 {path}"):
        find_account(environ=environ)


@pytest.mark.parametrize(
    "text", ["url = 1\nkey = 2", "key = 'sk-1'", "not toml", "url = 'x'\n\xff"]
)
def test_a_file_of_another_form_is_refused(environ, saved, text):
    path = config_path(environ)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadConfig, match="streamchat login"):
        find_account(environ=environ)


def test_what_is_odd_in_an_address_survives_the_file(environ):
    account = Account(url='https://chat.example.com/a"b\\c', key='sk-"\\')
    save_account(account, config_path(environ))
    assert find_account(environ=environ) == account


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        (" https://Chat.Example.com/ ", "https://chat.example.com"),
        ("https://example.com/chat//", "https://example.com/chat"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_an_address_has_one_form(text, url):
    assert clean_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "chat.example.com", "ftp://a", "https://", "http://a:port", "https://u:p@a", "http://a?b"],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(BadConfig, match="no address"):
        clean_url(text)


@pytest.mark.parametrize("text", ["", "sk-1 2", "sk-\n1", "sk-ä", "\x1b"])
def test_what_is_no_key_is_refused_and_not_repeated(text):
    with pytest.raises(BadConfig) as caught:
        clean_key(text)
    assert not text or text not in str(caught.value)


def test_a_key_is_not_in_what_is_printed_of_an_account():
    assert "sk-secret" not in repr(Account(url=URL, key="sk-secret"))


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost", True),
        ("http://[::1]:1", True),
        ("http://10.0.0.1", False),
        (URL, False),
    ],
)
def test_only_a_site_on_this_machine_is_local(url, is_local):
    assert Account(url=url, key="").is_local is is_local


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "streamchat.toml").mkdir()
    with pytest.raises(OSError, match="directory"):
        save_account(Account(url=URL, key="sk-1"), tmp_path / "streamchat.toml")
    assert [each.name for each in tmp_path.iterdir()] == ["streamchat.toml"]
