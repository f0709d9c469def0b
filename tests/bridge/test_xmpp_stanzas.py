from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import ClientError, ClientReceipt, Denied, Displayed, Written
from bridge.model import Kind, Note
from bridge.ports import Refused, Scope, TryLater
from bridge.xmpp import errors, stanzas, xml
from tests.bridge.xmpp_stand_in import ALICE, NOW, delivery, message

MIRA = "mira@localhost/phone@home"
OMEMO = "eu.siacs.conversations.axolotl"
FALLBACK = "<body>I sent you an OMEMO encrypted message but your client doesn’t seem to support that.</body>"


def parse(text: str, namespace: str = xml.COMPONENT) -> Element:
    return fromstring(f"<stream xmlns='{namespace}'>{text}</stream>")[0]


def received(inside: str, *, kind: str = "chat", stanza_id: str = "m1", to: str = ALICE) -> Element:
    return parse(f"<message from='{MIRA}' to='{to}' type='{kind}' id='{stanza_id}'>{inside}</message>")


def written(text: str) -> Element:
    return parse(text)


# --- reading ---


@pytest.mark.parametrize("namespace", [xml.COMPONENT, xml.CLIENT])
def test_a_message_is_read_with_all_that_it_says(namespace: str) -> None:
    stanza = parse(
        f"<message from='{MIRA}' to='{ALICE}' type='chat' id='m1'><body>Hi &lt;b&gt;</body>"
        "<subject>Flat</subject><thread>t1</thread><request xmlns='urn:xmpp:receipts'/>"
        "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/><reply xmlns='urn:xmpp:reply:0' id='r1' to='x'/>"
        "<active xmlns='http://jabber.org/protocol/chatstates'/></message>",
        namespace,
    )
    assert stanzas.read(stanza) == Written(
        from_bare="mira@localhost",
        from_full=MIRA,
        local=r"alice\40example.com",
        stanza_id="m1",
        body="Hi <b>",
        origin_id="o1",
        subject="Flat",
        thread="t1",
        reply_to="r1",
        wants_receipt=True,
    )


@pytest.mark.parametrize("kind", ["", "type='normal'", "type='chat'", "type='unheard-of'"])
def test_every_type_that_carries_text_is_a_message(kind: str) -> None:
    reading = stanzas.read(parse(f"<message from='{MIRA}' to='{ALICE}' {kind}><body>Hi</body></message>"))
    assert isinstance(reading, Written)
    assert reading.stanza_id == ""
    assert not reading.wants_receipt


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ("<displayed xmlns='urn:xmpp:chat-markers:0'/>", "chat"),
        ("<subject>Only a subject</subject>", "chat"),
        ("<body/>", "chat"),
        ("<body>  \n</body>", "chat"),
        ("<body>News</body>", "headline"),
        ("<received xmlns='urn:xmpp:receipts'/>", "chat"),
        (f"<encrypted xmlns='{OMEMO}'><header sid='1'/></encrypted>", "chat"),  # only sets up keys
        ("<error type='cancel'/>", "chat"),
    ],
)
def test_what_nobody_wrote_is_left_alone(inside: str, kind: str) -> None:
    assert stanzas.read(received(inside, kind=kind)) is None


@pytest.mark.parametrize(
    "inside",
    [
        f"{FALLBACK}<encrypted xmlns='{OMEMO}'><payload>x</payload></encrypted>",
        f"<encrypted xmlns='{OMEMO}'><header sid='1'/><payload>x</payload></encrypted>",
        "<encrypted xmlns='urn:xmpp:omemo:2'><payload>x</payload></encrypted>",
        f"{FALLBACK}<encryption xmlns='urn:xmpp:eme:0' namespace='{OMEMO}'/>",
        "<body>[This message is encrypted.]</body><x xmlns='jabber:x:encrypted'>x</x>",
        "<openpgp xmlns='urn:xmpp:openpgp:0'>x</openpgp>",
        "<body>?OTRv23?</body>",
    ],
)
def test_what_is_encrypted_is_refused_and_its_fallback_never_sent(inside: str) -> None:
    reading = stanzas.read(received(inside))
    assert isinstance(reading, Denied)
    assert "switch encryption off" in reading.text


