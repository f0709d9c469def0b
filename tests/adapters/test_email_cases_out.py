"""The cases of EMAIL.md as they show in mail that goes out: what Alice gets, and whom it reaches."""

import base64
import email
import email.policy
import json
import re
import subprocess
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dkim
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.email import answering, quoting
from adapters.email.adapter import EmailAdapter
from adapters.email.addresses import NotAnAddress, canonical_set, without_token
from adapters.email.compose import Letterhead, Mail, to_email
from adapters.email.parse import MailParser
from adapters.email.settings import EmailSettings
from adapters.email.visible_text import from_mail
from bridge.model import Answered, Direction, Envelope, Incoming, Kind
from bridge.ports import BadAddress, Outward, Refused, Sent, TryLater
from tests.adapters.contract import MemoryInbox, context, delivery, message
from tests.adapters.test_email_contract import TABLE
from tests.support.mail import smarthost

LINE = "mira@chat.example.org"
JANA = "jana@x.example"
HEAD = Letterhead("chat.example.org")


def came(head: str, body: str = "When can you come?", *, to: str = LINE) -> Incoming:
    """A mail for mira, as the parser reads it."""
    raw = f"Message-ID: <1@x.example>\nDate: Thu, 20 Nov 2025 14:02:00 +0000\n{head}\n\n{body}\n"
    (found,) = MailParser(("chat.example.org",))(
        raw.replace("\n", "\r\n").encode(), Envelope("here", JANA, (to,), 1_800_000_000.0)
    )
    assert isinstance(found, Incoming)
    return found


def goes_to(
    mail: Incoming | None, contact: str = JANA, *, first: bool = True, language: str = "", **options: str
) -> answering.Addressed:
    answered = mail.memo if mail is not None else None
    return answering.addressed(Outward(contact, contact, LINE, options, answered, first, language))


def answer(
    mail: Incoming | None,
    body: str = "At three",
    *,
    contact: str = JANA,
    choices: dict[str, str] | None = None,
    head: Letterhead = HEAD,
    **options: str,
) -> Mail:
    """The mail that mira's line becomes."""
    found = goes_to(mail, contact, **options)
    one = message(
        body,
        options=options,
        memo=found.memo,
        in_reply_to=mail.remote_id if mail is not None else "",
        subject=mail.subject if mail is not None else "",
        answered=Answered(mail.remote_id, mail.body, mail.subject, mail.written_at, mail.memo)
        if mail is not None
        else None,
    )
    return to_email(
        [delivery(to, sender=LINE, message=one, choices=choices or {}) for to in found.recipients], one, head
    )


def read(made: Mail) -> EmailMessage:
    found = email.message_from_bytes(made.raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def people(made: Mail, field: str) -> list[str]:
    return [one.addr_spec for one in read(made)[field].addresses] if read(made)[field] else []


def text_of(made: Mail) -> str:
    part = read(made).get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


GROUP = f"From: Jana Berg <{JANA}>\nTo: {LINE}, Tom <tom@y.example>\nCc: eva@z.example\nSubject: Party"


# --- 13: whom an answer reaches ---


def test_13_a_plain_line_answers_the_writer_alone() -> None:
    made = answer(came(GROUP))
    assert made.recipients == (JANA,)
    assert (people(made, "to"), people(made, "cc")) == ([JANA], [])


def test_13_a_plain_line_goes_to_reply_to_if_there_is_one() -> None:
    made = answer(came(f"{GROUP}\nReply-To: Office <office@x.example>"))
    assert made.recipients == ("office@x.example",)
    assert "To: Office <office@x.example>\r\n" in made.raw.decode()


def test_13_an_answer_to_all_reaches_exactly_from_to_and_cc_less_us() -> None:
    made = answer(came(GROUP), all="1")
    assert set(made.recipients) == {JANA, "tom@y.example", "eva@z.example"}
    assert people(made, "to") == [JANA, "tom@y.example"]
    assert people(made, "cc") == ["eva@z.example"]
    assert LINE not in made.raw.decode().partition("\r\nMIME-Version")[0].partition("\r\nTo:")[2]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (f"From: {JANA}\nTo: {LINE}", {JANA}),
        (f"From: {JANA}\nTo: tom@y.example\nCc: {LINE}", {JANA, "tom@y.example"}),
        (f"From: {JANA}\nTo: Mira <MIRA@Chat.Example.ORG>, tom@y.example", {JANA, "tom@y.example"}),
        (f"From: {JANA}\nReply-To: r@x.example\nTo: {LINE}, {JANA}", {JANA, "r@x.example"}),
        (f"From: {JANA}\nTo: {LINE}\nCc: {JANA}, tom@y.example, T <TOM@y.example>", {JANA, "tom@y.example"}),
    ],
)
def test_13_the_set_of_an_answer_to_all(head: str, expected: set[str]) -> None:
    found = goes_to(came(head), all="1")
    assert set(found.recipients) == expected
    assert len(found.recipients) == len(expected)


