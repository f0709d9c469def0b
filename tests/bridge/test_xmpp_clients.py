"""Messages in the shapes in which other programs really send them, and what they say to us."""

from dataclasses import replace
from xml.etree.ElementTree import fromstring

import pytest

from bridge.events import ChatState, ClientReceipt, Denied, Displayed, Retracted, Written
from bridge.xmpp import stanzas
from tests.bridge.xmpp_stand_in import ALICE

MIRA = "mira@localhost/phone"
STATES = "http://jabber.org/protocol/chatstates"
URL = "https://upload.localhost/5f2c/garden.jpg"
PLAIN = Written(
    from_bare="mira@localhost",
    from_full=MIRA,
    local=r"alice\40example.com",
    stanza_id="m1",
    body="When can I come?",
    origin_id="m1",
    wants_receipt=True,
)
ASKS = "<request xmlns='urn:xmpp:receipts'/>"
MARKABLE = "<markable xmlns='urn:xmpp:chat-markers:0'/>"
ORIGIN = "<origin-id xmlns='urn:xmpp:sid:0' id='m1'/>"
ACTIVE = f"<active xmlns='{STATES}'/>"


def said(inside: str) -> stanzas.Reading:
    return stanzas.read(
        fromstring(
            "<s xmlns='jabber:component:accept'>"
            f"<message from='{MIRA}' to='{ALICE}' type='chat' id='m1'>{inside}</message></s>"
        )[0]
    )


def quoting(
    quote: str, text: str, space: str = "urn:xmpp:fallback:0", purpose: str = "urn:xmpp:reply:0"
) -> str:
    """An answer with what it answers quoted for older programs (XEP-0461 section 3.1)."""
    body = f"{quote}{text}".replace(">", "&gt;")
    return (
        f"<body>{body}</body><reply xmlns='urn:xmpp:reply:0' to='{ALICE}' id='s7'/>"
        f"<fallback xmlns='{space}' for='{purpose}'><body start='0' end='{len(quote)}'/></fallback>"
    )


TEXTS = {
    "Conversations": f"<body>When can I come?</body>{ASKS}{MARKABLE}{ORIGIN}{ACTIVE}",
    "Gajim": f"{ORIGIN}<body>When can I come?</body>{ACTIVE}{ASKS}{MARKABLE}",
    "Dino": f"<body>When can I come?</body>{MARKABLE}{ASKS}{ORIGIN}<active xmlns='{STATES}'/>",
    "Psi, with a formatted body besides": (
        f"{ORIGIN}<body>When can I come?</body>{ASKS}"
        "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>"
        "<p>When <b>can</b> I come?</p></body></html>"
    ),
    "carried by a server, with its own ids": (
        f"<body>When can I come?</body>{ASKS}{ORIGIN}"
        "<stanza-id xmlns='urn:xmpp:sid:0' by='mira@localhost' id='archive-1'/>"
        "<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T08:00:00Z' from='localhost'/>"
    ),
    "two languages: the first counts": (
        f"<body>When can I come?</body><body xml:lang='de'>Wann kann ich kommen?</body>{ASKS}{ORIGIN}"
    ),
    "hints": f"<body>When can I come?</body>{ASKS}{ORIGIN}<store xmlns='urn:xmpp:hints'/>",
}


@pytest.mark.parametrize("inside", TEXTS.values(), ids=TEXTS)
def test_a_text_is_the_same_whoever_writes_it(inside: str) -> None:
    assert said(inside) == PLAIN


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (f"<body>When can I come?</body>{ORIGIN}", replace(PLAIN, wants_receipt=False)),
        (f"<body>When can I come?</body>{ASKS}", replace(PLAIN, origin_id="")),
        (
            f"<subject>Flat</subject><body>When can I come?</body><thread>t-1</thread>{ASKS}{ORIGIN}",
            replace(PLAIN, subject="Flat", thread="t-1"),
        ),
        (
            "<body>When can I come?</body><replace xmlns='urn:xmpp:message-correct:0' id='m0'/>"
            f"{ASKS}{ORIGIN}",
            replace(PLAIN, replaces="m0"),
        ),
    ],
)
def test_what_stands_beside_a_text_is_read(inside: str, expected: Written) -> None:
    assert said(inside) == expected


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (quoting("> Alice:\n> Any day after 6\n", "Tuesday then"), "Tuesday then"),  # Conversations
        (quoting("> Any day after 6 🌻\n", "Tuesday\nthen"), "Tuesday\nthen"),  # counted in code points
        (quoting("> a\n", "Tuesday", space="urn:xmpp:feature-fallback:0"), "Tuesday"),  # as it was before
        ("<body>Tuesday</body><reply xmlns='urn:xmpp:reply:0' id='s7'/>", "Tuesday"),
        (quoting("> Any day\n", "> my own quote"), "> my own quote"),
        # Places that make no sense cost nobody a word.
        (quoting("> a\n", "Tuesday").replace("end='4'", "end='400'"), "> a\nTuesday"),
        (quoting("> a\n", "Tuesday").replace("start='0'", "start='9'"), "> a\nTuesday"),
        (quoting("> a\n", "Tuesday").replace("end='4'", f"end='{'9' * 5000}'"), "> a\nTuesday"),
        (quoting("> a\n", "Tuesday").replace("end='4'", "end='²'"), "> a\nTuesday"),
        (quoting("> a\n", "Tuesday").replace(" start='0' end='4'", ""), "> a\nTuesday"),
        # A fallback for something that we do not know is the text.
        (quoting("> a\n", "Tuesday", purpose="urn:example:polls"), "> a\nTuesday"),
    ],
)
def test_an_answer_names_what_it_answers_and_leaves_its_quote_behind(inside: str, text: str) -> None:
    reading = said(f"{inside}{ASKS}{ORIGIN}")
    assert reading == replace(PLAIN, body=text, reply_to="s7")


