"""vCards as phones and address books write them: old ones, new ones, spoilt ones."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import vcards
from bridge.vcards import Card, read

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()


def card(*lines: str, version: str = "3.0") -> bytes:
    return "\r\n".join(("BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", "")).encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(
            card("FN:Jana Berg", "EMAIL;TYPE=INTERNET:jana@x.org", "TEL;TYPE=CELL:+49 170 5550199"),
            Card("Jana Berg", ("jana@x.org",), ("+49 170 5550199",)),
            id="3.0",
        ),
        pytest.param(
            card(
                "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=B6rg;;;",
                "TEL;CELL;PREF:0170 5550199",
                "TEL;HOME;FAX:030 1234",
                "EMAIL;INTERNET:joerg@x.org",
                version="2.1",
            ),
            Card("Jörg Müller", ("joerg@x.org",), ("0170 5550199",)),
            id="2.1 with quoted-printable and a fax",
        ),
        pytest.param(
            card(
                "NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=ISO-8859-1:one line=0D=0A=",
                "and gr=FC=DFe",
                "FN:A",
                "TEL:1234567",
                version="2.1",
            ),
            Card("A", (), ("1234567",), "one line\r\nand grüße"),
            id="2.1 with a soft break and latin-1",
        ),
        pytest.param(
            card(
                "FN;PREF=2:Second",
                'TEL;VALUE=uri;PREF=1;TYPE="voice,home":tel:+1-202-555-0142;ext=102',
                "TEL;VALUE=uri:tel:+12025550143",
                "EMAIL;PREF=20:b@x.org",
                "EMAIL;PREF=10:a@x.org",
                version="4.0",
            ),
            Card("Second", ("a@x.org", "b@x.org"), ("+1-202-555-0142", "+12025550143")),
            id="4.0 with preferences and URIs",
        ),
        pytest.param(
            card("item1.EMAIL;type=pref:mum@x.org", "item1.X-ABLabel:_$!<Home>!$_", "N:;Mum;;;", "FN:"),
            Card("Mum", ("mum@x.org",)),
            id="Apple's groups, and an empty FN",
        ),
        pytest.param(
            card("FN:Long", " er Name", "EMAIL:l@x", "\t.org", r"NOTE:a\, b\; c\nd"),
            Card("Longer Name", ("l@x.org",), (), "a, b; c\nd"),
            id="folded lines and escapes",
        ),
        pytest.param(
            card("FN:P", "EMAIL:p@x.org", f"PHOTO;ENCODING=b;TYPE=PNG:{PNG[:40]}", f" {PNG[40:]}"),
            Card("P", ("p@x.org",), photo=base64.b64decode(PNG)),
            id="3.0's photo, folded",
        ),
        pytest.param(
            card("FN:P", "EMAIL:p@x.org", f"PHOTO:data:image/png;base64,{PNG}", version="4.0"),
            Card("P", ("p@x.org",), photo=base64.b64decode(PNG)),
            id="4.0's photo",
        ),
        pytest.param(
            card(
                "FN:P", "EMAIL:p@x.org", "PHOTO;PNG;ENCODING=BASE64:", f" {PNG[:30]}", f" {PNG[30:]}", "",
                version="2.1",
            ),
            Card("P", ("p@x.org",), photo=base64.b64decode(PNG)),
            id="2.1's photo, which begins on the next line",
        ),
        pytest.param(
            card("FN:P", "EMAIL:p@x.org", "PHOTO;VALUE=uri:https://evil.example/p.png"),
            Card("P", ("p@x.org",)),
            id="a photo elsewhere is not fetched",
        ),
        pytest.param(
            card("ORG:The Bakery;Counter", "TEL:1234567"), Card("The Bakery", (), ("1234567",)), id="a firm"
        ),
    ],
)  # fmt: skip
def test_a_card_is_read_in_every_version(data: bytes, expected: Card) -> None:
    assert read(data).cards == (expected,)


def test_one_file_holds_many_cards_and_groups_and_the_unreachable_are_left_out() -> None:
    data = b"\n".join(
        (
            card("FN:A", "EMAIL:a@x.org").replace(b"\r\n", b"\n"),
            card("FN:Nobody"),
            card("KIND:group", "FN:Friends", "EMAIL:all@x.org", version="4.0"),
            card(
                "FN:Boss", "EMAIL:b@x.org", "AGENT:", "BEGIN:VCARD", "FN:Clerk", "EMAIL:c@x.org", "END:VCARD"
            ),
        )
    )
    assert [one.emails for one in read(data).cards] == [("a@x.org",), ("b@x.org",)]


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_the_file_may_be_in_any_usual_charset(charset: str) -> None:
    data = card("FN:Zoë Grün", "EMAIL:z@x.org").decode().encode(charset)
    assert read(data).cards[0].name == "Zoë Grün"


def test_too_many_cards_are_counted_and_a_huge_photo_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcards, "MOST_CARDS", 3)
    book = read(card("FN:A", "EMAIL:a@x.org") * 5)
    assert (len(book.cards), book.left_out) == (3, 2)
    huge = "A" * (vcards.MOST_PHOTO * 2)
    assert read(card("FN:A", "EMAIL:a@x.org", f"PHOTO;ENCODING=b:{huge}")).cards[0].photo == b""


@pytest.mark.parametrize(
    "data",
    [
        b"BEGIN:VCARD\r\n" * 200_000,
        card("TEL;" + "TYPE=CELL;" * 100_000 + ":1234567"),
        card('EMAIL;X="' + "a:" * 500_000),
        card("N:" + ";" * 1_000_000, "EMAIL:a@x.org"),
        card("NOTE;ENCODING=QUOTED-PRINTABLE:" + "=\r\n" * 200_000, "EMAIL:a@x.org"),
        card("FN:a" + "\r\n a" * 300_000, "EMAIL:a@x.org"),
    ],
    ids=["begins", "parameters", "quote", "components", "soft breaks", "folds"],
)
def test_hostile_cards_take_little_time(data: bytes) -> None:
    began = time.process_time()
    read(data)
    assert time.process_time() - began < 4.0


@given(st.one_of(st.binary(max_size=400), st.text(max_size=400).map(str.encode)))
def test_nothing_breaks_it(junk: bytes) -> None:
    read(junk)
    read(card().replace(b"END", junk + b"\r\nEND"))
