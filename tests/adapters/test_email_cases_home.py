"""Cases 18 and 20 of EMAIL.md in mail that goes out: how answers find home, and what must not pass."""

import email
import email.policy
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.email import answering
from adapters.email.adapter import EmailAdapter
from adapters.email.addresses import canonical_people, without_token
from adapters.email.compose import to_email
from adapters.email.parse import MailParser
from adapters.email.settings import EmailSettings
from bridge.model import Answered, Direction, Envelope, Incoming, Kind
from bridge.ports import BadAddress, Outward, Refused, Sent
from tests.adapters.contract import MemoryInbox, context, delivery, message
from tests.adapters.email_answers import (
    HEAD,
    JANA,
    LINE,
    answer,
    goes_to,
)
from tests.adapters.test_email_contract import TABLE
from tests.support.mail import smarthost

# --- 18: how answers find back ---


async def test_case_18_reports_come_back_to_a_token_and_answers_to_the_plain_address() -> None:
    for reply_token in (False, True):
        async with smarthost() as host:
            outbound = {"host": "127.0.0.1", "port": host.port, "reply_token": reply_token}
            made = EmailAdapter.from_settings(
                EmailSettings.model_validate({**TABLE, "outbound": outbound}), context()
            )
            one = message()
            async with made.running(MemoryInbox()):
                await made.send([delivery(JANA, sender=LINE, message=one)])
        (arrived,) = host.mails
        assert arrived.message["from"].addresses[0].addr_spec == LINE
        assert arrived.sender != LINE
        assert without_token(arrived.sender) == LINE
        envelope = Envelope("here", "", (LINE,), 1_800_000_000.0, headers={f"rcpt:{LINE}": arrived.sender})
        (found,) = made.parser()(b"Subject: Re: hi\r\nFrom: jana@x.example\r\n\r\nYes\r\n", envelope)
        assert isinstance(found, Incoming)
        assert found.references[-1] == arrived.message["message-id"]
        assert (arrived.message["reply-to"] is not None) == reply_token


# --- promises: a failure after our 250 ---

PASSED = {"auth": json.dumps(["pass", "", ["x.example"]])}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"headers": PASSED}, True),
        ({}, True),  # from a relay of ours, which checks
        ({"headers": {"auth": json.dumps(["none", "", []])}}, False),
        ({"headers": {"auth": json.dumps(["pass", "", ["elsewhere.example"]])}}, False),
        ({"headers": {"auth": json.dumps(["fail", "spoofed", ["x.example"]])}}, False),
        ({"sender": ""}, False),
        ({"peer": ""}, False),  # found in a mailbox
    ],
    ids=["passed", "relayed", "unchecked", "another domain", "failed", "null sender", "mailbox"],
)
def test_only_a_proven_sender_hears_that_a_mail_could_not_be_delivered(
    changes: dict[str, Any], told: bool
) -> None:
    envelope = replace(Envelope("here", JANA, (LINE,), 1_800_000_000.0, peer="192.0.2.1"), **changes)
    (found,) = MailParser(("chat.example.org",))(
        f"From: {JANA}\r\nTo: {LINE}\r\nSubject: Hi\r\n\r\nHello\r\n".encode(), envelope
    )
    assert isinstance(found, Incoming)
    assert found.memo.get("return") == (JANA if told else None)
    auto = f"From: {JANA}\r\nAuto-Submitted: auto-generated\r\n\r\nHello\r\n".encode()
    (automatic,) = MailParser(("chat.example.org",))(auto, envelope)
    assert isinstance(automatic, Incoming)
    assert "return" not in automatic.memo


async def test_a_report_on_undelivered_mail_is_from_nobody_and_reads_as_one() -> None:
    taken = message(
        "Hello",
        direction=Direction.IN,
        remote_id="<1@x.example>",
        subject="Flät",
        memo={"return": JANA, "came_for": LINE},
    )
    async with smarthost() as host:
        made = EmailAdapter.from_settings(
            EmailSettings.model_validate({**TABLE, "outbound": {"host": "127.0.0.1", "port": host.port}}),
            context(),
        )
        one = delivery(JANA, sender="", message=taken, kind=Kind.ERROR)
        async with made.running(MemoryInbox()):
            assert isinstance((await made.send([one]))[one.id], Sent)
    (arrived,) = host.mails
    assert arrived.sender in ("", "<>")  # as aiosmtpd writes the null sender
    assert arrived.recipients == (JANA,)
    report = arrived.message
    assert report["auto-submitted"] == "auto-replied"
    assert report["in-reply-to"] == "<1@x.example>"
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    text, status, original = report.iter_parts()
    assert LINE in text.get_content()
    fields = [dict(group.items()) for group in status.get_payload()]
    assert fields[0] == {"Reporting-MTA": "dns; chat.example.org"}
    assert fields[1]["Final-Recipient"] == f"rfc822; {LINE}"
    assert fields[1]["Action"] == "failed"
    assert "<1@x.example>" in original.get_content()


