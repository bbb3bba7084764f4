from django.test import SimpleTestCase, TransactionTestCase, override_settings

from chat.eventlog import event_log
from chat.eventlog.database import DatabaseEventLog
from chat.eventlog.memory import MemoryEventLog
from tests.eventlog.contract import EventLogContract


class MemoryEventLogTests(EventLogContract, TransactionTestCase):
    def make_log(self):
        return MemoryEventLog()


class ChosenLogTests(SimpleTestCase):
    async def test_every_task_of_the_process_gets_the_same_log(self):
        assert event_log() is event_log()

    def test_a_dotted_path_chooses_any_backend(self):
        with override_settings(CHAT={"EVENT_LOG": "tests.eventlog.test_memory.OtherLog"}):
            assert type(event_log()) is OtherLog
        assert type(event_log()) is DatabaseEventLog


class OtherLog(MemoryEventLog):
    pass
