"""The wheel in an empty project: three lines, its own user model and its own base template."""

import re
from collections.abc import Iterator
from uuid import uuid4

import httpx
import openai
import pytest

from tests.dialects.ai_sdk import Caller, ui
from tests.dialects.ai_sdk import text_of as ai_text_of
from tests.dialects.burr_client import QUESTION, Chat
from tests.dialects.test_ai_sdk_socket import deltas, open_socket
from tests.guarantees.clients import Person
from tests.guarantees.readers import text_of
from tests.guarantees.sites import sign_up
from tests.project import Project
from tests.upstream import words_text

HELLO = {"role": "user", "content": "Hello"}


@pytest.fixture(scope="module")
def person(project: Project) -> Iterator[Person]:
    (ada,) = sign_up(project.chat, "ada")
    yield ada
    ada.http.close()
    ada.browser.close()


@pytest.fixture
def ada(project: Project, person: Person) -> Person:
    project.upstream.reset()
    return person


@pytest.fixture
def client(project: Project, ada: Person) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=project.url, follow_redirects=True) as client:
        client.cookies.set("sessionid", ada.session)
        yield client


# What a project lacks ---------------------------------------------------------------------


def test_what_could_be_better_is_said_with_how(project: Project) -> None:
    said = project.manage("check")
    assert "chat.W006" in said
    assert "chat.defaults.SQLITE_OPTIONS" in said
    where = project.manage("shell", "-c", "import chat; print(chat.__file__)")
    assert str(project.folder) in where
    bundle = "from django.contrib.staticfiles import finders; print(finders.find('chat/main.js'))"
    assert str(project.folder) in project.manage("shell", "-c", bundle)


def test_a_project_without_the_addresses_is_told_and_the_hint_mends_it(project: Project) -> None:
    line = 'urlpatterns += [path("chat/", include("chat.urls"))]'
    with project.changed("project/urls.py", line, "") as urls:
        said = lacking(project, "chat.E010")
        addition = re.search(r"HINT: Add (path\(.+\)) to the project's addresses\.", said)
        assert addition, said
        urls.write_text(f"{urls.read_text()}urlpatterns += [{addition[1]}]\n")
        assert "chat.E" not in project.manage("check")


def test_a_project_whose_templates_lack_the_user_is_told_and_the_hint_mends_it(
    project: Project,
) -> None:
    line = "'django.contrib.auth.context_processors.auth',"
    with project.changed("project/settings.py", line, "") as settings:
        said = lacking(project, "chat.E011")
        addition = re.search(r"HINT: Add ('[\w.]+') to the context_processors of TEMPLATES\.", said)
        assert addition, said
        processors = 'TEMPLATES[0]["OPTIONS"]["context_processors"]'
        settings.write_text(f"{settings.read_text()}{processors} += [{addition[1]}]\n")
        assert "chat.E" not in project.manage("check")


def test_a_project_that_does_not_look_into_apps_is_told_and_the_hint_mends_it(
    project: Project,
) -> None:
    with project.changed("project/settings.py", "'APP_DIRS': True,", "") as settings:
        assert 'HINT: Set "APP_DIRS": True in TEMPLATES' in lacking(project, "chat.E012")
        settings.write_text(f'{settings.read_text()}TEMPLATES[0]["APP_DIRS"] = True\n')
        assert "chat.E" not in project.manage("check")


def lacking(project: Project, code: str) -> str:
    """Return what `check` says of a project that it finds wrong, among it that."""
    done = project.run("check")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"({code})" in done.stderr
    return done.stderr


# Pages --------------------------------------------------------------------------------------


def test_the_page_has_the_projects_header_and_its_files(client: httpx.Client) -> None:
    page = client.get("/chat/")
    assert page.status_code == 200
    assert "The project's header" in page.text
    files = re.findall(r'(?:src|href)="(/static/[^"#]+\.(?:js|css))"', page.text)
    assert len(files) >= 4
    assert {client.get(path).status_code for path in files} == {200}
    for address in ("account/", "archived/", "ask-demo/"):
        assert "The project's header" in client.get(f"/chat/{address}").text


