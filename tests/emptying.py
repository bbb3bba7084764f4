"""
How the tables are emptied after a test that commits: those alone that hold something.

Django's own way empties all fifty and makes the content types and permissions anew, which takes
longer than most of these tests do.
"""

from django.db import connections, transaction
from django.test import TransactionTestCase

# Made by `migrate` and the same for every test.
KEPT = {"django_content_type", "auth_permission"}


def empty_tables(using: str) -> None:
    """Delete every row of every model, but for content types and permissions."""
    connection = connections[using]
    connection.close()  # A test may have had the server end it.
    quote = connection.ops.quote_name
    tables = set(connection.introspection.django_table_names(include_views=False)) - KEPT
    looks = (f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {quote(name)})" for name in tables)
    # Foreign keys are looked at when all is deleted.
    with transaction.atomic(using=using), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        for (name,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {quote(name)}")


def _fixture_teardown(test: TransactionTestCase) -> None:
    for using in test._databases_names(include_mirrors=False):
        empty_tables(using)


def install() -> None:
    """Have every TransactionTestCase, and every test that asks for such a database, end so."""
    TransactionTestCase._fixture_teardown = _fixture_teardown  # type: ignore[method-assign]
