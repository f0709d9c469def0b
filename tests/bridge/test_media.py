"""What files are called and what they are, whatever strangers say about them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import media

JPEG, PNG, PDF, ZIP = b"\xff\xd8\xff\xe0..", b"\x89PNG\r\n\x1a\n..", b"%PDF-1.7", b"PK\x03\x04.."
MP4, HEIC = b"\0\0\0\x20ftypisom", b"\0\0\0\x20ftypheic"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("head", "claimed", "name", "kind"),
    [
        (JPEG, "application/octet-stream", "x", "image/jpeg"),
        (JPEG, "text/html", "x.html", "image/jpeg"),  # lies
        (JPEG, "image/jpg", "", "image/jpeg"),
        (PNG, "image/jpeg", "x.jpg", "image/png"),
        (b"GIF89a..", "", "", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/png", "", "image/webp"),
        (PDF, "", "", "application/pdf"),
        (MP4, "application/octet-stream", "", "video/mp4"),
        (MP4, "audio/mp4", "voice.m4a", "audio/mp4"),
        (HEIC, "", "IMG_1.HEIC", "image/heic"),
        (b"OggS..", "audio/ogg; codecs=opus", "", "audio/ogg"),
        (b"OggS..", "", "", "audio/ogg"),
        (b"ID3\x04..", "audio/mp3", "", "audio/mpeg"),
        (ZIP, DOCX, "letter.docx", DOCX),  # a document is a ZIP: what is finer stands
        (ZIP, "image/png", "x.png", "application/zip"),
        (b"<script>", "image/png", "x.png", "application/octet-stream"),  # no picture, whatever it says
        (b"hello", "text/plain; charset=utf-8", "", "text/plain"),
        (b"hello", "application/octet-stream", "notes.txt", "text/plain"),
        (b"hello", "text/plain\r\nX-Evil: 1", "", "application/octet-stream"),
        (b"", "", "", "application/octet-stream"),
    ],
)
def test_a_type_is_what_can_be_seen_then_what_is_said(
    head: bytes, claimed: str, name: str, kind: str
) -> None:
    assert media.media_type(head, claimed, name) == kind


@pytest.mark.parametrize(
    ("given_name", "kind", "name"),
    [
        ("photo.jpg", "image/jpeg", "photo.jpg"),
        ("photo.JPEG", "image/jpeg", "photo.JPEG"),
        ("../../etc/passwd", "text/plain", "passwd.txt"),
        ("..\\..\\boot.ini", "application/octet-stream", "boot.ini"),
        ("", "image/png", "file.png"),
        ("...", "application/pdf", "file.pdf"),
        ("   ", "application/octet-stream", "file"),
        ("a\x00b\r\nc\u202egpj.exe", "application/octet-stream", "abcgpj.exe"),
        ("cat.exe", "image/jpeg", "cat.exe.jpg"),
        ("cat.html", "image/jpeg", "cat.html.jpg"),
        ("scan", "application/pdf", "scan.pdf"),
        ("Größe 漢字.png", "image/png", "Größe 漢字.png"),
        ("NUL.txt", "text/plain", "_NUL.txt"),
        ("a<b>:c|d?.txt", "text/plain", "abcd.txt"),
        (".hidden", "application/octet-stream", "hidden"),
        ("v1.2 final", "application/pdf", "v1.2 final.pdf"),
    ],
)
def test_a_name_is_safe_to_show_and_to_save(given_name: str, kind: str, name: str) -> None:
    assert media.safe_name(given_name, kind) == name


def test_a_long_name_keeps_its_beginning_and_its_ending() -> None:
    name = media.safe_name("word " * 100 + "end.pdf", "application/pdf")
    assert len(name) <= media.LONGEST_NAME
    assert name.startswith("word word")
    assert name.endswith("end.pdf")


@given(st.text(max_size=300), st.sampled_from(["image/png", "text/plain", "application/octet-stream", "x/y"]))
def test_every_name_becomes_a_safe_one(name: str, kind: str) -> None:
    safe = media.safe_name(name, kind)
    assert 0 < len(safe.encode()) <= 255
    assert not set(safe) & set("/\\\0\r\n\"")
    assert safe not in (".", "..")
    assert safe == safe.strip()
