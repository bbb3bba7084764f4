"""The examples of `docs/clients.md` work as they stand."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.clients.node import FOLDER as CLIENTS
from tests.clients.node import PROGRAM
from tests.servers import BASE_DIR
from tests.upstream import MARKDOWN

CURL = shutil.which("curl")
PAGE = (BASE_DIR / "docs/clients.md").read_text()


def test_the_example_for_the_openai_client_works(site, ada):
    before = asked_for_the_sky(ada)  # Another example asks the same.
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"SITE_URL": site.url, "SITE_KEY": ada.key},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "'demo'" in done.stdout
    assert " tokens\n" in done.stdout
    assert asked_for_the_sky(ada) == before + 1


def asked_for_the_sky(person):
    """Return how many conversations begin with the question of the examples."""
    rows = person.http.get("/conversations/", params={"q": "Why is the sky blue?"}).json()["items"]
    return len(rows)


@pytest.mark.skipif(not CURL, reason="curl is not here")
def test_the_example_for_text_alone_works(site, ada):
    site.upstream.script("text:Scattering.", "text:Dust.", "text:Grass.")
    (script,) = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euc", script],
        env=os.environ | {"SITE_URL": site.url, "SITE_KEY": ada.key},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"answer":"Scattering."}')
    # How many events a text comes in is a matter of time.
    assert "".join(re.findall(r"^data: (.*)$", done.stdout, re.MULTILINE)) == "Dust."
    assert done.stdout.endswith("Grass.")


def test_the_examples_for_the_ai_sdk_work(node, site, ada):
    scripts = re.findall(
        r'^```js\n(import [^`]*? from "ai";\n.*?)^```', PAGE, re.DOTALL | re.MULTILINE
    )
    over_http, over_socket = (run_by_node(script, site, ada) for script in scripts)
    assert MARKDOWN in over_http
    assert "openai:fake { inputTokens" in over_http
    assert over_socket == MARKDOWN


def run_by_node(script, site, person):
    done = subprocess.run(
        [PROGRAM, "--input-type=module", "-e", script.replace('from "ai"', 'from "ai7"')],
        cwd=CLIENTS,
        env=os.environ | {"SITE_URL": site.url, "SITE_KEY": person.key},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
