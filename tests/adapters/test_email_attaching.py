"""Files that go out with a mail: read back with the standard library, which did not write them."""

import email
import email.policy
from email.message import EmailMessage

import pytest

from adapters.email import attaching
from adapters.email.attaching import Enclosed, attach, gather
from adapters.email.compose import Mail
from bridge.model import Attachment, File
from bridge.ports import FileUnavailable, Refused, TryLater
from tests.adapters.contract import message

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 10
HEAD = (
    b"From: Mira <mira@chat.example.org>\r\nTo: alice@example.com\r\nSubject: =?utf-8?b?TMO2d2U=?=\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=utf-8; format=flowed\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
)


class Shelf:
    """The gateway's files: what stands here can be read, all else has a reason."""

    def __init__(self, **texts: bytes | FileUnavailable) -> None:
        self.texts = texts
        self.public = "https://gateway.example.org/files/t/"

    async def read(self, attachment: Attachment) -> bytes:
        found = self.texts[attachment.name.partition(".")[0]]
        if isinstance(found, FileUnavailable):
            raise found
        return found

    async def publish(self, attachment: Attachment) -> str:
        if not self.public:
            raise FileUnavailable(Refused("no"))
        return self.public + attachment.name

    async def keep(self, file: File) -> Attachment:
        raise NotImplementedError


def shared(name: str, size: int = 0, kind: str = "image/jpeg") -> Attachment:
    return Attachment(name, kind, "", size, source=f"https://upload.example.org/{name}")


def mail(body: bytes = b"L=C3=B6we\r\n") -> Mail:
    sender, to = "mira@chat.example.org", ("alice@example.com",)
    return Mail(sender, to, "<ab12@chat.example.org>", HEAD + body, False)


def read(made: Mail) -> EmailMessage:
    found = email.message_from_bytes(made.raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def test_the_text_stays_as_it_was_and_the_files_follow() -> None:
    made = read(attach(mail(), [Enclosed("cat.jpg", "image/jpeg", JPEG), Enclosed("b.bin", "x/y", b"")]))
    text, cat, empty = made.iter_parts()
    assert text["Content-Type"].params["format"] == "flowed"
    assert text.get_content().replace("\r\n", "\n") == "Löwe\n"
    assert (cat.get_content_type(), cat.get_filename(), cat.get_payload(decode=True)) == (
        "image/jpeg", "cat.jpg", JPEG
    )  # fmt: skip
    assert cat.get_content_disposition() == "attachment"
    assert empty.get_payload(decode=True) == b""
    assert made["Subject"] == "Löwe"
    assert made["Content-Transfer-Encoding"] is None
    assert [name.lower() for name in made].count("content-type") == 1


def test_a_mail_of_files_alone_has_no_empty_text() -> None:
    made = read(attach(mail(b"\r\n"), [Enclosed("cat.jpg", "image/jpeg", JPEG)]))
    assert [part.get_filename() for part in made.iter_parts()] == ["cat.jpg"]


def test_a_mail_without_files_is_left_alone_and_a_repeated_one_is_equal() -> None:
    assert attach(mail(), []) == mail()
    files = [Enclosed("cat.jpg", "image/jpeg", JPEG)]
    assert attach(mail(), files) == attach(mail(), files)


@pytest.mark.parametrize(
    "name",
    ["cat.jpg", "größe.pdf", "漢字" * 30 + ".txt", "a b;c=d.txt", "it's 5%.md", "x" * 110 + ".t", "a\\b.txt"],
)
def test_every_name_arrives_and_no_line_is_too_long(name: str) -> None:
    made = attach(mail(), [Enclosed(name, "text/plain", b"x")])
    assert [part.get_filename() for part in read(made).iter_attachments()] == [name]
    assert max(map(len, made.raw.split(b"\r\n"))) <= 78
    assert made.raw.isascii()


async def test_what_fits_is_attached_and_what_does_not_becomes_a_link() -> None:
    shelf = Shelf(small=JPEG[:60], middle=JPEG[:60], rest=JPEG[:30])
    files = (shared("small"), shared("middle"), shared("huge", 34_000_000), shared("rest", 30))
    asked = message("Look", attachments=files)
    changed, enclosed = await gather(shelf, asked, most=100)
    assert [one.name for one in enclosed] == ["small.jpg", "rest.jpg"]
    assert changed.body == (
        "Look\n\nmiddle: https://gateway.example.org/files/t/middle\n"
        "huge (34 MB): https://gateway.example.org/files/t/huge"
    )


async def test_a_file_too_large_to_fetch_is_linked_where_it_is() -> None:
    shelf = Shelf(film=FileUnavailable(Refused("too large"), too_large=True))
    shelf.public = ""
    changed, enclosed = await gather(shelf, message("", attachments=(shared("film"),)))
    assert (changed.body, enclosed) == ("film: https://upload.example.org/film", [])


@pytest.mark.parametrize("fate", [Refused("It is no longer there."), TryLater("Slow.")])
async def test_a_file_that_cannot_be_had_keeps_the_whole_mail_back(fate: Refused | TryLater) -> None:
    with pytest.raises(FileUnavailable) as problem:
        await gather(Shelf(cat=FileUnavailable(fate)), message("Look", attachments=(shared("cat"),)))
    assert problem.value.fate is fate


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        ("", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("text/html", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("text/plain", "größe".encode(), "text/plain; charset=utf-8"),
        ("text/plain", "größe".encode("latin-1"), "text/plain"),
        ("message/rfc822", b"From: x", "application/octet-stream"),
        ("multipart/mixed", b"", "application/octet-stream"),
        ("", b"", "application/octet-stream"),
        ("image/png\r\nX: y", b"", "application/octet-stream"),
    ],
)
async def test_types_are_such_as_may_stand_there(kind: str, data: bytes, told: str) -> None:
    _, (one,) = await gather(Shelf(f=data), message("", attachments=(shared("f", kind=kind),)))
    assert one.media_type == told


def test_limits_are_those_that_servers_take() -> None:
    assert attaching.MOST_BYTES * 4 / 3 < 25_000_000
