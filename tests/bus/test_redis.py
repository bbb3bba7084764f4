import signal
import threading
import time

import pytest
import redis

from chat.bus.redis import RedisBus
from tests.bus.contract import RemoteBusContract
from tests.servers import RedisServer


@pytest.fixture(scope="module")
def server():
    with RedisServer() as server:  # Of its own: these tests end it.
        yield server


class TestRedisBus(RemoteBusContract):
    @pytest.fixture
    def make(self, server, settings):
        settings.REDIS_URL = server.url
        return RedisBus

    @pytest.fixture
    def outage(self, server):
        yield server.kill, server.start
        if server.process.poll() is not None:
            server.start()

    def overhear(self, bus, seconds):
        client = redis.Redis.from_url(bus_url(bus))
        subscription = client.pubsub(ignore_subscribe_messages=True)
        subscription.subscribe(bus._channel)
        found = []
        ends_at = time.monotonic() + seconds

        def listen():
            while (left := ends_at - time.monotonic()) > 0:
                if message := subscription.get_message(timeout=left):
                    found.append(message["data"])
            subscription.close()
            client.close()

        thread = threading.Thread(target=listen)
        thread.start()

        def payloads():
            thread.join()
            return found

        return payloads

    def test_a_frozen_server_holds_up_nobody(self, server, one, other, make):
        one.publish(1)
        other.wait_for([1])
        server.signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            for value in range(2, 12):
                one.publish(value)
            assert time.monotonic() - started < 1
            assert one.values == list(range(1, 12))
            started = time.monotonic()
            make().publish_soon("topic", value=0)
            assert time.monotonic() - started < 3
        finally:
            server.signal(signal.SIGCONT)
        one.wait_until_heard(other)


def bus_url(bus):
    from django.conf import settings

    return settings.REDIS_URL
