from datetime import timedelta
from io import StringIO

from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import TestCase
from django.utils import timezone

from chat.models import ApiKey


class CreateApiKeyTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.user = get_user_model().objects.create_user("ada")

    def run_command(self, *args):
        out, err = StringIO(), StringIO()
        call_command("create_api_key", *args, stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()

    def test_only_the_key_is_on_standard_output(self):
        out, err = self.run_command("ada", "--name", "laptop")
        self.assertRegex(out, r"\Ask-[0-9a-f]{8}-[\w-]{43}\n\Z")
        row = ApiKey.objects.find(out.strip())
        self.assertEqual((row.owner, row.name, row.expires_at), (self.user, "laptop", None))
        self.assertIn("valid until revoked", err)

    def test_a_key_may_expire(self):
        out, _ = self.run_command("ada", "--expires", "7")
        left = ApiKey.objects.find(out.strip()).expires_at - timezone.now()
        self.assertAlmostEqual(left, timedelta(days=7), delta=timedelta(minutes=1))

    def test_mistakes_are_said_and_make_no_key(self):
        get_user_model().objects.create_user("gone", is_active=False)
        for args, message in (
            (["eve"], "There is no user 'eve'."),
            (["gone"], "not active"),
            (["ada", "--expires", "0"], "at least 1 day"),
            (["ada", "--name", "x" * 101], "at most 100"),
        ):
            with self.subTest(message), self.assertRaisesMessage(CommandError, message):
                self.run_command(*args)
        self.assertFalse(ApiKey.objects.exists())
