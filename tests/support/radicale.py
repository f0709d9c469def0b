"""A Radicale of the test's own: a real CardDAV server, filled over the wire as an address book's app does."""

import urllib.request
from base64 import b64encode
from collections.abc import Mapping, Sequence

from bridge.demo.private import LOOPBACK, PrivateServer, answers

CONFIGURATION = """
[server]
hosts = {host}:{port}
[auth]
type = htpasswd
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = {folder}/collections
[logging]
level = warning
"""
_BOOK = (
    "<mkcol xmlns='DAV:' xmlns:c='urn:ietf:params:xml:ns:carddav'><set><prop><resourcetype><collection/>"
    "<c:addressbook/></resourcetype><displayname>Friends</displayname></prop></set></mkcol>"
)


class Radicale(PrivateServer):
    """With users (name → password) and no address book yet."""

    name = "radicale"

    def __init__(self, users: Mapping[str, str]) -> None:
        super().__init__()
        self.port = self.ports[0]
        self._users = dict(users)

    @property
    def place(self) -> str:
        """host:port"""
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        lines = "".join(f"{name}:{password}\n" for name, password in self._users.items())
        (self.folder / "users").write_text(lines, encoding="utf-8")
        (self.folder / "collections").mkdir()
        text = CONFIGURATION.format(host=LOOPBACK, port=self.port, folder=self.folder)
        (self.folder / "config").write_text(text, encoding="utf-8")

    def command(self) -> Sequence[str]:
        return ("/usr/bin/radicale", "--config", str(self.folder / "config"))

    def ready(self) -> bool:
        return answers(self.port, b"GET /.well-known/carddav HTTP/1.0\r\n\r\n", b"HTTP/1.0 ")

    def fill(self, user: str, cards: Mapping[str, str]) -> None:
        """Make an address book of a user's, and put cards into it."""
        self._ask("MKCOL", user, f"/{user}/friends/", _BOOK)
        for name, card in cards.items():
            self._ask("PUT", user, f"/{user}/friends/{name}", card, "text/vcard")

    def _ask(self, method: str, user: str, path: str, body: str, kind: str = "application/xml") -> None:
        proof = b64encode(f"{user}:{self._users[user]}".encode()).decode()
        headers = {"Authorization": f"Basic {proof}", "Content-Type": kind}
        request = urllib.request.Request(f"http://{self.place}{path}", body.encode(), headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status in (201, 204)
