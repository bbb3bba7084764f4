"""The client as a process, before a real site: lines of text, terminals, signing in."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from tests.proxy import Proxy
from tests.servers import BASE_DIR, free_port
from tests.terminal.running import environment, somebody
from tests.upstream import words_text

ENDLESS = [{"delta": "Once "}, {"delta": "upon "}, {"hang": True}]


def histories(site):
    return [
        [message["content"] for message in entry["body"]["messages"][1:]]
        for entry in site.upstream.journal
    ]


# Asking ---------------------------------------------------------------------------


def test_one_prompt_is_answered_and_nothing_else_is_on_standard_output(site, ada, start):
    client = start("--ask", "Count to thirty.", "--model", "openai:words:30", person=ada)
    assert client.run() == 0
    assert client.out == f"{words_text(30)}\n"
    assert "Connected as ada." in client.err
    assert "30 tokens" in client.err


def test_every_line_is_a_prompt_of_one_conversation(site, ada, start):
    client = start("--model", "openai:echo", person=ada)
    assert client.run("A first line\n\n  \nA second one\r\nand \\\nmore\nno line end") == 0
    assert client.out == "A first line\nA second one\nand \nmore\nno line end\n"
    assert histories(site)[-1] == [
        *("A first line", "A first line", "A second one", "A second one"),
        *("and \nmore", "and \nmore", "no line end"),
    ]


def test_prompts_are_read_from_a_file(site, ada, tmp_path):
    (tmp_path / "prompts").write_text("One\nTwo\n")
    with (tmp_path / "prompts").open() as prompts:
        done = subprocess.run(
            [sys.executable, "-m", "chat.terminal", "--model", "openai:echo"],
            cwd=BASE_DIR,
            env=environment(ada),
            stdin=prompts,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stdout) == (0, "One\nTwo\n"), done.stderr


def test_an_answer_is_printed_while_it_is_written(site, ada, start):
    site.upstream.script(ENDLESS)
    client = start("--ask", "Tell me a story.", person=ada)
    client.wait_for("Once upon ")
    assert client.process.poll() is None


def test_prompts_that_are_read_meanwhile_wait_and_are_answered_in_order(site, ada, start):
    site.upstream.script([{"delta": "a"}, {"sleep": 6}, {"finish": "stop"}, {"done": True}])
    client = start("--model", "openai:echo", person=ada)
    client.write("Write a.\n")
    client.wait_for("a")
    client.write("Then b.\nThen c.\n")
    client.end_input()
    assert client.wait() == 0
    assert client.out == "a\nThen b.\nThen c.\n"
    assert "Queued, next." in client.err
    assert histories(site)[-1] == ["Write a.", "a", "Then b.", "Then b.", "Then c."]


def test_more_prompts_than_the_site_queues_are_held_back(site, ada, start):
    prompts = [f"Prompt {number}" for number in range(12)]
    site.upstream.script(
        *[[{"sleep": 0.2}, {"delta": str(n)}, {"finish": "stop"}] for n in range(12)]
    )
    client = start("--quiet", person=ada)
    assert client.run("\n".join(prompts)) == 0
    assert client.out == "".join(f"{number}\n" for number in range(12))
    assert [history[-1] for history in histories(site)] == prompts
    assert client.err == ""


def test_a_conversation_goes_on(site, ada, start):
    assert start("--ask", "Remember this.", "--model", "openai:echo", person=ada).run() == 0
    newest = ada.http.get("/conversations/?limit=1").json()["items"][0]["id"]
    for which in ("last", newest):
        client = start("--ask", "And?", "--conversation", which, person=ada)
        assert client.run() == 0
    assert histories(site)[-1][::2] == ["Remember this.", "And?", "And?"]
    for which in ("nothing", "../models"):
        client = start("--ask", "And?", "--conversation", which, person=ada)
        assert client.run() == 2
        assert "The conversation cannot be found" in client.err


def test_thoughts_are_not_part_of_the_answer(site, ada, start):
    client = start("--ask", "Think.", "--model", "openai:reasoning:reasoning", person=ada)
    assert client.run() == 0
    assert client.out == "The answer.\n"
    assert "Let me think" not in client.err


# Ends -----------------------------------------------------------------------------


def test_a_failed_answer_says_why_and_does_not_hold_up_the_next(site, ada, start):
    site.upstream.script("status:401", "echo")
    client = start(person=ada)
    assert client.run("A first line\nA second one\n") == 1
    assert client.out == "A second one\n"
    assert "Error: The model provider refused the site's key." in client.err


def test_a_refused_prompt_says_why_and_does_not_hold_up_the_next(site, ada, start):
    client = start("--quiet", person=ada)
    assert client.run(f"{'x' * 70_000}\n{'ä' * 140_000}\nShort\n") == 1
    assert client.err.count("Error: The prompt") == 2
    assert client.out.startswith("# An answer in Markdown")
    client = start("--ask", "Hello", "--model", "nonsense", person=ada)
    assert client.run() == 1
    assert "No model is called 'nonsense'" in client.err


def test_an_answer_that_fails_in_the_middle_keeps_its_text(site, ada, start):
    site.upstream.script([{"delta": "Half "}, {"sleep": 0.3}, {"cut": True}])
    client = start("--ask", "Go on.", person=ada)
    assert client.run() == 1
    assert client.out == "Half \n"
    assert "Error: The connection to the model broke." in client.err


def test_ctrl_c_stops_the_answer_and_then_goes_on(site, ada, start):
    site.upstream.script(ENDLESS, "echo")
    client = start(person=ada)
    client.write("Tell me a story.\n")
    client.wait_for("Once upon ")
    client.process.send_signal(signal.SIGINT)
    client.wait_for("Stopped", stream="err")
    client.write("Another one.\n")
    client.end_input()
    assert client.wait() == 1
    assert client.out == "Once upon \nAnother one.\n"
    newest = ada.http.get("/conversations/?limit=1").json()["items"][0]["id"]
    first = ada.messages(newest)[1]
    assert first["text"] == "Once upon "
    assert ada.generation(first["generation"])["status"] == "stopped"


def test_ctrl_c_ends_it_when_nothing_runs(site, ada, start):
    client = start("--model", "openai:echo", person=ada)
    client.write("A word\n")
    client.wait_for("A word")
    client.wait_for("tokens", stream="err")
    client.process.send_signal(signal.SIGINT)
    assert client.wait() == 0
    assert "Traceback" not in client.err


def test_a_second_ctrl_c_does_not_wait_for_the_site(site, ada, start):
    site.upstream.script(ENDLESS)
    client = start(person=ada)
    client.write("Tell me a story.\n")
    client.wait_for("Once upon ")
    site.signal(signal.SIGSTOP)
    try:
        client.process.send_signal(signal.SIGINT)
        time.sleep(0.3)  # Two signals that come together are one.
        client.process.send_signal(signal.SIGINT)
        assert client.wait() == 130
    finally:
        site.signal(signal.SIGCONT)


def test_a_reader_that_leaves_ends_it_quietly(site, ada, start):
    site.upstream.script("infinite@50")
    client = start("--ask", "Go on.", person=ada)
    client.wait_for("word1 ")
    reader = "import sys; sys.stdin.read(20)"
    command = f"{sys.executable} -m chat.terminal --ask 'Go on.' --model openai:infinite@50"
    done = subprocess.run(
        ["bash", "-c", f'{command} | {sys.executable} -c "{reader}"; exit ${{PIPESTATUS[0]}}'],
        cwd=BASE_DIR,
        env=environment(ada),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


# Connections ----------------------------------------------------------------------


def test_a_wrong_key_is_said_and_not_shown(site, ada, start):
    key = "sk-00000000-wrong"
    client = start("--key", key, "--url", site.url, "--ask", "Hello")
    assert client.run() == 2
    assert "does not accept the key" in client.err
    assert key not in client.err + client.out


def test_an_address_without_a_site_is_said(site, ada, start):
    client = start(
        "--ask", "Hello", STREAMCHAT_URL=f"http://127.0.0.1:{free_port()}", STREAMCHAT_KEY="x"
    )
    assert client.run() == 2
    assert "cannot be reached: Connection refused" in client.err
    client = start("--ask", "Hello", STREAMCHAT_URL=site.upstream.root_url, STREAMCHAT_KEY="x")
    assert client.run() == 2
    assert "answers 404. Is it the address of a chat?" in client.err


def test_without_a_key_it_says_where_to_get_one(start):
    client = start("--ask", "Hello")
    assert client.run() == 2
    assert "streamchat login" in client.err


def test_a_key_that_is_revoked_ends_it(site, start):
    site.upstream.script(ENDLESS)
    with somebody(site) as eve:
        client = start("--ask", "Tell me a story.", person=eve)
        client.wait_for("Once upon ")
        key = eve.browser.get("/account/").text.partition("/account/keys/")[2][:36]
        assert eve.browser.post(f"/account/keys/{key}/revoke/").status_code == 302
        assert client.wait() == 2
    assert "revoked" in client.err


def test_nothing_is_lost_and_nothing_comes_twice_over_a_broken_line(site, ada, start):
    with Proxy(site.port) as proxy:
        proxy.cut = 50
        url = f"http://127.0.0.1:{proxy.port}"
        client = start(
            "--ask", "Count.", "--model", "openai:words:300@60", person=ada, STREAMCHAT_URL=url
        )
        for number in (20, 80, 140, 200):
            client.wait_for(f"word{number} ")
            proxy.reset()
        assert client.wait() == 0
    assert client.out == f"{words_text(300)}\n"
    assert client.err.count("The connection is lost. Trying again.") == 4
    assert client.err.count("Connected again.") == 4


def test_a_prompt_that_is_sent_into_a_broken_line_is_asked_once(site, ada, start):
    with Proxy(site.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        client = start("--model", "openai:echo", person=ada, STREAMCHAT_URL=url)
        client.wait_for("Connected", stream="err")
        proxy.down.paused = True  # It is accepted, and the client does not hear of it.
        client.write("Only once\n")
        assert site.upstream.wait_for(lambda journal: journal, timeout=20)
        proxy.reset()
        proxy.down.paused = False
        client.end_input()
        assert client.wait() == 0
    assert client.out == "Only once\n"
    assert len(site.upstream.journal) == 1


def test_an_answer_goes_on_after_a_restart_of_the_site(site_factory, start):
    drain = {"CHAT_DRAIN_SECONDS": "20", "CHAT_DRAIN_JITTER_SECONDS": "0"}
    site = site_factory(env=drain)
    with somebody(site) as ada:
        client = start("--ask", "Count.", "--model", "openai:words:100@40", person=ada)
    client.wait_for("word10 ")
    site.restart()  # It lets the answer end, which nobody can read meanwhile.
    assert client.wait() == 0, client.err
    assert client.out == f"{words_text(100)}\n"
    assert "The connection is lost. Trying again." in client.err
    assert "Connected again." in client.err


def test_an_answer_that_a_crash_has_ended_is_what_the_site_has_kept(site_factory, start):
    site = site_factory()
    with somebody(site) as ada:
        client = start("--ask", "Count.", "--model", "openai:infinite@40", person=ada)
        client.wait_for("word10 ")
        site.kill()
        site.start()
        assert client.wait() == 1
        newest = ada.http.get("/conversations/").json()["items"][0]["id"]
        assert client.out == f"{ada.messages(newest)[1]['text']}\n"
    assert "The server ended while this was written." in client.err


# Terminals ------------------------------------------------------------------------


class Tty:
    """A client whose standard streams are one terminal."""

    def __init__(self, *command, env):
        own, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command, cwd=BASE_DIR, env=env, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.own = own
        self.shown = b""

    def write(self, text):
        os.write(self.own, text.encode())

    def read(self):
        """Return all that was shown, to the end of the process, and its exit code."""
        try:
            while data := os.read(self.own, 65536):
                self.shown += data
        except OSError:  # How Linux says that nobody has the other end open any more.
            pass
        os.close(self.own)
        return self.shown.decode(), self.process.wait(30)

    def wait_for(self, text, *, times=1):
        while self.shown.count(text.encode()) < times:
            self.shown += os.read(self.own, 65536)


def test_a_terminal_gets_nothing_that_steers_it_and_a_pipe_what_the_model_wrote(site, ada, start):
    model = "openai:text:\x1b[31mred"
    command = [sys.executable, "-m", "chat.terminal", "--ask", "Red?", "--model", model]
    shown, code = Tty(*command, env=environment(ada)).read()
    assert code == 0
    assert "\ufffd[31mred" in shown
    assert "\x1b" not in shown
    client = start("--ask", "Red?", "--model", model, person=ada)
    assert client.run() == 0
    assert client.out == "\x1b[31mred\n"


def test_a_dumb_terminal_gets_lines_and_is_asked_for_the_next(site, ada):
    command = [sys.executable, "-m", "chat.terminal", "--model", "openai:echo"]
    client = Tty(*command, env=environment(ada, TERM="dumb"))
    client.wait_for("> ")
    client.write("A word\n")
    client.wait_for("> ", times=2)
    client.write("\x04")  # Ctrl-D: the end of the input.
    shown, code = client.read()
    assert code == 0
    assert shown.count("A word") == 2  # As it was typed, and as the answer.


@pytest.mark.parametrize("end", ["ctrl-q", signal.SIGTERM, signal.SIGHUP])
def test_the_whole_screen_is_used_and_given_back(site, ada, end):
    client = Tty(sys.executable, "-m", "chat.terminal", env=environment(ada, TERM="xterm"))
    client.wait_for("Connected as ada")
    if end == "ctrl-q":
        client.write("\x11")
    else:
        client.process.send_signal(end)
    shown, code = client.read()
    assert code == (0 if end == "ctrl-q" else 128 + end)
    enter, leave = "\x1b[?1049h", "\x1b[?1049l"
    assert shown.count(enter) == shown.count(leave) == 1
    assert "Traceback" not in shown.partition(leave)[2]


@pytest.mark.parametrize(
    ("package", "arguments", "hint"),
    [("textual", [], "--plain"), ("websockets", ["--plain"], "chatsite[cli]")],
)
def test_a_package_that_is_not_installed_is_named(ada, package, arguments, hint):
    code = f"import sys; sys.modules[{package!r}] = None\n"
    code += f"from chat.terminal.main import main; sys.exit(main({arguments}))"
    shown, status = Tty(sys.executable, "-c", code, env=environment(ada, TERM="xterm")).read()
    assert status == 2
    assert f"The package {package} is not installed." in shown
    assert hint in shown
    assert "Traceback" not in shown


def test_the_client_needs_no_django(ada):
    code = "import sys; import chat.terminal.plain, chat.terminal.app, chat.terminal.main\n"
    code += "print(sorted({name.partition('.')[0] for name in sys.modules} & {'django', 'ninja'}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BASE_DIR, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


# Signing in -----------------------------------------------------------------------


def test_a_key_is_tried_saved_and_used(site, ada, start, tmp_path):
    config = {"XDG_CONFIG_HOME": str(tmp_path)}
    client = start("login", "--url", f"{site.url}/", **config)
    assert client.run(f"{ada.key}\n") == 0
    assert ada.key not in client.err + client.out
    assert (tmp_path / "streamchat.toml").stat().st_mode & 0o777 == 0o600
    client = start("--ask", "A word", "--model", "openai:echo", **config)
    assert client.run() == 0
    assert client.out == "A word\n"


def test_a_key_that_the_site_does_not_take_is_not_saved(site, start, tmp_path):
    client = start("login", "--url", site.url, XDG_CONFIG_HOME=str(tmp_path))
    assert client.run("sk-00000000-wrong\n") == 2
    assert "does not accept the key" in client.err
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_typed_is_not_shown(site, ada, tmp_path):
    env = environment(XDG_CONFIG_HOME=str(tmp_path))
    client = Tty(sys.executable, "-m", "chat.terminal", "login", "--url", site.url, env=env)
    client.wait_for("API key: ")
    client.write(f"{ada.key}\n")
    shown, code = client.read()
    assert code == 0
    assert "Saved in" in shown
    assert ada.key not in shown
