"""Cases 13 and 14 of EMAIL.md in mail that goes out: whom it reaches."""

import pytest

from adapters.email import answering
from adapters.email.adapter import EmailAdapter
from adapters.email.addresses import NotAnAddress, canonical_people
from adapters.email.compose import to_email
from adapters.email.settings import EmailSettings
from bridge.ports import BadAddress, Outward, Refused, Sent, TryLater
from tests.adapters.contract import MemoryInbox, context, delivery, message
from tests.adapters.email_answers import (
    GROUP,
    HEAD,
    JANA,
    LINE,
    answer,
    came,
    goes_to,
    people,
)
from tests.adapters.test_email_contract import TABLE
from tests.support.mail import smarthost

# --- 13: whom an answer reaches ---


def test_case_13_a_plain_line_answers_the_writer_alone() -> None:
    made = answer(came(GROUP))
    assert made.recipients == (JANA,)
    assert (people(made, "to"), people(made, "cc")) == ([JANA], [])


def test_case_13_a_plain_line_goes_to_reply_to_if_there_is_one() -> None:
    made = answer(came(f"{GROUP}\nReply-To: Office <office@x.example>"))
    assert made.recipients == ("office@x.example",)
    assert "To: Office <office@x.example>\r\n" in made.raw.decode()


def test_case_13_an_answer_to_all_reaches_exactly_from_to_and_cc_less_us() -> None:
    made = answer(came(GROUP), all="1")
    assert set(made.recipients) == {JANA, "tom@y.example", "eva@z.example"}
    assert people(made, "to") == [JANA, "tom@y.example"]
    assert people(made, "cc") == ["eva@z.example"]
    assert LINE not in made.raw.decode().partition("\r\nMIME-Version")[0].partition("\r\nTo:")[2]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (f"From: {JANA}\nTo: {LINE}", {JANA}),
        (f"From: {JANA}\nTo: tom@y.example\nCc: {LINE}", {JANA, "tom@y.example"}),
        (f"From: {JANA}\nTo: Mira <MIRA@Chat.Example.ORG>, tom@y.example", {JANA, "tom@y.example"}),
        (f"From: {JANA}\nReply-To: r@x.example\nTo: {LINE}, {JANA}", {JANA, "r@x.example"}),
        (f"From: {JANA}\nTo: {LINE}\nCc: {JANA}, tom@y.example, T <TOM@y.example>", {JANA, "tom@y.example"}),
    ],
)
def test_case_13_the_set_of_an_answer_to_all(head: str, expected: set[str]) -> None:
    found = goes_to(came(head), all="1")
    assert set(found.recipients) == expected
    assert len(found.recipients) == len(expected)


def test_case_13_nobody_who_was_in_neither_to_nor_cc_answers_everybody() -> None:
    mail = came(f"From: {JANA}\nTo: tom@y.example, eva@z.example")
    with pytest.raises(BadAddress, match="neither To nor Cc"):
        goes_to(mail, all="1")
    assert goes_to(mail).recipients == (JANA,)


def test_case_13_a_mail_with_reply_to_us_is_answered_to_the_writer() -> None:
    assert goes_to(came(f"From: {JANA}\nTo: {LINE}\nReply-To: {LINE}")).recipients == (JANA,)


def test_case_13_what_answers_nothing_cannot_answer_everybody() -> None:
    with pytest.raises(BadAddress, match="no mail here"):
        goes_to(None, all="1")


def test_case_13_our_own_mail_is_continued_to_whom_it_went() -> None:
    first = goes_to(None, "ann@example.com,bob@example.com")
    found = answering.addressed(
        Outward("ann@example.com,bob@example.com", "", LINE, {"all": "1"}, first.memo)
    )
    assert found.recipients == ("ann@example.com", "bob@example.com")


def test_case_13_a_wish_for_copies_adds_people_once() -> None:
    made = answer(came(GROUP), all="1", cc="new@w.example, Tom@Y.example")
    assert people(made, "cc") == ["eva@z.example", "new@w.example"]
    assert len(made.recipients) == 4


def test_case_13_one_mail_goes_to_a_hundred_people_at_most() -> None:
    many = ", ".join(f"p{n}@example.com" for n in range(101))
    with pytest.raises(BadAddress, match="102 people"):
        goes_to(None, cc=many)


def test_case_13_an_attempt_for_one_recipient_still_names_all() -> None:
    mail = came(GROUP)
    found = goes_to(mail, all="1")
    one = message("Yes", memo=found.memo)
    made = to_email([delivery("tom@y.example", sender=LINE, message=one)], one, HEAD)
    assert made.recipients == ("tom@y.example",)
    assert set(people(made, "to") + people(made, "cc")) == set(found.recipients)


def test_several_addresses_are_one_conversation_however_they_are_ordered() -> None:
    assert canonical_people("bob@B.example, Alice@a.example") == ("alice@a.example", "bob@b.example")
    assert canonical_people('"a,b"@a.example,c@d.example') == ('"a,b"@a.example', "c@d.example")
    assert goes_to(None, "alice@a.example,bob@b.example").recipients == ("alice@a.example", "bob@b.example")
    with pytest.raises(NotAnAddress, match="20 people"):
        canonical_people(",".join(f"p{n}@example.com" for n in range(21)))
    with pytest.raises(NotAnAddress):
        canonical_people("alice@a.example,bob")


async def test_recipients_of_one_mail_have_fates_of_their_own_that_name_them() -> None:
    found = goes_to(None, "ann@example.com,bob@b.example,cleo@example.com")
    one = message(memo=found.memo)
    batch = [delivery(to, sender=LINE, message=one) for to in found.recipients]
    refuse = {"bob@b.example": "554 5.7.1 not here", "cleo@example.com": "451 4.7.1 greylisted"}
    async with smarthost(on_rcpt=refuse.get) as host:
        made = EmailAdapter.from_settings(
            EmailSettings.model_validate({**TABLE, "outbound": {"host": "127.0.0.1", "port": host.port}}),
            context(),
        )
        async with made.running(MemoryInbox()):
            fates = await made.send(batch)
            later = await made.send([batch[2]])
    ann, bob, cleo = (fates[each.id] for each in batch)
    assert isinstance(ann, Sent)
    assert isinstance(bob, Refused)
    assert bob.reason.startswith("bob@b.example: ")
    assert isinstance(cleo, TryLater)
    assert isinstance(later[batch[2].id], TryLater)
    (arrived,) = host.mails
    assert arrived.recipients == ("ann@example.com",)
    assert len(arrived.message["to"].addresses) == 3


# --- 14: mailing lists ---

LIST = (
    "From: Jane <jane@w.example>\nTo: debian-user@lists.example\n"
    "List-Id: Debian <debian-user.lists.example>\n"
    "List-Post: <mailto:debian-user@lists.example>\nSubject: [debian] Sound"
)


def test_case_14_a_line_to_a_list_goes_to_where_it_takes_posts() -> None:
    mail = came(LIST)
    made = answer(mail, contact=mail.sender.canonical)
    assert made.recipients == ("debian-user@lists.example",)


def test_case_14_a_list_that_takes_no_posts_is_not_written_to() -> None:
    mail = came(LIST.replace("<mailto:debian-user@lists.example>", "NO"))
    with pytest.raises(BadAddress, match="takes no mail from its readers"):
        goes_to(mail, mail.sender.canonical)
    reachable = came(LIST.replace("<mailto:debian-user@lists.example>", "NO\nReply-To: desk@w.example"))
    assert goes_to(reachable, reachable.sender.canonical).recipients == ("desk@w.example",)
