"""DKIM signatures on mail that goes out."""

import base64
import re
import subprocess
from pathlib import Path

import dkim
import pytest

from adapters.email.adapter import EmailAdapter
from adapters.email.settings import EmailSettings
from tests.adapters.contract import MemoryInbox, context, delivery, message
from tests.adapters.email_answers import (
    JANA,
    LINE,
)
from tests.adapters.test_email_contract import TABLE
from tests.support.mail import smarthost

# --- signatures that machines read ---


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dkim") / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", path, "1024"], check=True, capture_output=True)
    return path


def _record(key: Path) -> bytes:
    public = subprocess.run(
        ["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True
    ).stdout
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


async def test_mail_is_signed_when_a_key_is_there(key: Path) -> None:
    async with smarthost() as host:
        outbound = {
            "host": "127.0.0.1",
            "port": host.port,
            "dkim": {"domain": "chat.example.org", "selector": "gate1", "key": {"file": str(key)}},
        }
        made = EmailAdapter.from_settings(
            EmailSettings.model_validate({**TABLE, "outbound": outbound}), context()
        )
        one = message("Grüße\n.dots\n", references=("<a@b>", "<c@d>"), in_reply_to="<c@d>")
        async with made.running(MemoryInbox()):
            await made.send([delivery(JANA, sender=LINE, message=one)])
    (arrived,) = host.mails
    asked = []

    def dns(name: bytes, timeout: int = 0) -> bytes:
        asked.append(name)
        return _record(key)

    assert dkim.verify(arrived.raw, dnsfunc=dns, minkey=1024)
    assert asked == [b"gate1._domainkey.chat.example.org."]
    signed = re.sub(r"\s", "", str(arrived.message["dkim-signature"])).lower()
    covered = re.search(r";h=([^;]*)", signed)
    assert covered is not None
    wanted = {"from", "to", "subject", "date", "message-id", "references", "mime-version", "content-type"}
    assert wanted <= set(covered[1].split(":"))
    assert not dkim.verify(arrived.raw.replace(b"Subject: ", b"Subject: not "), dnsfunc=dns, minkey=1024)
    assert not dkim.verify(b"From: evil@x.example\r\n" + arrived.raw, dnsfunc=dns, minkey=1024)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"key": "no key"}, "openssl genrsa"),
        ({"domain": "elsewhere.example"}, "signs none of our mail"),
        ({"selector": "a b"}, "selector"),
    ],
)
def test_a_key_that_cannot_sign_is_a_fault(key: Path, changed: dict[str, str], words: str) -> None:
    table = {"domain": "chat.example.org", "selector": "gate1", "key": key.read_text(), **changed}
    with pytest.raises(ValueError, match=words):
        EmailSettings.model_validate({**TABLE, "outbound": {"dkim": table}})