# --- 20: what must not get through ---


def test_case_20_a_domain_in_other_letters_is_punycoded_and_a_local_part_needs_smtputf8() -> None:
    assert answer(None, contact="user@xn--r8jz45g.jp").smtputf8 is False
    assert canonical_people("user@例え.jp") == ("user@xn--r8jz45g.jp",)
    made = answer(None, contact="用户@xn--r8jz45g.jp")
    assert made.smtputf8


async def test_case_20_a_server_without_smtputf8_is_a_clear_refusal() -> None:
    found = goes_to(None, "用户@example.com")
    one = message(memo=found.memo)
    async with smarthost() as host:
        outbound = {"host": "127.0.0.1", "port": host.port}
        made = EmailAdapter.from_settings(
            EmailSettings.model_validate({**TABLE, "outbound": outbound}), context()
        )
        async with made.running(MemoryInbox()):
            (fate,) = (await made.send([delivery("用户@example.com", sender=LINE, message=one)])).values()
    assert isinstance(fate, Refused)
    assert "outside ASCII" in fate.reason


_LETTERS = st.sampled_from('\r\n\t\0 :;,<>@"\\=?_ab.ü慧Bc\x0b\x0c\x85\u2028\ud800')
_NASTY = st.text(alphabet=_LETTERS, max_size=80)
_ANY = _NASTY | st.text(max_size=60)
_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "cc": _ANY,
        "all": _ANY,
        "rsvp": st.sampled_from(["accepted", "declined"]) | _ANY,
        "reaction": _ANY,
        "correction": _ANY,
        "quote": st.sampled_from(["off", "short", "full"]) | _ANY,
        "auto": _ANY,
        "subject": _ANY,
    },
)
_MEMO = st.fixed_dictionaries(
    {},
    optional={
        name: _ANY | st.just("Tom <tom@y.example>, mira@chat.example.org")
        for name in ("from", "to", "cc", "reply_to", "list_post", "own", "others")
    }
    | {"invite": _ANY | st.just("UID:1\nORGANIZER:mailto:o@x.example\nSUMMARY:x\r\nX-EVIL:1")},
)
_ALLOWED = {
    *("from", "to", "cc", "reply-to", "date", "message-id", "in-reply-to", "references", "subject"),
    *("auto-submitted", "mime-version", "content-type", "content-transfer-encoding", "content-disposition"),
}


@given(options=_OPTIONS, memo=_MEMO, name=_ANY, subject=_ANY, body=_ANY, signature=_ANY, said=_ANY)
def test_case_20_nothing_that_anybody_says_writes_a_header(
    options: dict[str, str],
    memo: dict[str, str],
    name: str,
    subject: str,
    body: str,
    signature: str,
    said: str,
) -> None:
    try:
        found = answering.addressed(Outward(JANA, JANA, LINE, options, memo, first=True, language=said))
    except BadAddress:
        return
    assert json.loads(json.dumps(found.memo)) == found.memo
    one = message(
        body,
        options=options,
        memo=found.memo,
        subject=subject,
        in_reply_to="<1@x.example>",
        answered=Answered("<1@x.example>", said, subject, 1_700_000_000.0, memo),
    )
    deliveries = [
        delivery(to, sender=LINE, sender_name=name, message=one, choices={"signature": signature})
        for to in found.recipients
    ]
    made = to_email(deliveries, one, HEAD)
    head = made.raw.partition(b"\r\n\r\n")[0]
    starts = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] not in b" \t"]
    names = [one.decode().lower() for one in starts]
    assert set(names) <= _ALLOWED
    assert len(names) == len(set(names))
    assert not re.search(rb"[^\r]\n|\r[^\n]|\0", made.raw)
    assert all(len(line) <= 998 for line in made.raw.split(b"\r\n"))
    assert not any(re.search(r"[\x00-\x20<>]", to) for to in made.recipients if not to.startswith('"'))
    for part in email.message_from_bytes(made.raw).walk():
        if part.get_content_type() == "text/calendar":
            raw = part.get_payload(decode=True)
            assert isinstance(raw, bytes)
            assert b"X-EVIL" not in raw
