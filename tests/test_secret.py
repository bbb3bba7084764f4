import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.test import SimpleTestCase

from chatsite.secret import keep_secret_key

BASE_DIR = settings.BASE_DIR


class SecretKeyTests(SimpleTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data_dir = Path(folder.name) / "new"

    def test_the_key_is_made_once(self):
        key = keep_secret_key(self.data_dir)
        self.assertGreaterEqual(len(key), 64)
        self.assertEqual(keep_secret_key(self.data_dir), key)

    def test_only_the_owner_may_read_it(self):
        keep_secret_key(self.data_dir)
        mode = stat.S_IMODE((self.data_dir / "secret_key").stat().st_mode)
        self.assertEqual(mode, 0o600)

    def test_nothing_else_is_left_behind(self):
        keep_secret_key(self.data_dir)
        self.assertEqual([path.name for path in self.data_dir.iterdir()], ["secret_key"])

    def test_another_folder_has_another_key(self):
        key = keep_secret_key(self.data_dir)
        self.assertNotEqual(keep_secret_key(self.data_dir.parent / "other"), key)

    def test_those_who_ask_together_get_the_same_key(self):
        code = "import sys, pathlib; from chatsite.secret import keep_secret_key as keep;"
        code += "sys.stdin.read(); print(keep(pathlib.Path(sys.argv[1])))"
        command = [sys.executable, "-c", code, str(self.data_dir)]
        children = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=BASE_DIR)
            for _ in range(4)
        ]
        for child in children:  # All are up and waiting by now, or nearly.
            child.stdin.close()
        keys = {child.stdout.read() for child in children}
        for child in children:
            child.stdout.close()
            self.assertEqual(child.wait(), 0)
        self.assertEqual(len(keys), 1)