def test_13_nobody_who_was_in_neither_to_nor_cc_answers_everybody() -> None:
    mail = came(f"From: {JANA}\nTo: tom@y.example, eva@z.example")
    with pytest.raises(BadAddress, match="neither To nor Cc"):
        goes_to(mail, all="1")
    assert goes_to(mail).recipients == (JANA,)


def test_13_a_mail_with_reply_to_us_is_answered_to_the_writer() -> None:
    assert goes_to(came(f"From: {JANA}\nTo: {LINE}\nReply-To: {LINE}")).recipients == (JANA,)


def test_13_what_answers_nothing_cannot_answer_everybody() -> None:
    with pytest.raises(BadAddress, match="no mail here"):
        goes_to(None, all="1")


def test_13_our_own_mail_is_continued_to_whom_it_went() -> None:
    first = goes_to(None, "ann@example.com,bob@example.com")
    found = answering.addressed(
        Outward("ann@example.com,bob@example.com", "", LINE, {"all": "1"}, first.memo)
    )
    assert found.recipients == ("ann@example.com", "bob@example.com")


def test_13_a_wish_for_copies_adds_people_once() -> None:
    made = answer(came(GROUP), all="1", cc="new@w.example, Tom@Y.example")
    assert people(made, "cc") == ["eva@z.example", "new@w.example"]
    assert len(made.recipients) == 4


def test_13_one_mail_goes_to_a_hundred_people_at_most() -> None:
    many = ", ".join(f"p{n}@example.com" for n in range(101))
    with pytest.raises(BadAddress, match="102 people"):
        goes_to(None, cc=many)


def test_13_an_attempt_for_one_recipient_still_names_all() -> None:
    mail = came(GROUP)
    found = goes_to(mail, all="1")
    one = message("Yes", memo=found.memo)
    made = to_email([delivery("tom@y.example", sender=LINE, message=one)], one, HEAD)
    assert made.recipients == ("tom@y.example",)
    assert set(people(made, "to") + people(made, "cc")) == set(found.recipients)


def test_several_addresses_are_one_conversation_however_they_are_ordered() -> None:
    assert canonical_set("bob@B.example, Alice@a.example") == "alice@a.example,bob@b.example"
    assert canonical_set('"a,b"@a.example,c@d.example') == '"a,b"@a.example,c@d.example'
    assert goes_to(None, "alice@a.example,bob@b.example").recipients == ("alice@a.example", "bob@b.example")
    with pytest.raises(NotAnAddress, match="20 people"):
        canonical_set(",".join(f"p{n}@example.com" for n in range(21)))
    with pytest.raises(NotAnAddress):
        canonical_set("alice@a.example,bob")


async def test_recipients_of_one_mail_have_fates_of_their_own_that_name_them() -> None:
    found = goes_to(None, "ann@example.com,bob@b.example,cleo@example.com")
    one = message(memo=found.memo)
    batch = [delivery(to, sender=LINE, message=one) for to in found.recipients]
    refuse = {"bob@b.example": "554 5.7.1 not here", "cleo@example.com": "451 4.7.1 greylisted"}
    async with smarthost(on_rcpt=refuse.get) as host:
        made = EmailAdapter.from_settings(
            EmailSettings.model_validate({**TABLE, "outbound": {"host": "127.0.0.1", "port": host.port}}),
            context(),
        )
        async with made.running(MemoryInbox()):
            fates = await made.send(batch)
            later = await made.send([batch[2]])
    ann, bob, cleo = (fates[each.id] for each in batch)
    assert isinstance(ann, Sent)
    assert isinstance(bob, Refused)
    assert bob.reason.startswith("bob@b.example: ")
    assert isinstance(cleo, TryLater)
    assert isinstance(later[batch[2].id], TryLater)
    (arrived,) = host.mails
    assert arrived.recipients == ("ann@example.com",)
    assert len(arrived.message["to"].addresses) == 3


