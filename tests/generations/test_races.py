"""Tabs that change the same queue at once, against each other, the hand-out and stops."""

from django.test import TransactionTestCase

from tests.generations.races import Races


class MemoryRaceTests(Races, TransactionTestCase):
    event_log = "memory"


class DatabaseRaceTests(Races, TransactionTestCase):
    event_log = "database"
