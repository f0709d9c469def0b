"""Raw mails, as real programs and unreal enemies send them, to what a chat shows."""

import email.policy
import pickle
import time
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.email.parse import MailParser
from bridge.model import Envelope, Incoming, Outcome, Report

MIRA = "mira@chat.example.org"
NOW = 1_763_700_000.0
parser = MailParser(("chat.example.org",))


def envelope(*recipients: str, sender: str = "alice@example.com") -> Envelope:
    return Envelope("here", sender, recipients or (MIRA,), NOW, "192.0.2.1")


def read(raw: bytes | str, **changes: Any) -> Incoming:
    raw = raw.encode() if isinstance(raw, str) else raw
    (found,) = parser(raw, envelope(**changes))
    assert isinstance(found, Incoming)
    return found


def mail(text: str = "Hello", **headers: str) -> EmailMessage:
    made = EmailMessage()
    made["From"] = headers.pop("From", "Alice Ray <Alice@Example.com>")
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made


def test_a_plain_mail() -> None:
    found = read(
        "From: Alice Ray <Alice@Example.com>\r\nTo: mira@chat.example.org\r\nSubject: Flat viewing\r\n"
        "Date: Thu, 20 Nov 2025 10:00:00 +0100\r\nMessage-ID: <m1@example.com>\r\n\r\nThursday at four?\r\n"
    )
    assert (found.sender.canonical, found.sender.original) == ("alice@example.com", "Alice@Example.com")
    assert (found.sender_name, found.recipient, found.transport) == ("Alice Ray", MIRA, "here")
    assert (found.subject, found.body) == ("Flat viewing", "Thursday at four?")
    assert (found.remote_id, found.references) == ("<m1@example.com>", ())
    assert found.written_at == 1763629200.0


def test_each_envelope_recipient_gets_it() -> None:
    found = parser(mail().as_bytes(), envelope(MIRA, "bob@chat.example.org"))
    assert [one.recipient for one in found] == [MIRA, "bob@chat.example.org"]


def test_an_answer_names_what_it_answers_last() -> None:
    found = read(
        "From: a@b.example\nMessage-ID: <m3@x>\n"
        "References: <m1@x>\n <m2@x> <m1@x>\nIn-Reply-To: <m1@x> (Mira)\n\nok"
    )
    assert found.references == ("<m2@x>", "<m1@x>")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("Message-ID: <a@b>", "<a@b>"),
        ("Message-Id:\r\n <a@b>", "<a@b>"),
        ("Message-ID: a@b", "<a@b>"),
        ("Message-ID: [a b] <c@d>", "<c@d>"),
        ("Message-ID: two words", ""),
        ("X-Nothing: x", ""),
    ],
)
def test_message_ids_as_programs_write_them(header: str, found: str) -> None:
    assert read(f"From: a@b.example\r\n{header}\r\n\r\nhi").remote_id == found


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Re: Flat viewing", "Flat viewing"),
        ("AW: RE: Fwd: Flat", "Fwd: Flat"),
        ("=?utf-8?Q?Gr=C3=BC=C3=9Fe?= aus =?iso-8859-1?B?S/ZsbiE=?=", "Grüße aus Köln!"),
        ("=?utf-8?B?5pel?= =?utf-8?B?5pys?=", "日本"),
        ("=?utf-8?Q?a_b?=\r\n =?utf-8?Q?_c?=", "a b c"),
        ("=?nonsense?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?utf-8?B?broken!?=", None),
        ("=?zlib?B?eJw=?=", None),
        ("Grüße roh", "Grüße roh"),
        ("tab\there \x07 bell", "tab here bell"),
    ],
)
def test_subjects_are_decoded(given: str, shown: str | None) -> None:
    found = read(f"From: a@b.example\r\nSubject: {given}\r\n\r\nhi").subject
    if shown is not None:
        assert found == shown


def test_raw_latin_headers_are_readable() -> None:
    found = read(b"From: J\xfcrgen <j@x.example>\r\nSubject: Gr\xfc\xdfe aus K\xf6ln\r\n\r\nhi")
    assert (found.sender_name, found.subject) == ("Jürgen", "Grüße aus Köln")


