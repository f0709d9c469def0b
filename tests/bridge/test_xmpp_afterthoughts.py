"""Retractions, corrections, reactions and chat states, as clients write them."""

from xml.etree.ElementTree import Element, fromstring

import pytest

from bridge.events import ChatState, Retracted, Written
from bridge.xmpp import stanzas, xml

MIRA = "mira@localhost/phone"
ALICE = r"alice\40example.com@mail.localhost"
STATES = "http://jabber.org/protocol/chatstates"
FALLBACK = "<body>/me retracted a message, which your client does not show.</body>"


def read(inside: str, to: str = ALICE, namespace: str = xml.COMPONENT) -> stanzas.Reading:
    message = f"<message from='{MIRA}' to='{to}' type='chat' id='m2'>{inside}</message>"
    stanza: Element = fromstring(f"<stream xmlns='{namespace}'>{message}</stream>")[0]
    return stanzas.read(stanza)


def test_a_correction_is_a_message_that_replaces_another() -> None:
    reading = read("<body>Hello</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/>")
    assert isinstance(reading, Written)
    assert (reading.body, reading.replaces) == ("Hello", "m1")


@pytest.mark.parametrize(
    "inside",
    [
        "<retract xmlns='urn:xmpp:message-retract:1' id='m1'/>",
        "<apply-to xmlns='urn:xmpp:fasten:0' id='m1'>"
        "<retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
    ],
)
@pytest.mark.parametrize("fallback", ["", FALLBACK])
def test_a_retraction_is_read_in_both_its_forms_and_its_fallback_is_no_message(
    inside: str, fallback: str
) -> None:
    assert read(fallback + inside) == Retracted("mira@localhost", MIRA, r"alice\40example.com", "m2", "m1")


@pytest.mark.parametrize(
    "inside",
    [
        "<retract xmlns='urn:xmpp:message-retract:1'/>",
        "<apply-to xmlns='urn:xmpp:fasten:0' id='m1'><x xmlns='urn:example'/></apply-to>",
        "<reactions xmlns='urn:xmpp:reactions:0'><reaction>👍</reaction></reactions>",
    ],
)
def test_what_says_nothing_is_left_alone(inside: str) -> None:
    assert read(FALLBACK + inside) is None


def test_the_newest_reaction_counts() -> None:
    reading = read(
        "<reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>👍</reaction><reaction> ❤️ </reaction>"
        "</reactions><store xmlns='urn:xmpp:hints'/>"
    )
    assert isinstance(reading, Written)
    assert (reading.body, reading.reply_to, reading.options) == ("❤️", "m1", {"reaction": "❤️"})


def test_an_empty_set_of_reactions_takes_back_what_there_was() -> None:
    reading = read("<reactions xmlns='urn:xmpp:reactions:0' id='m1'/>")
    assert isinstance(reading, Written)
    assert (reading.body, reading.reply_to, reading.options) == ("", "m1", {"reaction": ""})


@pytest.mark.parametrize(
    ("state", "composes"),
    [("composing", True), ("paused", False), ("active", False), ("inactive", False), ("gone", False)],
)
def test_chat_states_tell_whether_somebody_types(state: str, composes: bool) -> None:
    reading = read(f"<{state} xmlns='{STATES}'/><no-store xmlns='urn:xmpp:hints'/>")
    assert reading == ChatState("mira@localhost", r"alice\40example.com", composes)


def test_a_chat_state_beside_a_text_is_part_of_it() -> None:
    assert isinstance(read(f"<body>Hi</body><active xmlns='{STATES}'/>"), Written)


@pytest.mark.parametrize(
    "inside",
    [
        f"<composing xmlns='{STATES}'/>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='m1'/>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>👍</reaction></reactions>",
    ],
)
def test_in_the_transports_own_chat_they_say_nothing(inside: str) -> None:
    assert read(inside, to="mail.localhost") is None
