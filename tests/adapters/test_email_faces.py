"""Pictures that mails carry of their senders: in cards of their own, in Face headers, and not of others."""

import base64
from email.message import EmailMessage

import pytest

from adapters.email.parse import MailParser
from bridge.model import Envelope, Incoming

PNG = b"\x89PNG\r\n\x1a\n" + bytes(80)
CODED = base64.b64encode(PNG).decode()


def card(address: str, photo: str = f"PHOTO;ENCODING=b;TYPE=PNG:{CODED}") -> bytes:
    return f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:A\r\nEMAIL:{address}\r\n{photo}\r\nEND:VCARD\r\n".encode()


def mail(
    *cards: bytes, sender: str = "Alice <alice@example.com>", subtype: str = "vcard", **head: str
) -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, "mira@chat.example", "Hello"
    for name, value in head.items():
        made[name.replace("_", "-")] = value
    made.set_content("hello")
    for one in cards:
        made.add_attachment(one, maintype="text", subtype=subtype, filename="alice.vcf")
    return bytes(made)


def read(raw: bytes) -> Incoming:
    envelope = Envelope("mail", "alice@example.com", ("mira@chat.example",), 1_700_000_000.0)
    (one,) = MailParser(("chat.example",))(raw, envelope)
    assert isinstance(one, Incoming)
    return one


def face(raw: bytes) -> bytes:
    found = read(raw).face
    return found.data if found is not None else b""


@pytest.mark.parametrize("subtype", ["vcard", "x-vcard", "directory"])
def test_the_senders_own_card_shows_their_face_and_stays_a_file(subtype: str) -> None:
    raw = mail(card("Alice@Example.com"), subtype=subtype)
    assert face(raw) == PNG
    assert [one.name for one in read(raw).files] == ["alice.vcf"]


@pytest.mark.parametrize(
    "raw",
    [
        mail(card("bob@example.com")),
        mail(card("alice@example.com", photo="NOTE:none")),
        mail(card("alice@example.com", photo="PHOTO;VALUE=uri:https://example.com/a.png")),
        mail(card("alice@example.com"), List_Id="<friends.example.com>"),
        mail(card("alice@example.com"), sender="Alice <alice@example.com>, Bob <bob@elsewhere.example>"),
        mail(),
        mail(Face="nonsense"),
    ],
    ids=["somebody else's", "no photo", "a photo elsewhere", "on a list", "two authors", "nothing", "junk"],
)
def test_nobody_is_given_a_face_that_may_not_be_theirs(raw: bytes) -> None:
    assert face(raw) == b""


def test_a_face_header_will_do() -> None:
    assert face(f"Face: {CODED[:60]}\r\n {CODED[60:]}\r\n".encode() + mail()) == PNG


def test_a_huge_card_is_left_out_and_costs_little() -> None:
    assert face(mail(card("alice@example.com", photo="PHOTO;ENCODING=b:" + "A" * 3_000_000))) == b""