def test_rooms_are_refused() -> None:
    assert isinstance(stanzas.read(received("<body>Hi</body>", kind="groupchat")), Denied)


def test_a_mark_of_reading_is_read() -> None:
    stanza = received("<displayed xmlns='urn:xmpp:chat-markers:0' id='s7'/><store xmlns='urn:xmpp:hints'/>")
    assert stanzas.read(stanza) == Displayed("mira@localhost", "s7")


def test_a_receipt_is_read() -> None:
    stanza = received("<received xmlns='urn:xmpp:receipts' id='s7'/><store xmlns='urn:xmpp:hints'/>")
    assert stanzas.read(stanza) == ClientReceipt("mira@localhost", "s7")


def test_an_error_with_the_body_of_ours_is_an_error_and_nothing_else() -> None:
    stanza = received(
        f"<body>Hello</body><error type='wait'><text xmlns='{xml.CONDITIONS}'>Full</text>"
        f"<resource-constraint xmlns='{xml.CONDITIONS}'/></error>",
        kind="error",
        stanza_id="s9",
    )
    assert stanzas.read(stanza) == ClientError("mira@localhost", "s9", "resource-constraint", "wait")


@pytest.mark.parametrize(
    ("inside", "condition", "error_type"),
    [
        ("", "undefined-condition", "cancel"),
        ("<error/>", "undefined-condition", "cancel"),
        ("<error type='auth'/>", "undefined-condition", "auth"),
        (
            f"<error><remote-server-timeout xmlns='{xml.CONDITIONS}'/></error>",
            "remote-server-timeout",
            "wait",
        ),
        ("<error type='wait'><busy xmlns='urn:example'/></error>", "undefined-condition", "wait"),
    ],
)
def test_sloppy_errors_are_understood(inside: str, condition: str, error_type: str) -> None:
    assert errors.read(received(inside, kind="error")) == (condition, error_type)


def test_an_error_without_an_id_answers_nothing_we_know() -> None:
    assert stanzas.read(parse(f"<message from='{MIRA}' to='{ALICE}' type='error'/>")) is None


# --- fates ---


@pytest.mark.parametrize("condition", sorted(errors.AWAY))
def test_a_user_who_is_away_gets_it_later(condition: str) -> None:
    fate = errors.fate(condition, "cancel")
    assert isinstance(fate, TryLater)
    assert (fate.scope, fate.after) == (Scope.RECIPIENT, 3600)


@pytest.mark.parametrize("condition", ["gone", "item-not-found", "forbidden", "undefined-condition"])
def test_a_user_who_is_gone_gets_it_never(condition: str) -> None:
    assert isinstance(errors.fate(condition, "cancel"), Refused)


# --- writing ---


def test_a_message_carries_what_clients_need() -> None:
    what = message("Hi <you> & me", subject="Flät", thread="t'1")
    stanza = written(stanzas.write(delivery(1, "mira@localhost", what), "mail.localhost", NOW))
    assert dict(stanza.attrib) == {"from": ALICE, "to": "mira@localhost", "type": "chat", "id": "s1"}
    assert stanza.findtext(f"{{{xml.COMPONENT}}}body") == "Hi <you> & me"
    assert stanza.findtext(f"{{{xml.COMPONENT}}}subject") == "Flät"
    assert stanza.findtext(f"{{{xml.COMPONENT}}}thread") == "t'1"
    assert stanza.find("{urn:xmpp:receipts}request") is not None
    assert stanza.find("{urn:xmpp:hints}store") is not None
    origin = stanza.find("{urn:xmpp:sid:0}origin-id")
    assert origin is not None
    assert origin.get("id") == "s1"
    assert stanza.find("{urn:xmpp:delay}delay") is None


def test_a_late_message_says_when_it_was_written() -> None:
    stanza = written(stanzas.write(delivery(1, "mira@localhost"), "mail.localhost", NOW + 31))
    delay = stanza.find("{urn:xmpp:delay}delay")
    assert delay is not None
    assert dict(delay.attrib) == {"from": "mail.localhost", "stamp": "2023-11-14T22:13:20Z"}


