"""
Users of the product with an API key each.

``python -m bench.users N`` migrates the database that the environment names,
creates N users and prints a line ``key: …`` for each.
"""

import io
import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    users = get_user_model().objects
    for number in range(int(sys.argv[1])):
        name = f"reader{number}"
        # No password: hashing one takes longer than everything else here.
        users.create_user(username=name, password=None)
        output = io.StringIO()
        call_command("create_api_key", name, stdout=output)
        print("key:", output.getvalue().split()[-1])


if __name__ == "__main__":
    main()
