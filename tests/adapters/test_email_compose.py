"""What Alice gets: read back with the standard library, which did not write it."""

import email
import email.policy
import re
from email.header import decode_header, make_header
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.email import subjects
from adapters.email.compose import Letterhead, Mail, message_id, to_email
from adapters.email.parse import MailParser
from adapters.email.parts import plain_lines
from bridge.model import Envelope, Incoming
from tests.adapters.contract import delivery, message

LINE = "mira@chat.example.org"
HEAD = Letterhead("chat.example.org")


def mail(
    body: str = "Running late", *, name: str = "Mira Berg", to: str = "alice@example.com", **changes: Any
) -> Mail:
    one = message(body, **changes)
    return to_email([delivery(to, sender=LINE, sender_name=name, message=one)], one, HEAD)


def read(made: Mail) -> EmailMessage:
    found = email.message_from_bytes(made.raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def text_of(made: Mail) -> str:
    content = email.message_from_bytes(made.raw, policy=email.policy.default).get_content()
    return str(content).replace("\r\n", "\n")


def test_a_first_mail_looks_like_a_mail() -> None:
    made = mail(uid="ab" * 16, written_at=1_700_000_000.9)
    assert made.raw.decode("ascii").split("\r\n") == [
        "From: Mira Berg <mira@chat.example.org>",
        "To: alice@example.com",
        "Date: Tue, 14 Nov 2023 22:13:20 +0000",
        "Message-ID: <abababababababababababababababab@chat.example.org>",
        "Subject: Running late",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "Running late",
        "",
    ]
    assert (made.sender, made.recipients) == (LINE, ("alice@example.com",))


def test_the_message_id_is_the_one_that_was_recorded() -> None:
    assert read(mail(remote_id="<known@chat.example.org>"))["message-id"] == "<known@chat.example.org>"


def test_an_answer_points_at_what_it_answers_in_plain_words_and_short_lines() -> None:
    ids = tuple(f"<{number}.{'x' * 60}@example.com>" for number in range(8))
    made = mail(references=ids, in_reply_to=ids[-1], subject="Flat viewing")
    head = made.raw.partition(b"\r\n\r\n")[0]
    assert b"=?" not in head
    assert max(len(line) for line in head.split(b"\r\n")) <= 100
    assert read(made)["references"].split() == list(ids)
    assert read(made)["in-reply-to"] == ids[-1]
    assert read(made)["subject"] == "Re: Flat viewing"


def test_another_answer_to_the_same_mail_does_not_descend_from_the_first_answer() -> None:
    made = mail(references=("<a@x.org>", "<b@x.org>", "<ours@x.org>"), in_reply_to="<b@x.org>")
    assert read(made)["references"].split() == ["<a@x.org>", "<b@x.org>"]
    assert read(made)["in-reply-to"] == "<b@x.org>"


@pytest.mark.parametrize(
    ("subject", "references", "expected"),
    [
        ("Keys", (), "Keys"),
        ("Keys", ("<a@b>",), "Re: Keys"),
        ("Re: Keys", ("<a@b>",), "Re: Keys"),
        ("AW: Re[2]: Keys", ("<a@b>",), "Re: Keys"),
        ("", (), "Running late"),
        ("Schlüssel für Mira", (), "Schlüssel für Mira"),
        ("=?utf-8?q?not_what_it_seems?=", (), "=?utf-8?q?not_what_it_seems?="),
        ("a\r\nBcc: everybody@example.com", (), "a Bcc: everybody@example.com"),
    ],
)
def test_subjects(subject: str, references: tuple[str, ...], expected: str) -> None:
    assert read(mail(subject=subject, references=references))["subject"] == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Hello", "Hello"),
        ("Keys. How are you?", "Keys"),
        ("How are you? I am well.", "How are you?"),
        ("\n\n  Second line first\nthird", "Second line first"),
        ("> quoted start", "quoted start"),
        ("明日は雨です。傘を忘れないで。", "明日は雨です。"),
        ("word " * 30, "word word word word word word word word word word word word…"),
        ("x" * 100, "x" * 59 + "…"),
        ("wait...", "wait..."),
        ("...", "..."),
        (" \n ", "(no subject)"),
    ],
)
def test_a_subject_made_from_a_text_is_its_first_sentence(body: str, expected: str) -> None:
    assert subjects.from_body(body) == expected
    assert len(subjects.from_body(body)) <= 60


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Good morning!", "Good morning!"),
        ("Good morning! The keys are with Tom.", "The keys are with Tom"),
        ("Hi Alice,\n\nthe keys are with Tom. Bye", "the keys are with Tom"),
        ("hi alice\nKeys?", "Keys?"),
        ("Hallo zusammen! 👋\nMorgen um drei?", "Morgen um drei?"),
        ("Sehr geehrte Damen und Herren,\nanbei die Rechnung.", "anbei die Rechnung"),
        ("Hallo Frau Dr. Berg,\nbis morgen", "bis morgen"),
        ("Bonjour Jean-Luc, \nà demain", "à demain"),
        ("¡Hola! Nos vemos", "Nos vemos"),
        ("Hola, Ana. Nos vemos", "Nos vemos"),
        ("Добрый день, Анна!\nКлючи у Тома.", "Ключи у Тома"),
        ("こんにちは。明日は雨です。", "明日は雨です。"),
        ("Hello\nGood evening\nhi", "Hello"),
        ("Dear Mr. Ray, the keys are here. Bye", "Dear Mr. Ray, the keys are here"),
        ("Hello! Hi Tom! Good morning! Keys?", "Keys?"),
        ("Hey can you call me\nit is late", "Hey can you call me"),
        ("Hi Alice, are you there?", "Hi Alice, are you there?"),
        ("Hi-fi is broken\nsadly", "Hi-fi is broken"),
        ("Dear diary is a book. Read it", "Dear diary is a book"),
    ],
)
def test_a_bare_greeting_is_no_subject_when_more_follows(body: str, expected: str) -> None:
    assert subjects.from_body(body) == expected


