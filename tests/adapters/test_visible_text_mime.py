# ruff: noqa: E501 - samples and strategies read better uncut
"""Parts, charsets and transfer encodings: the right text is found and read, however it is packed."""

import base64
import email
import quopri

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.email.visible_text import from_mail, from_message, read_mail

HEAD = b"From: Jana <jana@berg.example>\nSubject: Re: x\nMIME-Version: 1.0\n"


def text(raw: bytes, kind: str = 'text/plain; charset="utf-8"', encoding: str = "8bit") -> bytes:
    return HEAD + f"Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n".encode() + raw


def multipart(subtype: str, *parts: bytes) -> bytes:
    lines = b"".join(b"--=_b\n" + part + b"\n" for part in parts)
    return HEAD + f'Content-Type: multipart/{subtype}; boundary="=_b"\n\n'.encode() + lines + b"--=_b--\n"


def part(kind: str, body: str, extra: str = "") -> bytes:
    return f"Content-Type: {kind}; charset=utf-8\n{extra}\n{body}".encode()


@pytest.mark.parametrize(
    ("raw", "charset", "seen"),
    [
        ("Grüße €".encode(), "utf-8", "Grüße €"),
        ("Grüße".encode("latin-1"), "iso-8859-1", "Grüße"),
        ("„Grüße“ – 5 €".encode("cp1252"), "iso-8859-1", "„Grüße“ – 5 €"),
        ("Grüße".encode(), "iso-8859-1", "Grüße"),
        ("Grüße".encode("latin-1"), "us-ascii", "Grüße"),
        ("Grüße".encode("latin-1"), "utf-8", "Grüße"),
        ("Grüße".encode(), "x-unknown", "Grüße"),
        ("Привет, как дела".encode("koi8-r"), "koi8-r", "Привет, как дела"),
        ("Привет".encode("cp1251"), "windows-1251", "Привет"),
        ("你好，看房时间".encode("gb18030"), "gb2312", "你好，看房时间"),
        ("联通".encode("gb18030"), "gb2312", "联通"),
        ("你好，看房時間可以嗎".encode(), "big5", "你好，看房時間可以嗎"),
        ("你好，看房".encode("big5"), "big5", "你好，看房"),
        ("こんにちは".encode("cp932"), "shift_jis", "こんにちは"),
        ("こんにちは".encode("iso-2022-jp"), "iso-2022-jp", "こんにちは"),
        (b"\x1b$B-!$N7o\x1b(B ok \x1b$B-j0BMh\x1b(B", "iso-2022-jp", "①の件 ok ㈱安来"),
        (b"\x1b(I1\x1b(B", "iso-2022-jp", "ｱ"),
        ("방문 시간".encode("cp949"), "ks_c_5601-1987", "방문 시간"),
        (b"Gr+APwA3w-e", "unicode-1-1-utf-7", "Grüße"),
        ("Grüße".encode("utf-16"), "utf-16", "Grüße"),
        ("\ufeffGrüße".encode(), "us-ascii", "Grüße"),
        (b"a\x00b\x07c\x1b[0m", "utf-8", "abc[0m"),
        ("a\u200bb\xadc\ufeff \u00a0d".encode(), "utf-8", "abc \xa0d"),
        ("👩‍👩‍👧 می‌خواهم".encode(), "utf-8", "👩‍👩‍👧 می‌خواهم"),
        (b"hex", "hex", "hex"),
        (b"puny-", "punycode", "puny-"),
        (b"a\\x41", "unicode_escape", "a\\x41"),
        ("Grüße".encode(), "utf-8\x00", "Grüße"),
    ],
)
def test_bytes_are_read_as_what_they_are(raw: bytes, charset: str, seen: str) -> None:
    mail = HEAD + b"Content-Type: text/plain; charset=" + charset.encode() + b"\n\n" + raw
    assert from_mail(mail) == seen


def test_transfer_encodings_are_undone() -> None:
    assert from_mail(text(base64.encodebytes("Grüße".encode()), encoding="base64")) == "Grüße"
    assert from_mail(text(b"R3LDvMOfZQ=\n", encoding="BASE64 ")) == "Grüße"
    assert (
        from_mail(text(quopri.encodestring("Grüße = schön".encode()), encoding="quoted-printable"))
        == "Grüße = schön"
    )
    assert from_mail(text(b"soft =\nbreak", encoding="quoted-printable")) == "soft break"


