"""Cases 13 to 15, 17 to 19 of EMAIL.md: who wrote to whom, as what, and whether it is believed."""

import pytest

from adapters.email import tokens
from adapters.email.authenticity import BELIEVE
from bridge.model import Incoming
from bridge.options import MEMO_AUTO, MEMO_LIST, MEMO_OTHERS, REPLIED
from tests.adapters.email_cases import (
    KEY,
    MIRA,
    OUR_ID,
    OURS,
    chat,
    envelope,
    headed,
    read,
)


def test_case_13_a_mail_to_several_people_says_who_else_got_it() -> None:
    found = read(
        headed(
            "Saturday?",
            f"Cc: Eva <eva@x.example>, {MIRA}, b@x.example, c@x.example",
            To='"Ray, Tom" <tom@x.example>',
        )
    )
    assert chat(found) == "Saturday?"
    assert found.group is not None
    assert list(found.group.people.items()) == [
        ("alice@example.com", "Alice Ray"),
        ("tom@x.example", "Ray Tom"),
        ("eva@x.example", "Eva"),
        ("b@x.example", ""),
        ("c@x.example", ""),
    ]
    assert (found.group.count, found.group.named) == (5, True)
    assert found.memo[MEMO_OTHERS] == (
        "Alice Ray <alice@example.com>, Ray Tom <tom@x.example>, Eva <eva@x.example>, "
        "b@x.example, c@x.example"
    )


def test_case_13_who_got_it_blindly_cannot_answer_everybody() -> None:
    found = read(headed("Saturday?", To="tom@x.example, eva@x.example"))
    assert MEMO_OTHERS not in found.memo
    assert found.memo["from"] == "Alice Ray <alice@example.com>"


def test_case_14_a_mailing_list_is_one_contact_and_its_authors_are_named() -> None:
    def post(author: str, subject: str) -> Incoming:
        return read(
            headed(
                "Use apt.\n",
                "List-Id: Debian users <debian-user.lists.debian.example>",
                "List-Post: <mailto:debian-user@lists.debian.example?subject=x>",
                "Precedence: list",
                author=author,
                To="debian-user@lists.debian.example",
                Subject=subject,
            )
        )

    first, second = (
        post("Jana Berg <jana@x.example>", "[debian-user] Re: Printers"),
        post("tom@x.example", "Re: Printers"),
    )
    assert first.sender.canonical == second.sender.canonical == "debian-user@lists.debian.example"
    assert first.sender_name == "Debian users"
    assert (chat(first), chat(second)) == ("Jana Berg: Use apt.", "tom@x.example: Use apt.")
    assert first.subject == "Printers"
    assert first.memo[MEMO_LIST] == "Debian users"
    assert first.memo["list_post"] == "debian-user@lists.debian.example"


def test_case_14_a_list_with_an_address_for_each_thread_is_still_one_contact() -> None:
    senders = {
        read(
            headed(
                "Merged.",
                "List-ID: ray/flat <flat.ray.forge.example>",
                f"List-Post: <mailto:reply+{n}@reply.forge.example>",
            )
        ).sender.canonical
        for n in range(3)
    }
    assert senders == {"flat@ray.forge.example"}


@pytest.mark.parametrize(
    ("more", "sender"),
    [
        (["Auto-Submitted: auto-replied"], "alice@example.com"),
        (["Precedence: auto_reply"], "alice@example.com"),
        (["X-Autoreply: yes"], "alice@example.com"),
        (["Auto-Submitted: auto-generated", "X-Auto-Response-Suppress: All"], "alice@example.com"),
        ([f"In-Reply-To: {OUR_ID}"], ""),
    ],
)
def test_case_15_an_automatic_answer_is_a_notice_shown_once(more: list[str], sender: str) -> None:
    def answer(message_id: str, subject: str) -> Incoming:
        raw = headed("I am away until Monday.", *more, Message_ID=message_id, Subject=subject)
        return read(raw, envelope(sender))

    first = answer("<o1@x.example>", "Automatic reply: Flat")
    again = answer("<o2@x.example>", "Automatic reply: Running late")
    assert chat(first) == "🔁 Automatic answer: I am away until Monday."
    assert first.memo[MEMO_AUTO] == REPLIED
    assert first.dedupe == again.dedupe
    assert first.subject == ""


def test_case_15_what_a_person_wrote_is_no_automatic_answer() -> None:
    for raw in (
        headed("Hi", Subject="Out of office next week?"),
        headed("Hi", "Auto-Submitted: no", "X-Auto-Response-Suppress: DR, OOF"),
    ):
        assert MEMO_AUTO not in read(raw).memo