def test_a_prompt_is_answered_under_the_prefix(client: httpx.Client) -> None:
    client.get("/chat/")  # It sets the cookie.
    headers = {"X-CSRFToken": client.cookies["csrftoken"], "Referer": str(client.base_url)}
    made = client.post("/chat/api/v1/conversations/", json={}, headers=headers).json()
    path = f"/chat/api/v1/conversations/{made['id']}/messages/"
    sent = client.post(path, json={"text": "Say hello"}, headers=headers).json()
    generation = sent["generation"]["id"]
    events = client.get(f"/chat/api/v1/generations/{generation}/events/", timeout=60).text
    assert "event: done" in events


def test_a_page_of_the_project_shows_the_chat_in_frames(client: httpx.Client) -> None:
    frames = re.findall(r'<iframe[^>]+src="([^"]+)"', client.get("/").text)
    assert frames == ["/chat/embed/", "/chat/embed/"]
    framed = client.get(frames[0])
    assert framed.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert 'id="composer"' in framed.text


def test_whoever_is_signed_out_gets_a_link(project: Project) -> None:
    page = httpx.get(project.url).text
    assert "<iframe" not in page
    assert re.findall(r'<a href="([^"]+)">Sign in to chat</a>', page) == ["/chat/"] * 2
    sign_in = httpx.get(f"{project.url}/chat/")
    assert (sign_in.status_code, sign_in.headers["Location"]) == (302, "/admin/login/?next=/chat/")


# Under the prefix ------------------------------------------------------------------------------


@pytest.mark.parametrize("by_session", [True, False], ids=["session", "key"])
def test_the_socket_asks_and_reads(project: Project, ada: Person, by_session: bool) -> None:
    project.upstream.script("words:30")
    origin = {"origin": project.url} if by_session else {}
    with ada.socket(by_session=by_session, **origin) as socket:
        accepted = socket.ask("Hello")
        events = socket.events(accepted["generation"])
    assert text_of(events) == words_text(30)
    assert events[-1].kind == "done"


def test_openais_client_lists_models_and_asks(project: Project, ada: Person) -> None:
    for base in ("/v1", "/openai/v1"):
        with openai.OpenAI(base_url=project.chat.url + base, api_key=ada.key) as client:
            assert "openai:fake" in {model.id for model in client.models.list().data}
            project.upstream.script("words:30", "words:3")
            with client.chat.completions.create(
                model="openai:fake", messages=[HELLO], stream=True
            ) as chunks:
                texts = [c.choices[0].delta.content or "" for c in chunks if c.choices]
            assert "".join(texts) == words_text(30)
            whole = client.chat.completions.create(model="openai:fake", messages=[HELLO])
            assert whole.choices[0].message.content == words_text(3)


def test_the_ai_sdk_asks_and_completes(project: Project, ada: Person) -> None:
    caller = Caller(project.chat, ada)
    answer = caller.ask(str(uuid4()), ui("Hello"), model="words:30")
    assert ai_text_of(answer) == words_text(30)
    project.upstream.script("words:3")
    completed = caller.post({"prompt": "Hello"}, "/completion", params={"protocol": "text"})
    assert completed.text == words_text(3)


def test_the_ai_sdks_socket_asks(project: Project, ada: Person) -> None:
    with open_socket(project.chat, ada) as socket:
        socket.ask(str(uuid4()), ui("Hello"))
        assert deltas(socket.until("end", "error")) == words_text(3)


def test_burrs_chat_asks_and_shows_its_steps(project: Project, ada: Person) -> None:
    project.upstream.script(*QUESTION, "words:30")
    with Chat(project.chat, "under-a-prefix", key=ada.key) as chat:
        chat.create()
        assert chat.ask("Hello").answer == words_text(30)
        assert "answer_question" in chat.actions()


def test_the_raw_addresses_answer(project: Project, ada: Person) -> None:
    headers = {"Authorization": f"Bearer {ada.key}"}
    body = {"question": "Hello"}
    with httpx.Client(base_url=project.chat.url, headers=headers, timeout=30) as client:
        project.upstream.script(*["words:3"] * 5)
        answers = [
            client.get("/stream-with-get", params=body),
            client.post("/stream-with-post", json=body),
            client.post("/stream", json=body),
            client.get("/ask", params={"msg": "Hello"}),
            client.post("/nostream", json=body),
        ]
    for answer in answers:
        assert answer.status_code == 200, answer.url
        assert "word2" in answer.text, answer.url
