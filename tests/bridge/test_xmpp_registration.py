from xml.etree.ElementTree import fromstring

import pytest

from bridge.events import Denied
from bridge.model import Line, LineId, UserId
from bridge.xmpp import registration, xml
from bridge.xmpp.registration import Cancelled, Filled, Removal
from tests.bridge.xmpp_stand_in import transport

MAIL = transport()
SMS = transport("sms.localhost", identity=("gateway", "sms"), title="SMS")
LINE = Line(LineId(1), UserId(1), "mail", "mira@localhost", "mira@chat.example.org", "Mira <B>")
FORM = "<x xmlns='jabber:x:data' type='{kind}'>{fields}</x>"


def query(inside: str) -> str:
    return f"<query xmlns='jabber:iq:register'>{inside}</query>"


def form(fields: dict[str, str], kind: str = "submit") -> str:
    texts = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    return FORM.format(kind=kind, fields=texts)


@pytest.mark.parametrize(
    ("inside", "wish"),
    [
        ("<name>Mira</name>", Filled("Mira", None)),
        ("<name/><email> m@x.org </email>", Filled("", "m@x.org")),
        ("", Filled(None, None)),
        (form({"FORM_TYPE": "jabber:iq:register", "name": "Mira  B"}), Filled("Mira B", None)),
        (form({"name": "M", "email": "m@x.org"}), Filled("M", "m@x.org")),
        # A client that fills in both ways: the form counts.
        ("<name>plain</name>" + form({"name": "form"}), Filled("form", None)),
        ("<name>line&#10;break</name>", Filled("line break", None)),
    ],
)
def test_what_was_filled_in_is_read_both_ways(inside: str, wish: Filled) -> None:
    assert registration.read(fromstring(query(inside)), "email") == wish


def test_removal_and_cancelling_are_told_apart_from_filling_in() -> None:
    assert isinstance(registration.read(fromstring(query("<remove/>")), "email"), Removal)
    assert isinstance(registration.read(fromstring(query(form({}, "cancel"))), "email"), Cancelled)


@pytest.mark.parametrize(
    "inside",
    [
        form({}, "form"),
        form({"FORM_TYPE": "urn:example"}),
        "<remove/><name>Mira</name>",  # XEP-0077 section 3.2
    ],
)
def test_what_cannot_be_meant_is_refused(inside: str) -> None:
    with pytest.raises(Denied) as refusal:
        registration.read(fromstring(query(inside)), "email")
    assert refusal.value.condition == "bad-request"


def test_a_stranger_gets_empty_fields_of_both_kinds() -> None:
    answer = fromstring(registration.payload(MAIL, None, ["mira@chat.example.org"]))
    assert answer.find("{jabber:iq:register}registered") is None
    assert answer.findtext("{jabber:iq:register}name") == ""
    fields = {field.get("var"): field for field in answer.iter("{jabber:x:data}field")}
    assert list(fields) == ["FORM_TYPE", "name", "email"]
    assert [option[0].text for option in fields["email"].iter("{jabber:x:data}option")] == [
        "mira@chat.example.org"
    ]


def test_who_is_registered_sees_it_with_the_present_values() -> None:
    answer = fromstring(registration.payload(MAIL, LINE, ["other@chat.example.org"]))
    assert answer.find("{jabber:iq:register}registered") is not None
    assert answer.findtext("{jabber:iq:register}name") == "Mira <B>"
    assert answer.findtext("{jabber:iq:register}email") == "mira@chat.example.org"
    fields = {
        field.get("var"): field.findtext("{jabber:x:data}value")
        for field in answer.iter("{jabber:x:data}field")
    }
    assert fields == {
        "FORM_TYPE": "jabber:iq:register",
        "name": "Mira <B>",
        "email": "mira@chat.example.org",
    }


def test_the_address_field_has_the_name_that_the_specification_gives_it() -> None:
    answer = fromstring(registration.payload(SMS, None, []))
    assert [xml.name_of(child.tag) for child in answer] == ["instructions", "name", "phone", "x"]