def test_case_17_the_same_mail_twice_is_one_and_a_reused_id_is_two() -> None:
    raw = headed("Hello", Date="Fri, 21 Nov 2025 09:00:00 +0100").replace("\n", "\r\n").encode()
    by_imap = b"Delivered-To: mira@chat.example.org\r\nX-Gmail-Labels: Inbox\r\n" + raw
    other = raw.replace(b"Hello", b"Another")
    assert read(raw).dedupe == read(by_imap).dedupe != read(other).dedupe


def test_case_18_rewritten_ids_still_find_their_thread() -> None:
    spelled = tokens.address(KEY, MIRA, OURS)
    by_token = read(
        headed("Yes", "In-Reply-To: <0100-rewritten@ses.example>"),
        envelope("alice@example.com", **{f"rcpt:{MIRA}": spelled}),
    )
    assert by_token.references == ("<0100-rewritten@ses.example>", OUR_ID)
    by_microsoft = read(headed("Yes", f"X-Microsoft-Original-Message-ID: {OUR_ID}"))
    assert by_microsoft.references == (OUR_ID,)
    assert read(headed("Yes", f"References: <a@x> {OUR_ID}")).references == ("<a@x>", OUR_ID)


def test_case_18_a_guessed_token_selects_nothing() -> None:
    for spelled in (
        f"mira+{'a' * 34}@chat.example.org",
        tokens.address(b"z" * 32, MIRA, OURS),
        tokens.address(KEY, "bob@chat.example.org", OURS).replace("bob+", "mira+"),
        "mira+work@chat.example.org",
    ):
        assert read(headed("Yes"), envelope("eve@x.example", **{f"rcpt:{MIRA}": spelled})).references == ()


RELAY = {BELIEVE: "mx.example.org"}
UNPROVEN = "alice=example.com@unverified.invalid"


def believed(raw: str) -> Incoming:
    return read(raw, envelope("alice@example.com", **RELAY))


def results(text: str) -> str:
    return f"Authentication-Results: mx.example.org; {text}"


def test_case_19_what_fails_dmarc_is_not_shown_as_the_contact() -> None:
    found = believed(headed("Pay me", results("dmarc=fail (p=none) header.from=example.com")))
    assert found.sender.canonical == UNPROVEN
    assert found.lead.startswith("⚠ Not verified: this may not be from Alice Ray <alice@example.com>")


def test_case_19_forged_results_of_others_change_nothing() -> None:
    raw = headed(
        "Pay me",
        "Authentication-Results: mx.evil.example; dmarc=pass header.from=example.com",
        results("dmarc=fail header.from=example.com"),
        results("dmarc=pass header.from=example.com"),
    )
    assert believed(raw).sender.canonical == UNPROVEN


@pytest.mark.parametrize(
    "froms",
    [
        "From: alice@example.com\nFrom: evil@x.example",
        "From: alice@example.com, evil@x.example",
        "From: alice@example.com <evil@x.example>",
    ],
)
def test_case_19_a_mail_of_two_authors_is_not_shown_as_either(froms: str) -> None:
    found = believed(f"{froms}\n{results('dmarc=pass header.from=x.example')}\n\nPay me")
    assert found.sender.canonical == UNPROVEN
    assert "more than one author" in found.lead


def test_case_19_a_name_that_is_somebody_elses_address_is_not_shown_as_the_name() -> None:
    found = read(headed("Pay me", author='"boss@bank.example" <evil@x.example>'))
    assert (found.sender.canonical, found.sender_name) == ("evil@x.example", "")
    assert found.lead == "⚠ The name says boss@bank.example, but this came from evil@x.example.\n"
    fine = read(headed("Hi", author='"alice@example.com" <alice.ray@mail.example.com>'))
    assert fine.lead == ""


def test_case_19_a_list_that_vouches_for_itself_is_not_blamed_for_its_authors() -> None:
    lines = ["List-Id: <users.lists.x.example>", "List-Post: <mailto:users@lists.x.example>"]
    failed = "dmarc=fail header.from=example.com"
    honest = believed(headed("Hi", results(f"dkim=pass header.d=lists.x.example; {failed}"), *lines))
    assert honest.sender.canonical == "users@lists.x.example"
    forged = believed(headed("Hi", results(failed), *lines))
    assert forged.sender.canonical == UNPROVEN