# --- 14: mailing lists ---

LIST = (
    "From: Jane <jane@w.example>\nTo: debian-user@lists.example\n"
    "List-Id: Debian <debian-user.lists.example>\n"
    "List-Post: <mailto:debian-user@lists.example>\nSubject: [debian] Sound"
)


def test_14_a_line_to_a_list_goes_to_where_it_takes_posts() -> None:
    mail = came(LIST)
    made = answer(mail, contact=mail.sender.canonical)
    assert made.recipients == ("debian-user@lists.example",)


def test_14_a_list_that_takes_no_posts_is_not_written_to() -> None:
    mail = came(LIST.replace("<mailto:debian-user@lists.example>", "NO"))
    with pytest.raises(BadAddress, match="takes no mail from its readers"):
        goes_to(mail, mail.sender.canonical)
    reachable = came(LIST.replace("<mailto:debian-user@lists.example>", "NO\nReply-To: desk@w.example"))
    assert goes_to(reachable, reachable.sender.canonical).recipients == ("desk@w.example",)


# --- what it looks like ---


def test_a_first_answer_quotes_what_it_answers_below_and_briefly() -> None:
    mail = came(GROUP, "\n".join(f"line {n}" for n in range(20)))
    text = text_of(answer(mail))
    above, attribution, *quoted = [line for line in text.split("\n") if line]
    assert above == "At three"
    assert re.fullmatch(r"On 20 Nov 2025 at \d\d:\d\d, Jana Berg wrote:", attribution)
    assert quoted == [*(f"> line {n}" for n in range(6)), "> […]"]


def test_a_mail_is_quoted_once() -> None:
    mail = came(GROUP)
    later = message("And bring cake", memo=goes_to(mail, first=False).memo, answered=_answered(mail))
    made = to_email([delivery(JANA, sender=LINE, message=later)], later, HEAD)
    assert text_of(made) == "And bring cake\n"


def _answered(mail: Incoming) -> Answered:
    return Answered(mail.remote_id, mail.body, mail.subject, mail.written_at, mail.memo)


@pytest.mark.parametrize(
    ("choice", "lines"), [("off", 0), ("short", 8), ("full", 201)], ids=["off", "short", "full"]
)
def test_how_much_is_quoted_is_the_users_choice(choice: str, lines: int) -> None:
    mail = came(GROUP, "\n".join(f"line {n}" for n in range(200)))
    text = text_of(answer(mail, choices={"quote": choice}))
    assert len([line for line in text.split("\n") if line]) - 1 == lines


def test_one_message_may_ask_for_another_quote() -> None:
    text = text_of(answer(came(GROUP), choices={"quote": "off"}, quote="full"))
    assert "> When can you come?" in text


@pytest.mark.parametrize("language", ["", "xx", *quoting._ON_WROTE])
def test_an_attribution_is_in_the_users_language_and_folded_away_by_readers(language: str) -> None:
    made = answer(came(GROUP), head=Letterhead("chat.example.org", language=language))
    assert "> When can you come?" in text_of(made)
    assert from_mail(made.raw).strip() == "At three"


def test_a_signature_stands_below_the_text_if_the_user_has_one() -> None:
    mail = came(GROUP)
    made = answer(mail, choices={"signature": "Mira Berg\nHauptstr. 5"})
    assert text_of(made).startswith("At three\n\n-- \nMira Berg\nHauptstr. 5\n\nOn ")
    assert from_mail(made.raw).strip() == "At three"
    assert "-- " not in text_of(answer(mail))


def test_paragraphs_are_left_to_the_reader_to_wrap() -> None:
    text = "A long sentence that goes on " * 20
    made = answer(None, text)
    assert text_of(made) == text + "\n"
    assert read(made).get_content_type() == "text/plain"


