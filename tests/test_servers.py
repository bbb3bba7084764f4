"""The servers that other tests stand on do what those tests take for granted."""

import httpx
import psycopg
import pytest
import redis

from tests.servers import NginxServer, ServerFailed, Site, UvicornSite, free_port


def test_the_site_is_served_and_knows_its_upstream(live_site):
    assert httpx.get(f"{live_site.url}/accounts/login/").status_code == 200
    models = httpx.get(f"{live_site.upstream.base_url}/models")
    assert models.status_code == 200
    assert live_site.env["OPENAI_BASE_URL"] == live_site.upstream.base_url


def test_accounts_and_keys(live_site):
    live_site.create_user("ada")
    cookies = live_site.login("ada")
    assert httpx.get(f"{live_site.url}/", cookies=cookies).status_code == 200
    with pytest.raises(ServerFailed, match="cannot sign in"):
        live_site.login("ada", "another password")
    headers = {"Authorization": f"Bearer {live_site.create_api_key('ada')}"}
    answer = httpx.get(f"{live_site.url}/api/v1/conversations/", headers=headers)
    assert answer.status_code == 200


def test_a_restart_keeps_the_address_and_the_data(site_factory):
    site = site_factory()
    site.create_user("ada")
    url = site.url
    site.restart()
    assert site.url == url
    assert "sessionid" in site.login("ada")


def test_redis(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.ping()


def test_postgres(postgres_server, site_factory):
    url = postgres_server.create_database("a_site", empty=True)
    site: Site = site_factory(UvicornSite, env={"DATABASE_URL": url})
    site.create_user("ada")
    assert "sessionid" in site.login("ada")
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT username FROM auth_user").fetchall()
    assert found == [("ada",)]
    assert not (site.data_dir / "db.sqlite3").exists()


def test_nginx_serves_what_it_is_told_and_says_what_is_wrong(live_site):
    port = free_port()
    config = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass %s; }} }}"
    with NginxServer(config % live_site.url, port=port) as nginx:
        assert httpx.get(f"{nginx.url}/accounts/login/").status_code == 200
    with pytest.raises(ServerFailed, match='unknown directive "colour"'):
        NginxServer("colour blue;", port=port).__enter__()
