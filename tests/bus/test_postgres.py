import threading
from functools import partial

import psycopg
import pytest
from psycopg import sql

from chat.bus.postgres import PostgresBus
from tests.bus.contract import RemoteBusContract
from tests.bus.members import Member
from tests.servers import PostgresServer


@pytest.fixture(scope="module")
def server():
    with PostgresServer() as server:  # Of its own: these tests end it.
        yield server


class TestPostgresBus(RemoteBusContract):
    @pytest.fixture
    def make(self, server):
        return partial(PostgresBus, {"conninfo": server.url_of("postgres")})

    @pytest.fixture
    def outage(self, server):
        yield server.stop, server.start
        if server.process.poll() is not None:
            server.start()

    def overhear(self, bus, seconds):
        connection = psycopg.connect(**bus._params, autocommit=True)
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(bus._channel)))
        found = []

        def listen():
            with connection:
                found.extend(notice.payload for notice in connection.notifies(timeout=seconds))

        thread = threading.Thread(target=listen)
        thread.start()

        def payloads():
            thread.join()
            return found

        return payloads

    def test_connections_that_the_server_ends_are_made_again(self, server, one, other):
        one.publish(1)
        other.wait_for([1])
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
        with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
            ended = connection.execute(end, ["chat bus"]).fetchall()
        assert len(ended) >= 3  # Two listen, one has sent.
        one.wait_until_heard(other)

    def test_it_keeps_two_connections_and_leaves_none(self, server, make):
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chat bus'"
        with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
            with Member(make()) as one:
                one.publish(*range(200))
                assert connection.execute(count).fetchone() <= (2,)
            for _ in range(100):
                if connection.execute(count).fetchone() == (0,):
                    return
                threading.Event().wait(0.05)
        pytest.fail("There are connections left.")