def test_a_file_in_an_answer_loses_both_its_fallbacks() -> None:
    """Dino and Cheogram share files so; both places count in the whole body."""
    quote, caption = "> Which garden?\n", "This one "
    body = f"{quote}{caption}{URL}".replace(">", "&gt;")
    reading = said(
        f"<body>{body}</body><reply xmlns='urn:xmpp:reply:0' id='s7'/>"
        f"<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='{len(quote)}'/>"
        "</fallback><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'>"
        f"<body start='{len(quote + caption)}' end='{len(quote + caption + URL)}'/></fallback>"
        "<file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'><file xmlns='urn:xmpp:file:metadata:0'>"
        "<media-type>image/jpeg</media-type><name>garden.jpg</name><size>3032449</size></file>"
        f"<sources><url-data xmlns='http://jabber.org/protocol/url-data' target='{URL}'/></sources>"
        f"</file-sharing><x xmlns='jabber:x:oob'><url>{URL}</url></x>"
    )
    assert isinstance(reading, Written)
    assert (reading.body, reading.reply_to) == ("This one", "s7")
    assert [(one.name, one.source, one.size) for one in reading.files] == [("garden.jpg", URL, 3032449)]


def test_a_photo_from_conversations_is_its_url_and_nothing_else() -> None:
    reading = said(f"<body>{URL}</body><x xmlns='jabber:x:oob'><url>{URL}</url></x>{ASKS}{MARKABLE}{ORIGIN}")
    assert isinstance(reading, Written)
    assert (reading.body, [one.source for one in reading.files]) == ("", [URL])


@pytest.mark.parametrize(
    "inside",
    [
        "<reactions xmlns='urn:xmpp:reactions:0' id='s7'><reaction>👍</reaction></reactions>"
        "<store xmlns='urn:xmpp:hints'/>",
        # Cheogram: a quote and the emoji for programs that know no reactions.
        "<body>&gt; Any day after 6\n👍</body><reply xmlns='urn:xmpp:reply:0' id='s7'/>"
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reactions:0'><body/></fallback>"
        "<reactions xmlns='urn:xmpp:reactions:0' id='s7'><reaction>👍</reaction></reactions>",
    ],
)
def test_a_reaction_is_one_emoji_about_one_message(inside: str) -> None:
    reading = said(inside)
    assert isinstance(reading, Written)
    assert (reading.body, reading.reply_to, reading.options) == ("👍", "s7", {"reaction": "👍"})


@pytest.mark.parametrize(
    "inside",
    [
        # Gajim, Cheogram, Dino: the present version, with a sentence for others.
        "<retract xmlns='urn:xmpp:message-retract:1' id='m0'/><body>/me retracted a message</body>"
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/>"
        "<store xmlns='urn:xmpp:hints'/>",
        # Movim and older: fastened.
        "<apply-to xmlns='urn:xmpp:fasten:0' id='m0'><retract xmlns='urn:xmpp:message-retract:0'/>"
        "</apply-to>",
    ],
)
def test_a_retraction_is_no_text(inside: str) -> None:
    reading = said(inside)
    assert isinstance(reading, Retracted)
    assert reading.target == "m0"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (f"<composing xmlns='{STATES}'/><no-store xmlns='urn:xmpp:hints'/>", True),
        (f"<paused xmlns='{STATES}'/>", False),
        (f"<gone xmlns='{STATES}'/>", False),
        (f"<thread>t1</thread><composing xmlns='{STATES}'/>", True),  # Psi
    ],
)
def test_who_types_is_known_and_not_passed_on(inside: str, expected: bool) -> None:
    assert said(inside) == ChatState("mira@localhost", r"alice\40example.com", expected)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (
            "<received xmlns='urn:xmpp:receipts' id='s7'/><store xmlns='urn:xmpp:hints'/>",
            ClientReceipt("mira@localhost", "s7"),
        ),
        # Conversations says both with one stanza.
        (
            "<received xmlns='urn:xmpp:receipts' id='s7'/>"
            "<received xmlns='urn:xmpp:chat-markers:0' id='s7'/>",
            ClientReceipt("mira@localhost", "s7"),
        ),
        (
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='s7'/><store xmlns='urn:xmpp:hints'/>",
            Displayed("mira@localhost", "s7"),
        ),
        ("<received xmlns='urn:xmpp:chat-markers:0' id='s7'/>", None),
        ("<acknowledged xmlns='urn:xmpp:chat-markers:0' id='s7'/>", None),
        (f"{MARKABLE}{ASKS}", None),
        ("<attention xmlns='urn:xmpp:attention:0'/>", None),
        ("<propose xmlns='urn:xmpp:jingle-message:0' id='c1'/>", None),
        ("<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='x'/></event>", None),
    ],
)
def test_receipts_and_marks_are_no_text(inside: str, expected: stanzas.Reading) -> None:
    assert said(inside) == expected


@pytest.mark.parametrize(
    "inside",
    [
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><iv>AA==</iv></header>"
        "<payload>AA==</payload></encrypted><encryption xmlns='urn:xmpp:eme:0' name='OMEMO'"
        " namespace='eu.siacs.conversations.axolotl'/><body>I sent you an OMEMO encrypted message but your "
        "client doesn’t seem to support that.</body><store xmlns='urn:xmpp:hints'/>",
        "<body>This message is encrypted with OMEMO</body>"
        "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/><payload>AA==</payload></encrypted>",
    ],
)
def test_ciphertext_and_the_sentence_beside_it_never_go_out(inside: str) -> None:
    assert isinstance(said(inside), Denied)
