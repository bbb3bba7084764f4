"""The suite that every bus passes. A new transport gets a subclass, not new tests."""

import asyncio
import json
import logging
import threading
import time
from uuid import uuid4

import pytest

from tests.bus.members import Member


class BusContract:
    @pytest.fixture
    def make(self):
        """A function that makes a bus of one and the same site."""
        raise NotImplementedError

    @pytest.fixture
    def one(self, make):
        with Member(make()) as member:
            yield member

    def test_own_subscribers_have_heard_when_publish_returns(self, one):
        assert one.publish(1, 2) == [1, 2]
        assert one.threads == {one.thread.ident}

    def test_a_topic_is_heard_by_its_own_subscribers_only(self, one):
        one.publish(1, topic="another")
        one.publish(2)
        one.wait_for([2])

    def test_who_has_unsubscribed_hears_no_more(self, one):
        one.publish(1)
        one.unsubscribe()
        one.unsubscribe()
        one.publish(2)
        one.wait_for([1])

    def test_a_subscriber_that_fails_is_logged_and_hurts_nobody(self, one, caplog):
        others = []
        one.bus.subscribe("topic", lambda message: 1 / 0)
        one.bus.subscribe("topic", others.append)
        one.publish(1)
        one.wait_for([1])
        assert others == [{"value": 1}]
        assert "ZeroDivisionError" in caplog.text

    def test_ids_of_any_type_are_text_for_everyone(self, one):
        value = uuid4()
        one.publish(value)
        one.wait_for([str(value)])

    def test_any_thread_can_publish_and_subscribers_stay_in_their_loop(self, one):
        thread = threading.Thread(target=one.bus.publish_soon, args=["topic"], kwargs={"value": 1})
        thread.start()
        thread.join()
        one.wait_for([1])
        assert one.threads == {one.thread.ident}

    def test_another_loop_can_publish_and_subscribers_stay_in_theirs(self, one):
        asyncio.run(one.bus.publish("topic", value=1))
        one.wait_for([1])
        assert one.threads == {one.thread.ident}

    def test_before_the_start_own_subscribers_hear_in_the_publishers_thread(self, make):
        member = Member(make())
        member.loop.close()
        member.bus.publish_soon("topic", value=1)
        asyncio.run(member.bus.publish("topic", value=2))
        assert member.values == [1, 2]
        assert member.threads == {threading.get_ident()}

    def test_starting_twice_and_closing_twice_changes_nothing(self, one):
        one.run(one.bus.start())
        one.publish(1)
        one.wait_for([1])
        one.run(one.bus.close())
        one.run(one.bus.close())
        one.run(one.bus.start())
        one.publish(2)
        one.wait_for([1, 2])


