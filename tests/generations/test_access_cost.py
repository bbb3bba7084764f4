"""What it costs a prompt that some models are for some groups only."""

from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat.llm import served
from chat.llm.served import Catalogue, Served
from tests.generations.test_accept import AcceptTestCase


class GroupCostTests(AcceptTestCase):
    def queries_of_a_prompt(self):
        with CaptureQueriesContext(connection) as queries:
            accepted = self.ask("hi")
        self.end(accepted)
        return len(queries)

    def test_a_users_groups_are_looked_up_once_and_not_with_each_prompt(self):
        self.queries_of_a_prompt()  # And whatever is done only once.
        without = self.queries_of_a_prompt()
        served.put(Catalogue(rows={"fast": Served(name="fast", groups=frozenset({1}))}))
        counts = [self.queries_of_a_prompt() for _ in range(3)]
        assert counts == [without + 1, without, without]
