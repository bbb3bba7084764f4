"""The examples of `docs/clients.md` work as they stand."""

import os
import re
import subprocess
import sys

from tests.servers import BASE_DIR

PAGE = (BASE_DIR / "docs/clients.md").read_text()


def test_the_example_for_the_openai_client_works(site, ada):
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
    titles = [row["title"] for row in ada.http.get("/conversations/").json()["items"]]
    assert titles.count("Why is the sky blue?") == 1
