"""A real nginx, with the configuration that is shipped."""

import os
import socket
from pathlib import Path

from tests.servers import BASE_DIR, Server, Site, free_port

SHIPPED = BASE_DIR / "deploy/nginx.conf"

AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;  # As a careless http block has it.
    gzip_types *;
    include {folder}/default.conf;
}}
"""


class Nginx(Server):
    """
    nginx before two sites, on a port of its own.

    ``changes`` are made to the shipped configuration, over its addresses; each
    must be found there.
    """

    def __init__(self, *sites: Site, changes: dict[str, str] | None = None) -> None:
        super().__init__()
        self.port = free_port()
        first, second = sites if len(sites) == 2 else sites * 2
        self.changes = {
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "server web1:8000": f"server 127.0.0.1:{first.port}",
            "server web2:8000": f"server 127.0.0.1:{second.port}",
        } | (changes or {})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        text = SHIPPED.read_text()
        for old, new in self.changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (self.folder / "default.conf").write_text(text)
        user = "" if os.geteuid() else "user root;"
        path = Path(self.folder / "nginx.conf")
        path.write_text(AROUND.format(folder=self.folder, user=user))
        return ["nginx", "-e", "stderr", "-p", str(self.folder), "-c", str(path)]

    def is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
