"""The gateway as its own process, as an admin runs it: a settings file, ports, `passerelle run`.

Started, killed and started again from outside, so that what survives is what is on disk.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.demo.private import LOOPBACK, PrivateServer, answers
from bridge.demo.prosody import PrivateProsody

MAIL_DOMAIN = "chat.passerelle.test"
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "a token for the demo"
OWN_NUMBER = "+15550001000"

SETTINGS = """
[gateway]
data_dir = "{folder}/data"
database = "sqlite"
public_url = "{public_url}"
allow = ["{domain}"]

[xmpp]
host = "127.0.0.1"
port = {component_port}
domain = "{domain}"

[web]
listen = "127.0.0.1:{web_port}"
admin = "127.0.0.1:{admin_port}"

[transport.mail]
adapter = "email"
jid = "{mail_jid}"
secret = "{mail_secret}"
domains = ["{mail_domain}"]
address = "{{user}}@{mail_domain}"
coalesce_seconds = 0
[transport.mail.inbound]
listen = "127.0.0.1:{smtp_port}"
[transport.mail.outbound]
host = "127.0.0.1"
port = {smarthost_port}
tls = "none"

[transport.sms]
adapter = "sms"
provider = "twilio"
jid = "{sms_jid}"
secret = "{sms_secret}"
account_sid = "{account_sid}"
auth_token = {{ env = "DEMO_TWILIO_TOKEN" }}
api_url = "{api_url}"
numbers = ["{own_number}"]
region = "US"
"""


@dataclass(frozen=True, slots=True)
class FarEnds:
    """Where the gateway's neighbours are."""

    prosody: PrivateProsody
    mail_jid: str
    sms_jid: str
    smarthost_port: int
    api_url: str


class GatewayProcess(PrivateServer):
    """`passerelle run` with SQLite in a folder of its own. `connect` says where the others are."""

    name = "gateway"
    port_count = 3
    demoted = False  # the virtual environment may lie where nobody else may read

    def __init__(self) -> None:
        super().__init__()
        self.smtp_port, self.web_port, self.admin_port = self.ports
        self.public_url = f"http://{LOOPBACK}:{self.web_port}"
        self._settings = ""

    @property
    def hook(self) -> str:
        """The web-hook for texts that come in."""
        return f"{self.public_url}/hooks/sms/message"

    def connect(self, ends: FarEnds) -> None:
        self._settings = SETTINGS.format(
            folder=self.folder,
            public_url=self.public_url,
            domain=ends.prosody.domain,
            component_port=ends.prosody.component_port,
            web_port=self.web_port,
            admin_port=self.admin_port,
            mail_jid=ends.mail_jid,
            mail_secret=ends.prosody.components[ends.mail_jid],
            mail_domain=MAIL_DOMAIN,
            smtp_port=self.smtp_port,
            smarthost_port=ends.smarthost_port,
            sms_jid=ends.sms_jid,
            sms_secret=ends.prosody.components[ends.sms_jid],
            account_sid=ACCOUNT_SID,
            api_url=ends.api_url,
            own_number=OWN_NUMBER,
        )

    def prepare(self) -> None:
        (self.folder / "data").mkdir()
        (self.folder / "passerelle.toml").write_text(self._settings, encoding="utf-8")

    def command(self) -> Sequence[str]:
        settings = str(self.folder / "passerelle.toml")
        program = Path(sys.executable).with_name("passerelle")
        return (str(program), "run", "--config", settings)

    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "DEMO_TWILIO_TOKEN": AUTH_TOKEN,
        }

    def ready(self) -> bool:
        request = f"GET /readyz HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n"
        return answers(self.admin_port, request.encode(), b" 200 ")