@pytest.mark.parametrize(
    ("parameters", "body", "seen"),
    [
        ("", "One paragraph \nover two lines.\nAnother.", "One paragraph over two lines.\nAnother."),
        ("; delsp=yes", "日本 \n語です。\n次。", "日本語です。\n次。"),
        ("", " From here\n >not a quote\nend", "From here\n>not a quote\nend"),
        (
            "",
            "Answer.\n\nOn 8 Dec 2022 at 20:45, Jana wrote:\n> a long \n> line\n>> older \n>> one\n",
            "Answer.",
        ),
        ("", "Hello \n-- \nJana", "Hello"),
        ("", "> one \nanswer\n> two\nmore", "> one \nanswer\n> two\nmore"),
    ],
)
def test_flowed_text_is_joined_again(parameters: str, body: str, seen: str) -> None:
    mail = text(body.encode(), f"text/plain; charset=utf-8; format=flowed{parameters}")
    assert [line.rstrip() for line in from_mail(mail).split("\n")] == [
        line.rstrip() for line in seen.split("\n")
    ]


def test_plain_text_is_preferred_to_its_html() -> None:
    mail = multipart("alternative", part("text/plain", "plain words"), part("text/html", "<p>html words</p>"))
    assert from_mail(mail) == "plain words"


@pytest.mark.parametrize("stub", ["", "  \n\n", "This mail is in HTML. Please view this in a browser."])
def test_a_stub_is_not(stub: str) -> None:
    long = "<p>" + "html words " * 60 + "</p>"
    mail = multipart("alternative", part("text/plain", stub), part("text/html", long))
    assert from_mail(mail).startswith("html words")


def test_texts_around_an_attachment_are_read_in_order_and_files_are_not() -> None:
    mail = multipart(
        "mixed",
        part("text/plain", "before"),
        part("text/plain", "a file", "Content-Disposition: attachment; filename=notes.txt\n"),
        b"Content-Type: text/plain; name=log.txt\n\na log",
        b"Content-Type: image/png\n\nPNG",
        part("text/plain", "after"),
    )
    assert from_mail(mail) == "before\n\nafter"


def test_html_with_pictures_is_read() -> None:
    related = (
        b"Content-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n<p>look</p>\n"
        b"--r\nContent-Type: image/png\n\nPNG\n--r--\n"
    )
    assert from_mail(multipart("alternative", part("text/plain", " "), related)) == "look"


def test_a_mail_forwarded_as_a_part_is_told_whole() -> None:
    inner = (
        b"Content-Type: message/rfc822\nContent-Disposition: attachment; filename=x.eml\n\n"
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@x.example>\nDate: Thu, 8 Dec 2022 20:45:00 +0100\nSubject: Flat\n\n"
        b"Old words.\n\n> even older\n"
    )
    seen = "See.\n\nFrom: Jürgen <j@x.example>\nDate: Thu, 8 Dec 2022 20:45:00 +0100\nSubject: Flat\n\nOld words.\n\n> even older"
    assert from_mail(multipart("mixed", part("text/plain", "See."), inner)) == seen


def test_a_report_shows_its_text_only() -> None:
    mail = multipart(
        "report", part("text/plain", "It failed."), b"Content-Type: message/delivery-status\n\nStatus: 5.1.1\n",
        b"Content-Type: message/rfc822\n\nSubject: mine\n\nmy words\n",
    )  # fmt: skip
    assert from_mail(mail) == "It failed."


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"Content-Type: multipart/mixed\n\njust words",
        HEAD + b"Content-Type: multipart/mixed; boundary=never\n\njust words",
        HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\njust words",
        HEAD + b"Content-Type: nonsense\n\njust words",
        b"just words",
        b"\njust words",
        b"Subject: x\r\n\r\njust words\r\n",
    ],
)
def test_broken_structure_still_shows_the_words(raw: bytes) -> None:
    assert from_mail(raw) == "just words"


