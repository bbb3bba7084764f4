import pytest
from django.test import override_settings

from chat.bus import bus
from chat.bus.local import LocalBus
from tests.bus.contract import BusContract


class TestLocalBus(BusContract):
    @pytest.fixture
    def make(self):
        return LocalBus

    def test_it_says_that_it_reaches_nobody_else(self):
        assert not LocalBus().reaches_processes


def test_all_of_a_process_share_one_bus():
    assert bus() is bus()


def test_redis_is_chosen_by_its_address():
    before = bus()
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        assert type(bus()).__name__ == "RedisBus"
    assert type(bus()) is type(before)
