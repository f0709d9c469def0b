"""Cases 10 to 12 of EMAIL.md: attachments, pictures, winmail.dat and calendars."""

import base64
import struct
import zlib

from bridge.model import Incoming
from bridge.options import MEMO_INVITATION
from tests.adapters.email_cases import (
    OUR_ID,
    headed,
    read,
)

JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
    + b"\x00" * 9
    + b"\xff\xc0\x00\x11\x08\x03\x00\x04\x00"
    + b"p" * 80_000
)


def part(kind: str, content: bytes, *more: str) -> str:
    return "\n".join(
        [
            f"Content-Type: {kind}",
            "Content-Transfer-Encoding: base64",
            *more,
            "",
            base64.encodebytes(content).decode(),
        ]
    )


def multi(kind: str, *parts: str, **named: str) -> str:
    body = "".join(f"--=_b\n{one}\n" for one in parts) + "--=_b--\n"
    return headed(body, "MIME-Version: 1.0", f'Content-Type: multipart/{kind}; boundary="=_b"', **named)


def test_case_10_attachments_have_safe_names_and_right_types() -> None:
    found = read(
        multi(
            "mixed",
            "Content-Type: text/plain\n\nFour files.",
            part(
                "application/pdf",
                b"%PDF-1.7",
                "Content-Disposition: attachment; filename*0*=utf-8''Miet%C3%BC;",
                " filename*1*=bersicht%202025;",
                " filename*2=.pdf",
            ),
            part(
                "application/pdf",
                b"%PDF-1.6",
                'Content-Disposition: attachment; filename="=?utf-8?Q?Gr=C3=B6=C3=9Fe.pdf?="',
            ),
            part("application/octet-stream", JPEG, "Content-Disposition: attachment"),
            part(
                "application/octet-stream", b"x", 'Content-Disposition: attachment; filename="../../.ssh/x"'
            ),
        )
    )
    assert found.body == "Four files."
    assert [(one.name, one.media_type) for one in found.files] == [
        ("Mietübersicht 2025.pdf", "application/pdf"),
        ("Größe.pdf", "application/pdf"),
        ("image.jpg", "image/jpeg"),
        ("x", "application/octet-stream"),
    ]
    assert found.files[2].data == JPEG


def test_case_10_too_many_files_are_named_and_the_mail_is_kept() -> None:
    parts = [
        part("text/csv", b"%d" % n, f"Content-Disposition: attachment; filename={n}.csv") for n in range(60)
    ]
    found = read(multi("mixed", "Content-Type: text/plain\n\nAll of them", *parts))
    assert len(found.files) == 40
    assert found.body.split("\n")[-1].startswith("📎 20 more")
    assert found.keep_raw


def png(width: int, height: int, size: int) -> bytes:
    head = struct.pack(">II", width, height) + b"\x08\x02\x00\x00\x00"
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"n" * size


def test_case_11_photos_in_the_text_are_shown_and_decoration_is_not() -> None:
    text = (
        "Content-Type: text/html\n\n<p>The kitchen:</p><img src='cid:photo@x'><p>Alice</p>"
        "<img src='cid:logo@x'><img src='cid:pixel@x'><div id='divRplyFwdMsg'>From: Mira</div>"
        "<img src='cid:old@x'>"
    )
    found = read(
        multi(
            "related",
            text,
            part(
                'image/jpeg; name="IMG_0042.jpg"',
                JPEG,
                "Content-ID: <photo@x>",
                "Content-Disposition: inline",
            ),
            part('image/png; name="image001.png"', png(400, 90, 20_000), "Content-ID: <logo@x>"),
            part("image/gif", b"GIF89a\x01\x00\x01\x00" + b"g" * 40, "Content-ID: <pixel@x>"),
            part('image/png; name="shot.png"', png(900, 700, 90_000), "Content-ID: <old@x>"),
            In_Reply_To=OUR_ID,
        )
    )
    assert [one.name for one in found.files] == ["IMG_0042.jpg"]
    assert "The kitchen:" in found.body


def tnef(*objects: tuple[int, int, bytes]) -> bytes:
    packed = b"".join(
        struct.pack("<BHHI", level, kind, 6, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)
        for level, kind, data in objects
    )
    return struct.pack("<IH", 0x223E9F78, 1) + packed


def mapi(name: int, text: str) -> bytes:
    data = text.encode("utf-16-le") + b"\0\0"
    return struct.pack("<IHHII", 1, 0x1F, name, 1, len(data)) + data + b"\0" * (-len(data) % 4)