MAILS = st.recursive(
    st.builds(
        lambda kind, params, encoding, body: f"Content-Type: {kind}{params}\nContent-Transfer-Encoding: {encoding}\n\n".encode()
        + body,
        st.sampled_from(["text/plain", "text/html", "image/png", "text/calendar", "", "x/y/z"]),
        st.sampled_from(["", "; charset=utf-8", "; charset=big5", "; charset=\x00", "; format=flowed", "; charset*=a'b'c"]),
        st.sampled_from(["7bit", "base64", "quoted-printable", "x-uuencode", ""]),
        st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda words: words.encode("utf-8", "ignore"))),
    ),
    lambda inner: st.one_of(
        inner.map(lambda mail: b"Content-Type: message/rfc822\n\n" + mail),
        st.builds(
            lambda kind, parts: f"Content-Type: multipart/{kind}; boundary=b\n\n".encode()
            + b"".join(b"--b\n" + mail + b"\n" for mail in parts)
            + b"--b--\n",
            st.sampled_from(["mixed", "alternative", "related", "report", "digest", "signed"]),
            st.lists(inner, max_size=3),
        ),
    ),
    max_leaves=8,
)  # fmt: skip


def valid_in_xml(text: str) -> bool:
    return all(
        character in "\t\n"
        or 0x20 <= ord(character) <= 0xD7FF
        or 0xE000 <= ord(character) <= 0xFFFD
        or ord(character) > 0xFFFF
        for character in text
    )


@settings(max_examples=150, deadline=None)
@given(st.one_of(MAILS, st.binary(max_size=500)))
def test_no_mail_raises_and_all_text_is_valid_xml(raw: bytes) -> None:
    assert valid_in_xml(from_mail(raw))
    assert valid_in_xml(from_message(email.message_from_bytes(raw)))


PIECES = st.sampled_from(
    ["On Thu, Dec 8, 2022 at 8:45 PM J <j@x.example> wrote:", "> ", ">>", "From: a@b.example", "Sent: x", "To: y",
     "Subject: z", "-- ", "--", "_____", "hello", "```", "\n", "\n\n", " ", "<blockquote>", "</blockquote>", "<table><tr><td>",
     "</td>", "</table>", "<a href='http://x.example'>", "</a>", "<b>", "</b>", "<li>", "<pre>", "&#0;", "&#55296;", "<!--",
     "-----Original Message-----", "Begin forwarded message:", "Sent from my iPhone"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join), st.sampled_from(["text/plain", "text/html"]))
def test_no_arrangement_of_what_programs_write_raises_or_loses_everything(body: str, kind: str) -> None:
    seen = from_mail(text(body.encode(), f"{kind}; charset=utf-8"))
    assert valid_in_xml(seen)
    if kind == "text/plain" and any(map(str.isalnum, body)):
        assert seen


def test_a_parsed_mail_reads_as_its_bytes_do() -> None:
    raw = multipart("mixed", part("text/plain", "Grüße\n\n-- \nJana"), part("text/plain", "more"))
    assert from_message(email.message_from_bytes(raw)) == from_mail(raw)


def test_what_is_too_long_is_cut_with_a_sentence() -> None:
    for kind in ("text/plain", "text/html"):
        reading = read_mail(text(b"word " * 300_000, f"{kind}; charset=utf-8"))
        assert reading.cut
        assert reading.text.endswith("[The rest of this mail is too long to show here.]")
        assert len(reading.text) < 300_000


def test_a_short_answer_to_a_very_long_mail_is_shown_without_that_sentence() -> None:
    old = b"On 8 Dec 2022 at 20:45, Jana <jana@berg.example> wrote:\n" + b"> old words\n" * 60_000
    assert from_mail(text(b"Yes.\n\n" + old)) == "Yes."


def test_raw_8_bit_headers_are_read() -> None:
    inner = b"Content-Type: message/rfc822\n\nSubject: Gr\xc3\xbc\xc3\x9fe\n\nhello\n"
    broken = b"Content-Type: message/rfc822\n\nSubject: =?utf-8?b?!!!?= =?x?q?a?=\n\nhello\n"
    for mail in (multipart("mixed", inner), multipart("mixed", broken)):
        assert from_mail(mail) == from_message(email.message_from_bytes(mail))
    assert from_mail(multipart("mixed", inner)) == "Subject: Grüße\n\nhello"