@pytest.mark.parametrize(
    ("header", "name", "address"),
    [
        ('"Ray, Alice" <a@x.example>', "Ray, Alice", "a@x.example"),
        ("=?utf-8?Q?Ray=2C_Alice?= <a@x.example>", "Ray, Alice", "a@x.example"),
        ("a@x.example (Alice)", "Alice", "a@x.example"),
        ("<a@x.example>", "", "a@x.example"),
        ('"a@x.example" <a@x.example>', "", "a@x.example"),
        ("A <a@x.example>, B <b@x.example>", "A", "a@x.example"),
        ("Alice <a@例え.jp>", "Alice", "a@xn--r8jz45g.jp"),
        ("Odd <no-reply@localhost>", "Odd", "no-reply@localhost"),
        ("undisclosed", "", "alice@example.com"),
        ("", "", "alice@example.com"),
    ],
)
def test_who_wrote_it(header: str, name: str, address: str) -> None:
    found = read(f"From: {header}\r\n\r\nhi")
    assert (found.sender_name, found.sender.canonical) == (name, address)


def test_a_mail_from_nobody_comes_from_a_machine() -> None:
    assert read(b"\r\nhi", sender="").sender.canonical == "mailer-daemon@chat.example.org"


@pytest.mark.parametrize(
    ("date", "written"),
    [
        ("Thu, 20 Nov 2025 10:00:00 +0100", 1763629200.0),
        ("Thu, 20 Nov 2025 09:00:00 -0000", 1763629200.0),
        ("Fri, 01 Jan 2100 00:00:00 +0000", NOW),
        ("Thu, 01 Jan 1960 00:00:00 +0000", 0.0),
        ("yesterday", NOW),
        ("99999999999999999999", NOW),
        ("Thu, 99 Nov 2025 99:00:00 +9999", NOW),
    ],
)
def test_dates_never_lie_in_the_future(date: str, written: float) -> None:
    assert read(f"From: a@b.example\r\nDate: {date}\r\n\r\nhi").written_at == written


def test_the_same_mail_is_known_again_and_another_with_its_id_is_not() -> None:
    headers = {"Message_ID": "<a@b>", "Date": "Thu, 20 Nov 2025 10:00:00 +0100"}
    plain = mail("Grüße\n", **headers)
    other_way = mail("", **headers)
    other_way.set_content("Grüße\n", cte="base64")
    first = read(plain.as_bytes())
    again = read(b"Received: by another way\r\n" + other_way.as_bytes(policy=email.policy.SMTP))
    other = read(mail("Something else", **headers).as_bytes())
    assert first.dedupe == again.dedupe != other.dedupe


def test_without_an_id_the_subject_counts_too() -> None:
    one, other = (read(mail(Subject=subject).as_bytes()) for subject in ("one", "two"))
    assert one.dedupe != other.dedupe


def test_html_alone_becomes_text() -> None:
    made = mail("")
    made.set_content(
        "<html><head><style>p{}</style></head><body><p>Hello <b>Mira</b>,</p><p>bye</p></body>", "html"
    )
    assert read(made.as_bytes()).body.replace("*", "").split() == ["Hello", "Mira,", "bye"]


def test_attachments_come_with_safe_names_and_types() -> None:
    made = mail("See the photo.")
    made.add_attachment(b"x" * 50_000, "image", "jpeg", filename="../../Foto größe.jpg")
    made.add_attachment(b"\xff\xd8\xff", "application", "octet-stream")
    made.add_attachment("notes", filename="notes.txt")
    found = read(made.as_bytes())
    assert found.body == "See the photo."
    assert [(file.name, file.media_type) for file in found.files] == [
        ("Foto größe.jpg", "image/jpeg"),
        ("image.jpg", "image/jpeg"),
        ("notes.txt", "text/plain"),
    ]


def test_a_mail_of_files_only_says_nothing_else() -> None:
    made = mail("")
    made.add_attachment(b"x" * 50_000, "image", "jpeg", filename="scan.jpg")
    found = read(made.as_bytes())
    assert (found.body, [file.name for file in found.files]) == ("", ["scan.jpg"])


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"From: a@b.example\r\nSubject: Only this\r\n\r\n", "Only this"),
        (b"From: a@b.example\r\n\r\n \r\n", "(empty mail)"),
        (b"", "(empty mail)"),
        (b"\0\0\0", "(empty mail)"),
    ],
)
def test_nothing_is_ever_shown_as_nothing(raw: bytes, body: str) -> None:
    assert read(raw).body == body


