"""The product's own settings, with a data folder that belongs to this test run."""

import atexit
import os
import shutil
import tempfile

if "CHAT_DATA_DIR" not in os.environ:
    folder = os.environ["CHAT_DATA_DIR"] = tempfile.mkdtemp(prefix="chat-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
# Requests at the model server are counted; tests of titles turn them on.
os.environ.setdefault("CHAT_TITLES", "off")
os.environ.setdefault("SECRET_KEY", "a secret for tests, long enough for the checks to accept it!")

from chatsite.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if template := os.environ.get("CHAT_TESTS_TEMPLATE"):
    DATABASES["default"]["TEST"] = {"TEMPLATE": template}  # noqa: F405