def test_case_12_winmail_dat_is_unpacked() -> None:
    packed = tnef(
        (1, 0x9003, mapi(0x1000, "The lease is attached.")),
        (2, 0x9002, b"\0" * 14),
        (2, 0x8010, b"LEASE~1.PDF\0"),
        (2, 0x800F, b"%PDF-1.4 lease"),
        (2, 0x9005, mapi(0x3707, "Lease for Mira.pdf")),
    )
    found = read(
        multi(
            "mixed", "Content-Type: text/plain\n\n", part('application/ms-tnef; name="winmail.dat"', packed)
        )
    )
    assert found.body == "The lease is attached."
    assert [(one.name, one.media_type, one.data) for one in found.files] == [
        ("Lease for Mira.pdf", "application/pdf", b"%PDF-1.4 lease")
    ]
    broken = read(
        multi(
            "mixed",
            "Content-Type: text/plain\n\nHi",
            part("application/ms-tnef; name=winmail.dat", b"nonsense"),
        )
    )
    assert (broken.body, [one.name for one in broken.files]) == ("Hi", ["winmail.dat"])


def calendar(method: str, *lines: str) -> str:
    return "\n".join(
        [
            "BEGIN:VCALENDAR",
            f"METHOD:{method}",
            "BEGIN:VTIMEZONE",
            "TZID:Berlin",
            "BEGIN:STANDARD",
            "DTSTART:16010101T030000",
            "END:STANDARD",
            "END:VTIMEZONE",
            "BEGIN:VEVENT",
            "UID:viewing-1",
            'ORGANIZER;CN="Ray; Alice":mailto:alice@example.com',
            "SUMMARY:Viewing",
            *lines,
            "BEGIN:VALARM",
            "SUMMARY:wrong",
            "END:VALARM",
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ]
    )


def invited(method: str, *lines: str) -> Incoming:
    text = calendar(method, *lines)
    return read(
        multi(
            "alternative",
            "Content-Type: text/plain\n\nYou are invited.",
            f"Content-Type: text/calendar; charset=utf-8; method={method}\n\n{text}",
        )
    )


def test_case_12_an_invitation_is_one_line_and_its_file() -> None:
    found = invited("REQUEST", "DTSTART;TZID=Berlin:20251127T160000", "LOCATION:Hauptstr.\n  5", "SEQUENCE:0")
    assert found.body.split("\n")[0] == "📅 Viewing, Thu 27 Nov 16:00, Hauptstr. 5. /yes /no /maybe"
    assert [(one.name, one.media_type) for one in found.files] == [("file.ics", "text/calendar")]
    assert found.memo[MEMO_INVITATION] == "1"
    assert 'ORGANIZER;CN="Ray; Alice":mailto:alice@example.com' in found.memo["invite"].split("\n")
    assert "UID:viewing-1" in found.memo["invite"].split("\n")


def test_case_12_a_mail_that_is_nothing_but_an_invitation_shows_no_raw_calendar() -> None:
    event = "BEGIN:VEVENT\nUID:1\nSUMMARY:Lunch\nDTSTART:20260303T120000Z\nEND:VEVENT"
    calendar = f"BEGIN:VCALENDAR\nMETHOD:REQUEST\n{event}\nEND:VCALENDAR\n"
    found = read(headed(calendar, "Content-Type: text/calendar; method=REQUEST; charset=utf-8"))
    assert found.body == "📅 Lunch, Tue 3 Mar 2026 12:00 UTC. /yes /no /maybe"
    assert [one.media_type for one in found.files] == ["text/calendar"]


def test_case_12_changes_and_cancellations_say_so() -> None:
    changed = invited("REQUEST", "DTSTART:20260108T150000Z", "SEQUENCE:2")
    assert changed.body.startswith("📅 Changed: Viewing, Thu 8 Jan 2026 15:00 UTC. /yes /no /maybe")
    cancelled = invited("CANCEL", "DTSTART;VALUE=DATE:20251127", "STATUS:CANCELLED")
    assert cancelled.body.startswith("📅 Cancelled: Viewing, Thu 27 Nov.")
    assert MEMO_INVITATION not in cancelled.memo
    answer = invited("REPLY", "ATTENDEE;PARTSTAT=DECLINED:mailto:Tom@x.example", "DTSTART:20251127T160000")
    assert answer.body.startswith("📅 tom@x.example declines Viewing, Thu 27 Nov 16:00.")
