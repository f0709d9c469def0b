"""The gateway as its own process, as an admin runs it: a settings file, ports, `passerelle run`.

Started, killed and started again from outside, so that what survives is what is on disk.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bridge.demo.private import LOOPBACK, PrivateServer, answers

MAIL_DOMAIN = "chat.passerelle.test"
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "a token for the demo"
OWN_NUMBER = "+15550001000"

SETTINGS = """
[gateway]
data_dir = "{folder}/data"
database = "sqlite"
public_url = "{public_url}"
allow = {allow}
{gateway}

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
strangers = "{strangers}"
{mail}
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
numbers = {numbers}
region = "US"
{sms}
{extra}
"""


# Carriers' pace, a day's quotas and second thoughts are for carriers: a stand-in needs none of them.
UNHURRIED = {
    "segments_per_second": 0,
    "segments_per_day": 0,
    "new_numbers_per_day": 0,
    "countries": ["*"],
    "hold_first_seconds": 0,
}


class ComponentHost(Protocol):
    """An XMPP server that the gateway's components connect to."""

    domain: str
    component_port: int

    @property
    def components(self) -> Mapping[str, str]:
        """Their domains and secrets."""
        ...


@dataclass(frozen=True, slots=True)
class FarEnds:
    """Where the gateway's neighbours are."""

    prosody: ComponentHost
    mail_jid: str
    sms_jid: str
    smarthost_port: int
    api_url: str


class GatewayProcess(PrivateServer):
    """`passerelle run` with SQLite in a folder of its own. `connect` says where the others are.

    `allow` is everybody on the XMPP server unless told otherwise; `sms` are keys of the SMS transport,
    `gateway` is TOML for the table of that name, `extra` for the file's end.
    """

    name = "gateway"
    port_count = 3
    demoted = False  # the virtual environment may lie where nobody else may read

    def __init__(
        self,
        *,
        numbers: Sequence[str] = (OWN_NUMBER,),
        allow: Sequence[str] = (),
        gateway: str = "",
        extra: str = "",
        strangers: str = "everyone",
        mail: str = "",
        sms: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self._sms = UNHURRIED | dict(sms or {})
        self.numbers = tuple(numbers)
        self.ready_when = "/readyz"  # what must answer 200 for a start to be over
        self._allow = tuple(allow)
        self._gateway = gateway
        self._extra = extra
        self._strangers = strangers  # what happens to mails from whom nobody knows
        self._mail = mail
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
            numbers=json.dumps(self.numbers),
            allow=json.dumps(self._allow or (ends.prosody.domain,)),
            gateway=self._gateway,
            extra=self._extra,
            strangers=self._strangers,
            mail=self._mail,
            sms="\n".join(f"{key} = {json.dumps(value)}" for key, value in self._sms.items()),
        )

    def prepare(self) -> None:
        (self.folder / "data").mkdir()
        self.settings_file.write_text(self._settings, encoding="utf-8")

    @property
    def settings_file(self) -> Path:
        return self.folder / "passerelle.toml"

    def command(self) -> Sequence[str]:
        return self.command_line("run")

    def command_line(self, *words: str) -> tuple[str, ...]:
        """A `passerelle` command on the settings of this gateway."""
        program = Path(sys.executable).with_name("passerelle")
        return (str(program), *words, "--config", str(self.settings_file))

    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "DEMO_TWILIO_TOKEN": AUTH_TOKEN,
        }

    def ready(self) -> bool:
        request = f"GET {self.ready_when} HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n"
        return answers(self.admin_port, request.encode(), b" 200 ")