class RemoteBusContract(BusContract):
    """What a bus promises that reaches other processes."""

    @pytest.fixture
    def other(self, make):
        with Member(make()) as member:
            yield member

    @pytest.fixture
    def outage(self):
        """A pair of functions: end the server as a crash would, and bring it back."""
        raise NotImplementedError

    def overhear(self, bus, seconds):
        """Return a function that returns the payloads that came over the bus's channel."""
        raise NotImplementedError

    def test_it_says_that_it_reaches_other_processes(self, make):
        assert make().reaches_processes

    def test_others_hear_and_nobody_hears_twice(self, one, other):
        one.publish(1)
        other.wait_for([1])
        assert other.threads == {other.thread.ident}
        other.publish(2)
        one.wait_for([1, 2])
        other.wait_for([1, 2])

    def test_a_single_message_does_not_wait(self, one, other):
        one.publish(0)  # Connected from now on.
        other.wait_for([0])
        time.sleep(0.3)
        started = time.monotonic()
        one.publish(1)
        while len(other.heard) < 2 and time.monotonic() < started + 5:
            time.sleep(0.001)
        assert time.monotonic() - started < 1

    def test_order_is_kept_and_nothing_is_lost_while_the_transport_is_up(self, one, other):
        values = list(range(900))
        one.publish(*values[:300])
        other.wait_for(values[:300])
        one.publish(*values[300:600])
        for value in values[600:]:
            one.bus.publish_soon("topic", value=value)
        other.wait_for(values)
        one.wait_for(values)

    def test_a_process_that_has_not_started_its_bus_is_heard_all_the_same(self, make, other):
        bus = make()
        bus.publish_soon("topic", value=1)
        asyncio.run(bus.publish("topic", value=2))

        async def as_a_signal():
            bus.publish_soon("topic", value=3)

        asyncio.run(as_a_signal())
        other.wait_for([1, 2, 3])

    def test_a_sites_messages_are_not_heard_by_another_site(self, make, one, settings):
        settings.SECRET_KEY = "the secret key of another site, long enough to be one, or not"
        with Member(make()) as stranger:
            one.publish(1)
            stranger.publish(2)
            time.sleep(0.5)
            stranger.wait_for([2])
            one.wait_for([1])

    def test_what_is_published_last_is_sent_before_the_end(self, make, other):
        with Member(make()) as member:
            member.publish(1, 2, 3)
        other.wait_for([1, 2, 3])

    def test_a_long_list_arrives_in_parts(self, one, other):
        values = [str(uuid4()) for _ in range(1000)]
        one.publish(values)
        assert one.values == [values]
        deadline = time.monotonic() + 5
        while sum(map(len, other.values)) < 1000 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [value for part in other.values for value in part] == values

    def test_what_is_too_long_is_dropped_and_logged(self, one, other, caplog):
        one.publish("x" * 8000)
        one.publish("x" * 7000)
        other.wait_for(["x" * 7000])
        assert "bytes and was dropped" in caplog.text

    def test_characters_of_all_kinds_arrive(self, one, other):
        value = "ü\n\u2028\x00👋'\"\\"
        one.publish(value)
        other.wait_for([value])

    def test_what_others_send_on_the_channel_does_no_harm(self, one, other):
        for payload in ("", "x", "[]", "{}", '{"from":"x","messages":[1]}', '{"from":1}'):
            one.run(one.bus._get_ready())
            one.run(one.bus._transmit([payload]))
        one.publish(1)
        other.wait_for([1])

    def test_messages_that_come_fast_go_together(self, one, other):
        payloads = self.overhear(one.bus, seconds=4)
        started = time.monotonic()
        count = 0
        while time.monotonic() - started < 2:
            one.bus.publish_soon("topic", value=count)
            count += 1
            time.sleep(0.005)
        seconds = time.monotonic() - started
        other.wait_for(list(range(count)))
        found = payloads()
        heard = [message for text in found for message in json.loads(text)["messages"]]
        assert [message["value"] for _, message in heard] == list(range(count))
        assert len(found) <= seconds / one.bus.period_seconds + 2

    # Outages --------------------------------------------------------------------

    def test_a_lost_server_hurts_no_publisher_and_is_heard_again_when_it_is_back(
        self, one, other, make, outage, caplog
    ):
        caplog.set_level(logging.INFO, logger="chat.bus")
        end, begin = outage
        end()
        started = time.monotonic()
        for value in range(20):
            one.publish(value)
            time.sleep(0.05)
        assert one.values == list(range(20))
        assert time.monotonic() - started < 3
        started = time.monotonic()
        bus = make()
        for _ in range(20):  # As a management command that changes many rows.
            bus.publish_soon("topic", value=0)
        assert time.monotonic() - started < 4
        records = [r for r in caplog.records if "are not told, or not heard" in r.message]
        assert len(records) <= 3  # One of each bus.
        begin()
        one.wait_until_heard(other)
        other.wait_until_heard(one)
        assert "told and heard again" in caplog.text

    def test_a_process_starts_without_the_server_and_hears_once_it_is_there(self, make, outage):
        end, begin = outage
        end()
        started = time.monotonic()
        with Member(make()) as one, Member(make()) as other:
            assert time.monotonic() - started < 10
            assert one.publish(1) == [1]
            begin()
            one.wait_until_heard(other)
        end()  # And it ends without the server.
        begin()
