"""The chat on a site with a user model of its own: in a process of its own, as settings are."""

import os
import subprocess
import sys
import textwrap

SCRIPT = """
import asyncio
from django.test.utils import setup_test_environment, get_runner
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from chat.database import in_database
from chat.generations import start_generation
from chat.eventlog import event_log
from chat.models import ApiKey, Message

call_command("migrate", run_syncdb=True, verbosity=0)
setup_test_environment()
ann = get_user_model().objects.create_superuser("ann@example.com", "a good passphrase")

async def chat():
    accepted = await start_generation(ann, text="hi", key="k", model="demo")
    async for batch in event_log().follow(accepted.generation.pk):
        last = batch[-1].kind
    return str(last)

assert asyncio.run(chat()) == "done"
row, key = ApiKey.objects.create_key(ann)
assert ApiKey.objects.find(key).owner == ann
client = Client()
assert client.login(username="ann@example.com", password="a good passphrase")
for path in ("/", "/account/", "/admin/chat/conversation/?q=ann", "/admin/chat/generation/?q=ann",
             "/admin/chat/message/?q=ann", "/admin/chat/apikey/?q=ann"):
    response = client.get(path)
    assert response.status_code == 200, (path, response.status_code)
print("fine")
"""


def test_pages_api_keys_and_answers_work_with_another_user_model(tmp_path):
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.custom_user.settings",
        "CHAT_DATA_DIR": str(tmp_path),
        "OLLAMA_HOST": "",
        "CHAT_MODEL": "demo",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "fine", done.stderr