def test_a_receipt_names_the_message_that_arrived() -> None:
    text = stanzas.write(delivery(2, MIRA, Note("m1"), kind=Kind.RECEIPT), "mail.localhost", NOW)
    stanza = written(text)
    mark = stanza.find("{urn:xmpp:receipts}received")
    assert mark is not None
    assert (stanza.get("to"), stanza.get("from"), stanza.get("id")) == (MIRA, ALICE, "s2")
    assert mark.get("id") == "m1"
    assert stanza.find("{urn:xmpp:receipts}request") is None  # XEP-0184 section 5.3: never for a receipt


def test_an_error_keeps_the_original_id() -> None:
    note = Note("m1", "There is nobody of that name.", "item-not-found", "cancel")
    text = stanzas.write(delivery(3, MIRA, note, kind=Kind.ERROR), "mail.localhost", NOW)
    stanza = written(text)
    assert (stanza.get("type"), stanza.get("id")) == ("error", "m1")
    assert errors.read(stanza) == ("item-not-found", "cancel")
    assert stanza.findtext(f".//{{{xml.CONDITIONS}}}text") == "There is nobody of that name."


def test_a_notice_is_chat_that_replies_to_what_it_is_about() -> None:
    text = stanzas.write(
        delivery(4, "mira@localhost", Note("m1", "It bounced."), kind=Kind.NOTICE), "mail.localhost", NOW
    )
    stanza = written(text)
    reply = stanza.find("{urn:xmpp:reply:0}reply")
    assert stanza.findtext(f"{{{xml.COMPONENT}}}body") == "It bounced."
    assert reply is not None
    assert reply.get("id") == "m1"


@pytest.mark.parametrize("kind", list(Kind))
def test_a_delivery_without_its_payload_is_a_fault_of_its_own(kind: Kind) -> None:
    wrong: Note | str = "text" if kind is not Kind.MESSAGE else Note("m1")
    with pytest.raises(ValueError, match=r"delivery|says nothing"):
        stanzas.write(delivery(5, MIRA, wrong, kind=kind), "mail.localhost", NOW)


@pytest.mark.parametrize("body", ["x" * 300_000, "<&" * 200_000, "ü€😀" * 50_000, "\x00<" * 100_000])
def test_a_body_beyond_what_servers_take_is_cut_and_says_so(body: str) -> None:
    text = stanzas.write(delivery(1, "mira@localhost", body), "mail.localhost", NOW)
    assert len(text.encode()) < 256 * 1024  # what Prosody passes on to a client
    cut = written(text).findtext(f"{{{xml.COMPONENT}}}body") or ""
    assert cut.endswith(stanzas.CUT)
    assert body.replace("\x00", "").startswith(cut.removesuffix(stanzas.CUT))


@given(st.text(), st.text())
def test_any_text_makes_well_formed_stanzas(body: str, name: str) -> None:
    what = message(f"b{body}", subject=name, thread=name)
    stanza = written(stanzas.write(delivery(1, f"m@localhost/{name}", what), "mail.localhost", NOW))
    sent = stanza.findtext(f"{{{xml.COMPONENT}}}body") or ""
    assert sent == "b" + "".join(c for c in body if xml.text(c) != "")


def test_an_error_answer_offers_the_right_jid() -> None:
    denied = Denied("Write it so.", gone=r"bob\40x.org")
    text = errors.answer("message", {"from": MIRA, "to": ALICE, "id": "m1"}, denied, "mail.localhost")
    stanza = written(text)
    assert dict(stanza.attrib) == {"from": ALICE, "to": MIRA, "id": "m1", "type": "error"}
    assert stanza.findtext(f".//{{{xml.CONDITIONS}}}gone") == r"xmpp:bob\40x.org@mail.localhost"


@pytest.mark.parametrize(
    ("kind", "attributes", "answerable"),
    [
        ("message", {"from": MIRA}, True),
        ("message", {"from": MIRA, "type": "error"}, False),
        ("message", {}, False),
        ("iq", {"from": MIRA, "type": "get"}, True),
        ("iq", {"from": MIRA, "type": "result"}, False),
        ("presence", {"from": MIRA, "type": "subscribe"}, True),
    ],
)
def test_an_error_never_answers_an_error(kind: str, attributes: dict[str, str], answerable: bool) -> None:
    assert errors.is_answerable(kind, attributes) is answerable
