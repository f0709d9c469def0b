"""What Alice gets: quotes, signatures, corrections, reactions, answers to invitations (case 12)."""

import re

import pytest

from adapters.email import quoting
from adapters.email.compose import Letterhead, to_email
from adapters.email.visible_text import from_mail
from bridge.model import Answered, Incoming
from bridge.ports import BadAddress
from tests.adapters.contract import delivery, message
from tests.adapters.email_answers import (
    GROUP,
    HEAD,
    JANA,
    LINE,
    answer,
    came,
    goes_to,
    read,
    text_of,
)

# --- what it looks like ---


def test_a_first_answer_quotes_what_it_answers_below_and_briefly() -> None:
    mail = came(GROUP, "\n".join(f"line {n}" for n in range(20)))
    text = text_of(answer(mail))
    above, attribution, *quoted = [line for line in text.split("\n") if line]
    assert above == "At three"
    assert re.fullmatch(r"On 20 Nov 2025 at \d\d:\d\d, Jana Berg wrote:", attribution)
    assert quoted == [*(f"> line {n}" for n in range(6)), "> […]"]


def test_a_mail_is_quoted_once() -> None:
    mail = came(GROUP)
    later = message("And bring cake", memo=goes_to(mail, first=False).memo, answered=_answered(mail))
    made = to_email([delivery(JANA, sender=LINE, message=later)], later, HEAD)
    assert text_of(made) == "And bring cake\n"


def _answered(mail: Incoming) -> Answered:
    return Answered(mail.remote_id, mail.body, mail.subject, mail.written_at, mail.memo)


@pytest.mark.parametrize(
    ("choice", "lines"), [("off", 0), ("short", 8), ("full", 201)], ids=["off", "short", "full"]
)
def test_how_much_is_quoted_is_the_users_choice(choice: str, lines: int) -> None:
    mail = came(GROUP, "\n".join(f"line {n}" for n in range(200)))
    text = text_of(answer(mail, choices={"quote": choice}))
    assert len([line for line in text.split("\n") if line]) - 1 == lines


def test_one_message_may_ask_for_another_quote() -> None:
    text = text_of(answer(came(GROUP), choices={"quote": "off"}, quote="full"))
    assert "> When can you come?" in text


@pytest.mark.parametrize("language", ["", "xx", *quoting._ON_WROTE])
def test_an_attribution_is_in_the_users_language_and_folded_away_by_readers(language: str) -> None:
    made = answer(came(GROUP), head=Letterhead("chat.example.org", language=language))
    assert "> When can you come?" in text_of(made)
    assert from_mail(made.raw).strip() == "At three"


def test_a_signature_stands_below_the_text_if_the_user_has_one() -> None:
    mail = came(GROUP)
    made = answer(mail, choices={"signature": "Mira Berg\nHauptstr. 5"})
    assert text_of(made).startswith("At three\n\n-- \nMira Berg\nHauptstr. 5\n\nOn ")
    assert from_mail(made.raw).strip() == "At three"
    assert "-- " not in text_of(answer(mail))


def test_paragraphs_are_left_to_the_reader_to_wrap() -> None:
    text = "A long sentence that goes on " * 20
    made = answer(None, text)
    assert text_of(made) == text + "\n"
    assert read(made).get_content_type() == "text/plain"


def test_a_correction_says_that_it_is_one() -> None:
    assert text_of(answer(None, "At four", correction="s1")) == "Correction: At four\n"
    german = Letterhead("chat.example.org", language="de")
    assert text_of(answer(None, "At four", head=german, correction="s1")) == "Korrektur: At four\n"


def test_a_reaction_is_one_emoji_that_programs_know_as_such() -> None:
    made = answer(came(GROUP), "👍 to “When can you come?”", reaction="👍")
    found = read(made)
    assert found["content-disposition"].content_disposition == "reaction"
    assert found.get_content().strip() == "👍"
    assert found["in-reply-to"] == "<1@x.example>"
    with pytest.raises(BadAddress):
        goes_to(None, reaction="👍")


def test_only_what_the_gateway_writes_itself_says_so() -> None:
    assert read(answer(None, "Your code: 1234", proof="1"))["auto-submitted"] == "auto-generated"
    assert read(answer(None, "Your code: 1234", auto="1"))["auto-submitted"] == "auto-generated"
    assert read(answer(None))["auto-submitted"] is None


# --- 12: invitations ---

INVITATION = """From: Jana Berg <jana@x.example>
To: mira@chat.example.org
Subject: Viewing
MIME-Version: 1.0
Content-Type: text/calendar; method=REQUEST; charset=utf-8"""
CALENDAR = """BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VEVENT
UID:viewing-1@x.example
SEQUENCE:2
ORGANIZER;CN="Berg, Jana":mailto:calendar@x.example
ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:mira@chat.example.org
DTSTART;TZID=Europe/Berlin:20251127T160000
SUMMARY:Viewing
LOCATION:Hauptstr. 5
END:VEVENT
END:VCALENDAR"""


@pytest.mark.parametrize(
    ("answered", "state"), [("accepted", "ACCEPTED"), ("declined", "DECLINED"), ("tentative", "TENTATIVE")]
)
def test_case_12_an_invitation_is_answered_to_its_organizer_so_that_calendars_know(
    answered: str, state: str
) -> None:
    made = answer(came(INVITATION, CALENDAR), "I will be there", rsvp=answered)
    assert made.recipients == ("calendar@x.example",)
    calendar = read(made).get_body(("related", "html", "plain"))
    (part,) = [one for one in read(made).walk() if one.get_content_type() == "text/calendar"]
    assert calendar is not None
    assert calendar.get_content().strip() == "I will be there"
    assert part.get_param("method") == "REPLY"
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 75
    lines = raw.decode().replace("\r\n ", "").split("\r\n")
    assert lines[:4] == ["BEGIN:VCALENDAR", "PRODID:-//Passerelle//EN", "VERSION:2.0", "METHOD:REPLY"]
    assert {"UID:viewing-1@x.example", "SEQUENCE:2"} <= set(lines)
    assert f'ATTENDEE;PARTSTAT={state};CN="Mira Berg":mailto:{LINE}' in lines
    assert 'ORGANIZER;CN="Berg, Jana":mailto:calendar@x.example' in lines
    assert not any(line.startswith("DTSTART") for line in lines)  # a local time without its zone


@pytest.mark.parametrize(
    "organizer",
    [
        "ORGANIZER:MAILTO:calendar@x.example",
        'ORGANIZER;SENT-BY="mailto:o@x.example":Mailto:calendar@x.example',
    ],
)
def test_case_12_the_organizer_is_found_however_it_is_written(organizer: str) -> None:
    calendar = CALENDAR.replace('ORGANIZER;CN="Berg, Jana":mailto:calendar@x.example', organizer)
    assert answer(came(INVITATION, calendar), "Yes", rsvp="accepted").recipients == ("calendar@x.example",)


def test_case_12_there_must_be_an_invitation_to_be_answered() -> None:
    for mail in (None, came(GROUP)):
        with pytest.raises(BadAddress, match="no invitation"):
            goes_to(mail, rsvp="accepted")