@pytest.mark.parametrize(
    ("charset", "raw", "shown"),
    [
        ("utf-8", "Grüße".encode(), "Grüße"),
        ("big5", "Grüße".encode(), "Grüße"),
        ("us-ascii", "Grüße".encode("latin-1"), "Grüße"),
        ("unicode-1-1-utf-7", b"Gr+APwA3w-e", "Grüße"),
        ("no-such-charset", "Grüße".encode(), "Grüße"),
        ("iso-2022-jp", "日本語".encode("iso-2022-jp"), "日本語"),
        ("utf-8", b"a\0b\x08c", "abc"),
    ],
)
def test_charsets_lie_and_text_is_read_all_the_same(charset: str, raw: bytes, shown: str) -> None:
    head = f"From: a@b.example\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode()
    assert read(head + raw + b"\r\n").body == shown


# --- reports ---

DSN = """From: MAILER-DAEMON@mx.example.net
To: mira@chat.example.org
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="b"
MIME-Version: 1.0

--b
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
X-Queue-ID: 4711

Final-Recipient: rfc822; nobody@web.de
Original-Recipient: rfc822;Nobody@web.de
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {diagnostic}

Final-Recipient: rfc822; full@web.de
Action: delayed
Status: 4.2.2

--b
Content-Type: message/rfc822

From: mira@chat.example.org
Message-ID: <{uid}@{domain}>
Subject: Running late

Running late
--b--
"""


def report(**changes: str) -> Any:
    words = {
        "action": "failed",
        "status": "5.1.1",
        "diagnostic": "550 5.1.1 unknown user",
        "uid": "f" * 32,
        "domain": "chat.example.org",
    }
    return parser(DSN.format(**{**words, **changes}).replace("\n", "\r\n").encode(), envelope(sender=""))


def test_a_bounce_finds_its_message_and_each_recipient() -> None:
    failed, delayed = report()
    assert "could not be delivered" in failed.otherwise[0].body
    assert replace(failed, otherwise=()) == Report(
        "here",
        Outcome.FAILED,
        remote_id=f"<{'f' * 32}@chat.example.org>",
        recipient="nobody@web.de",
        reason="nobody@web.de does not exist there. Check the spelling. (550 5.1.1)",
        code="550 5.1.1",
    )
    assert (delayed.outcome, delayed.recipient) == (Outcome.DELAYED, "full@web.de")
    assert delayed.reason == "The mailbox of full@web.de is full for now. (450 4.2.2)"


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ("failed", Outcome.FAILED),
        ("Delayed", Outcome.DELAYED),
        ("delivered", Outcome.DELIVERED),
        ("relayed", Outcome.SENT),
    ],
)
def test_actions(action: str, outcome: Outcome) -> None:
    assert report(action=action, status="4.4.1", diagnostic="connect timed out")[0].outcome is outcome


@pytest.mark.parametrize(
    ("status", "diagnostic", "code"),
    [
        ("5.2.2", "550 over quota", "550 5.2.2"),
        ("5.2.2", "mailbox full", "550 5.2.2"),
        ("nonsense", "mailbox full", "550"),
        ("5.0.0", "552 5.2.3 too large", "552 5.2.3"),
    ],
)
def test_codes_of_a_bounce(status: str, diagnostic: str, code: str) -> None:
    assert report(status=status, diagnostic=diagnostic)[0].code == code


def test_a_report_on_somebody_elses_mail_is_shown_as_mail() -> None:
    (found,) = report(domain="elsewhere.example")
    assert isinstance(found, Incoming)
    assert "could not be delivered" in found.body


# --- whatever comes ---

_FORBIDDEN = {chr(n) for n in range(32) if n not in (9, 10)} | {"\ufffe", "\uffff"}


def leaf() -> st.SearchStrategy[str]:
    kinds = st.sampled_from(
        ["text/plain", "text/html", "image/png", "message/delivery-status", "x", "text/calendar"]
    )
    charsets = st.sampled_from(
        ["", "; charset=utf-8", '; charset="bogus', "; charset*=x''y", "; name*0=a; name*1=b"]
    )
    ctes = st.sampled_from(["", "base64", "quoted-printable", "8bit", "x-uuencode"])
    text = st.text(max_size=80)
    return st.builds(
        lambda kind, charset, cte, body: (
            f"Content-Type: {kind}{charset}\r\nContent-Transfer-Encoding: {cte}\r\n\r\n{body}"
        ),
        kinds, charsets, ctes, text,
    )  # fmt: skip