@pytest.mark.parametrize(
    "name",
    [
        "Mira Berg",
        "Berg, Mira",
        'Mira "M" Berg\\',
        "Jürgen Ñandú 慧",
        "",
        "a" * 300,
        "=?x?=",
        "慧" * 90,
        "a\r\nX: y",
    ],
)
def test_the_user_is_named(name: str) -> None:
    made = mail(name=name)
    # By the compat32 policy: the default one puts spaces between the encoded words of a long name.
    ((found, address),) = getaddresses([str(email.message_from_bytes(made.raw)["from"])])
    assert address == LINE
    assert str(make_header(decode_header(found))) == " ".join(name.split())[:200]
    assert all(len(line) <= 998 for line in made.raw.split(b"\r\n"))


def test_several_recipients_stand_in_to() -> None:
    one = message()
    recipients = [f"person-number-{number}@example.com" for number in range(20)]
    made = to_email([delivery(to, sender=LINE, message=one) for to in recipients], one, HEAD)
    assert [address.addr_spec for address in read(made)["to"].addresses] == recipients
    assert made.recipients == tuple(recipients)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        ("plain", "7bit"),
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("Grüße aus Köln, bis später", "quoted-printable"),
        ("明日は雨です", "base64"),
        ("line\n" * 1000, "7bit"),
    ],
)
def test_the_encoding_suits_the_text(body: str, encoding: str) -> None:
    made = mail(body)
    assert read(made)["content-transfer-encoding"] == encoding
    assert made.raw.isascii()
    assert all(len(line) <= 998 for line in made.raw.split(b"\r\n"))
    assert text_of(made) == plain_lines(body)


def test_an_address_beyond_ascii_asks_for_smtputf8() -> None:
    made = mail(to="müller@example.com")
    assert made.smtputf8
    assert "To: müller@example.com\r\n" in made.raw.decode()
    assert not mail().smtputf8


def test_nothing_says_that_a_machine_wrote_it() -> None:
    assert "auto-submitted" not in read(mail())


texts = st.text(max_size=300)
nasty = st.text(alphabet=st.sampled_from('\r\n\t\0 :;,<>@"\\=?_ab.ü慧Bc\x0b\x85\u2028'), max_size=200)


@given(subject=texts | nasty, name=texts | nasty, body=texts | nasty, thread=st.lists(nasty, max_size=3))
def test_no_text_can_write_a_header(subject: str, name: str, body: str, thread: list[str]) -> None:
    made = mail(body, name=name, subject=subject, references=tuple(thread), in_reply_to="".join(thread[:1]))
    head = made.raw.partition(b"\r\n\r\n")[0]
    names = [line.split(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    optional = [one for one in names if one in ("In-Reply-To", "References")]
    assert [one for one in names if one not in optional] == [
        *("From", "To", "Date", "Message-ID", "Subject", "MIME-Version", "Content-Type"),
        "Content-Transfer-Encoding",
    ]
    assert not re.search(rb"[^\r]\n|\r[^\n]|\0", made.raw)
    assert all(len(line) <= 998 for line in made.raw.split(b"\r\n"))
    assert all(line.strip() for line in head.split(b"\r\n"))
    assert text_of(made) == plain_lines(body)


@given(st.text(min_size=1, max_size=120))
def test_a_subject_arrives_as_it_was(subject: str) -> None:
    found = read(mail(subject=subject))["subject"]
    expected = subjects.one_line(subject) or subjects.from_body("Running late")
    assert " ".join(found.split()) == " ".join(expected.split())


@given(st.text(min_size=1, max_size=400))
def test_what_we_write_we_read_the_same(body: str) -> None:
    made = mail(body, subject="Keys")
    parser = MailParser(("chat.example.org",))
    (found,) = parser(made.raw, Envelope("here", LINE, ("bob@chat.example.org",), 2e9))
    assert isinstance(found, Incoming)
    assert found.remote_id == made.message_id
    assert (found.sender.canonical, found.sender_name, found.subject) == (LINE, "Mira Berg", "Keys")


def test_ids_are_made_from_uids() -> None:
    assert message_id("f" * 32, "chat.example.org") == f"<{'f' * 32}@chat.example.org>"


def test_names_are_whole_addresses_for_the_standard_library() -> None:
    (author,) = read(mail(name="Dr. O'Neil (home)"))["from"].addresses
    assert author == HeaderAddress("Dr. O'Neil (home)", addr_spec=LINE)