def test_a_correction_says_that_it_is_one() -> None:
    assert text_of(answer(None, "At four", correction="s1")) == "Correction: At four\n"
    german = Letterhead("chat.example.org", language="de")
    assert text_of(answer(None, "At four", head=german, correction="s1")) == "Korrektur: At four\n"


def test_a_reaction_is_one_emoji_that_programs_know_as_such() -> None:
    made = answer(came(GROUP), "👍 to “When can you come?”", reaction="👍")
    found = read(made)
    assert found["content-disposition"].content_disposition == "reaction"
    assert found.get_content().strip() == "👍"
    assert found["in-reply-to"] == "<1@x.example>"
    with pytest.raises(BadAddress):
        goes_to(None, reaction="👍")


def test_only_what_the_gateway_writes_itself_says_so() -> None:
    assert read(answer(None, "Your code: 1234", proof="1"))["auto-submitted"] == "auto-generated"
    assert read(answer(None, "Your code: 1234", auto="1"))["auto-submitted"] == "auto-generated"
    assert read(answer(None))["auto-submitted"] is None


# --- 12: invitations ---

INVITATION = """From: Jana Berg <jana@x.example>
To: mira@chat.example.org
Subject: Viewing
MIME-Version: 1.0
Content-Type: text/calendar; method=REQUEST; charset=utf-8"""
CALENDAR = """BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VEVENT
UID:viewing-1@x.example
SEQUENCE:2
ORGANIZER;CN="Berg, Jana":mailto:calendar@x.example
ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:mira@chat.example.org
DTSTART;TZID=Europe/Berlin:20251127T160000
SUMMARY:Viewing
LOCATION:Hauptstr. 5
END:VEVENT
END:VCALENDAR"""


@pytest.mark.parametrize(
    ("answered", "state"), [("accepted", "ACCEPTED"), ("declined", "DECLINED"), ("tentative", "TENTATIVE")]
)
def test_12_an_invitation_is_answered_to_its_organizer_so_that_calendars_know(
    answered: str, state: str
) -> None:
    made = answer(came(INVITATION, CALENDAR), "I will be there", rsvp=answered)
    assert made.recipients == ("calendar@x.example",)
    calendar = read(made).get_body(("related", "html", "plain"))
    (part,) = [one for one in read(made).walk() if one.get_content_type() == "text/calendar"]
    assert calendar is not None
    assert calendar.get_content().strip() == "I will be there"
    assert part.get_param("method") == "REPLY"
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 75
    lines = raw.decode().replace("\r\n ", "").split("\r\n")
    assert lines[:4] == ["BEGIN:VCALENDAR", "PRODID:-//Passerelle//EN", "VERSION:2.0", "METHOD:REPLY"]
    assert {"UID:viewing-1@x.example", "SEQUENCE:2"} <= set(lines)
    assert f'ATTENDEE;PARTSTAT={state};CN="Mira Berg":mailto:{LINE}' in lines
    assert 'ORGANIZER;CN="Berg, Jana":mailto:calendar@x.example' in lines
    assert not any(line.startswith("DTSTART") for line in lines)  # a local time without its zone


def test_12_there_must_be_an_invitation_to_be_answered() -> None:
    for mail in (None, came(GROUP)):
        with pytest.raises(BadAddress, match="no invitation"):
            goes_to(mail, rsvp="accepted")


# --- 18: how answers find back ---


async def test_18_reports_come_back_to_a_token_and_answers_to_the_plain_address() -> None:
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


# --- 20: what must not get through ---


def test_20_a_domain_in_other_letters_is_punycoded_and_a_local_part_needs_smtputf8() -> None:
    assert answer(None, contact="user@xn--r8jz45g.jp").smtputf8 is False
    assert canonical_set("user@例え.jp") == "user@xn--r8jz45g.jp"
    made = answer(None, contact="用户@xn--r8jz45g.jp")
    assert made.smtputf8


async def test_20_a_server_without_smtputf8_is_a_clear_refusal() -> None:
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
def test_20_nothing_that_anybody_says_writes_a_header(
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