def container(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def join(kind: str, parts: list[str], closed: bool) -> str:
        if kind == "message/rfc822":
            return "Content-Type: message/rfc822\r\n\r\n" + "".join(parts[:1])
        body = "".join(f"--b{len(parts)}\r\n{part}\r\n" for part in parts)
        return f'Content-Type: {kind}; boundary="b{len(parts)}"\r\n\r\n{body}' + (
            f"--b{len(parts)}--" if closed else ""
        )

    kinds = st.sampled_from(
        ["multipart/mixed", "multipart/alternative", "multipart/report", "message/rfc822"]
    )
    return st.builds(join, kinds, st.lists(children, max_size=4), st.booleans())


headers = st.lists(
    st.tuples(
        st.sampled_from(
            ["From", "Subject", "Date", "Message-ID", "References", "In-Reply-To", "Content-Disposition",
             "To", "Cc", "Reply-To", "List-Id", "List-Post", "Auto-Submitted", "Precedence",
             "Authentication-Results", "X-Failed-Recipients", "X-Microsoft-Original-Message-ID", "Content-ID"]
        ),
        st.text(max_size=60).map(lambda text: text.replace("\n", " ").replace("\r", " ")),
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(headers, st.recursive(leaf(), container, max_leaves=8))
def test_any_tree_of_parts_becomes_something_readable(head: list[tuple[str, str]], tree: str) -> None:
    raw = "".join(f"{name}: {value}\r\n" for name, value in head) + tree
    where = replace(envelope(), headers={"authserv-id": "mx", f"rcpt:{MIRA}": f"mira+{tree[:34]}@x"})
    for found in parser(raw.encode("utf-8", "replace"), where):
        assert pickle.loads(pickle.dumps(found)) == found
        if isinstance(found, Incoming):
            beside = [found.lead, *found.memo.values(), *(file.name for file in found.files)]
            letters = set("".join(beside))
            assert not letters & _FORBIDDEN
            assert not any("\ud800" <= letter <= "\udfff" for letter in letters)
            of_one_line = (found.subject, found.sender_name, found.sender.canonical)
            assert not any("\n" in name for name in of_one_line)
            assert all(file.name and "/" not in file.name for file in found.files)
            assert found.body.strip() or found.files
            assert not set(found.body + found.subject + found.sender_name) & {
                chr(n) for n in range(32) if n not in (9, 10)
            }
            assert not any("\ud800" <= letter <= "\udfff" for letter in found.body)
            assert all(one.startswith("<") and one.isascii() for one in found.references)


HOSTILE = {
    "nested mails": b"From: a@b.example\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 3000 + b"hi",
    "nested multiparts": b"From: a@b.example\r\n"
    + b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(3000)
    ),
    "long From": b"From: " + b"<" * 200_000 + b"\r\n\r\nhi",
    "many From": b"From: a@b.example\r\n" * 50_000 + b"\r\nhi",
    "long References": b"From: a@b.example\r\nReferences: " + b"<a@b> " * 100_000 + b"\r\n\r\nhi",
    "encoded words": b"From: a@b.example\r\nSubject: " + b"=?utf-8?q?a?= " * 50_000 + b"\r\n\r\nhi",
    "open encoded words": b"From: a@b.example\r\nSubject: " + b"=?utf-8?q?" * 50_000 + b"\r\n\r\nhi",
    "long Date": b"From: a@b.example\r\nDate: " + b"(" * 200_000 + b"\r\n\r\nhi",
    "no end of head": b"X: y\r\n" * 300_000,
    "re: re: re:": b"From: a@b.example\r\nSubject: " + b"Re: " * 50_000 + b"\r\n\r\nhi",
    "many parts": b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 50_000,
    "parameters": b"Content-Type: text/plain" + b"; a*0=b" * 50_000 + b"\r\n\r\nhi",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_costs_little(name: str) -> None:
    began = time.perf_counter()
    found = parser(HOSTILE[name], envelope())
    took = time.perf_counter() - began
    assert found
    assert took < 1.0  # 0.2 on a machine of its own; this one is shared
