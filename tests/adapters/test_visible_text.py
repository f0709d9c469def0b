"""What is seen of a mail: old mail goes, what was written stays, whatever program wrote it."""

import re

import pytest

from adapters.email.visible_text import from_mail, read_mail
from tests.adapters.visible_text_mails import MAILS
from tests.adapters.visible_text_samples import ADVERTS, ANSWER, ATTRIBUTIONS, BLOCKS, FORWARDS, HTML, PROSE

QUOTED = "> Old words here\n> and more\n"
UNQUOTED = "Old words here\nand more\n"


def mail(body: str, *, subject: str = "Re: Flat viewing", kind: str = "text/plain") -> bytes:
    return (
        f"From: Tom <tom@hill.example>\nSubject: {subject}\nContent-Type: {kind}; charset=utf-8\n\n{body}"
    ).encode()


def ids(samples: tuple[tuple[str, ...], ...]) -> list[str]:
    return [sample[0] for sample in samples]


@pytest.mark.parametrize(("program", "words"), ATTRIBUTIONS, ids=ids(ATTRIBUTIONS))
class TestAnAttribution:
    def test_hides_the_quote_below_it(self, program: str, words: str) -> None:
        assert from_mail(mail(f"{ANSWER}\n\n{words}\n\n{QUOTED}")) == ANSWER

    def test_may_stand_right_below_the_text(self, program: str, words: str) -> None:
        assert from_mail(mail(f"{ANSWER}\n{words}\n{QUOTED}")) == ANSWER

    def test_hides_an_old_mail_without_quote_marks(self, program: str, words: str) -> None:
        assert from_mail(mail(f"{ANSWER}\n\n{words}\n\n{UNQUOTED}")) == ANSWER

    def test_leaves_the_answer_below_the_quote(self, program: str, words: str) -> None:
        assert from_mail(mail(f"{words}\n{QUOTED}\n{ANSWER}\n")) == ANSWER

    def test_may_stand_inside_the_quote(self, program: str, words: str) -> None:
        inside = "\n".join(f"> {line}" for line in words.split("\n"))
        assert from_mail(mail(f"{ANSWER}\n\n{inside}\n> \n{QUOTED}")) == ANSWER

    def test_keeps_answers_between_quotes_in_order(self, program: str, words: str) -> None:
        body = f"{words}\n> Is it free?\n\nYes.\n\n> When?\n\nAt ten.\n"
        assert from_mail(mail(body)) == "> Is it free?\n\nYes.\n\n> When?\n\nAt ten."


@pytest.mark.parametrize(("program", "words"), BLOCKS, ids=ids(BLOCKS))
def test_a_header_block_hides_the_mail_below_it(program: str, words: str) -> None:
    assert from_mail(mail(f"{ANSWER}\n\n{words}\n\n{UNQUOTED}")) == ANSWER


@pytest.mark.parametrize("words", ADVERTS)
def test_an_advert_at_the_end_is_left_out(words: str) -> None:
    assert from_mail(mail(f"{ANSWER}\n\n{words}\n")) == ANSWER


@pytest.mark.parametrize("words", FORWARDS)
def test_a_forward_stays_whole(words: str) -> None:
    body = (
        f"See below.\n\n{words}\nFrom: Jana <jana@berg.example>\nDate: Thu, 8 Dec 2022 20:45\nSubject: Flat\n"
        "To: Tom\n\nOld words.\n\nOn Wed, 7 Dec 2022 at 10:00, Al <al@x.example> wrote:\n> older"
    )
    assert from_mail(mail(body, subject="Fwd: Flat")) == body
    assert not read_mail(mail(body, subject="Fwd: Flat")).cut


@pytest.mark.parametrize("body", PROSE)
@pytest.mark.parametrize("subject", ["Re: Flat viewing", "Flat viewing"])
def test_prose_and_code_stay_word_for_word(body: str, subject: str) -> None:
    assert from_mail(mail(body, subject=subject)) == re.sub(r"\n\n+", "\n\n", body).strip()


@pytest.mark.parametrize(("case", "html", "seen"), HTML, ids=ids(HTML))
def test_html_reads_like_chat(case: str, html: str, seen: str) -> None:
    assert from_mail(mail(html, kind="text/html")) == seen


def test_an_outlook_forward_is_told_by_its_subject() -> None:
    body = f"Please look.\n\n{BLOCKS[0][1]}\n\n{UNQUOTED}"
    assert from_mail(mail(body, subject="FW: Flat")).endswith("Old words here\nand more")
    assert from_mail(mail(body, subject="RE: FW: Flat")) == "Please look."


def test_an_apple_forward_loses_its_quote_marks_only() -> None:
    body = (
        "Look.\n\n> Begin forwarded message:\n> \n> From: Jana <j@x.example>\n> Subject: Flat\n"
        "> \n> Old words.\n"
    )
    seen = "Look.\n\nBegin forwarded message:\n\nFrom: Jana <j@x.example>\nSubject: Flat\n\nOld words."
    assert from_mail(mail(body, subject="Fwd: Flat")) == seen


@pytest.mark.parametrize(
    "body",
    [
        "Sent from my iPhone",
        "-- \nJana Berg",
        "> only a quote\n> of two lines",
        "On Thu, Dec 8, 2022 at 8:45 PM Jana <jana@berg.example> wrote:\n\n> Old words",
        "Von: Jana <jana@berg.example>\nGesendet: heute\nAn: Tom\nBetreff: x\n\nOld words",
        "-----",
    ],
)
def test_a_mail_of_nothing_else_is_shown_whole(body: str) -> None:
    reading = read_mail(mail(body))
    assert reading.text == body
    assert not reading.cut


def test_an_empty_mail_has_no_text() -> None:
    assert from_mail(mail("")) == ""
    assert from_mail(b"") == ""


def test_the_reading_says_whether_something_was_left_out() -> None:
    assert read_mail(mail(f"{ANSWER}\n\nOn 8 Dec 2022, at 20:45, Jana wrote:\n{QUOTED}")).cut
    assert not read_mail(mail(ANSWER)).cut


@pytest.mark.parametrize(
    "below",
    [
        "-- \nTom Hill\nHill Ltd\n+49 30 5550199",
        "--\nTom Hill",
        "____________________\nkeys mailing list\nkeys@lists.example\nhttps://lists.example/listinfo/keys",
        "-- \nYou received this message because you are subscribed to the group keys.",
        "To unsubscribe from this list send a mail to keys-leave@lists.example",
        "****\n-----\n_____",
        "Von meinem iPhone gesendet\n\n-- \nTom",
    ],
)
def test_signatures_and_footers_are_left_out(below: str) -> None:
    assert from_mail(mail(f"{ANSWER}\n\n{below}\n")) == ANSWER


def test_a_signature_above_the_quote_is_left_out() -> None:
    body = f"{ANSWER}\n\n-- \nTom Hill\n\nAm 08.12.2022 um 20:45 schrieb Jana <jana@berg.example>:\n{QUOTED}"
    assert from_mail(mail(body)) == ANSWER


def test_a_quote_whose_lines_were_broken_is_still_one_quote() -> None:
    long = "> the whole of the upper hill is to be had from the first of the month on at\n"
    body = f"{ANSWER}\n\nOn 8 Dec 2022, at 20:45, Jana wrote:\n> Hello\n{long}least\n> and the lower\n"
    assert from_mail(mail(body)) == ANSWER


def test_initials_are_quote_marks_below_an_attribution() -> None:
    body = "On 8 Dec 2022 at 20:45, Jana Berg wrote:\n\nJana> Is it free?\nJana> And when?\n\nYes, at ten.\n"
    assert from_mail(mail(body)) == "Yes, at ten."


def test_a_citation_at_the_end_stays_where_the_sender_announces_it() -> None:
    body = "Think of what he said:\n\n> Be kind."
    assert from_mail(mail(body)) == body


def test_text_and_quote_without_attribution_stay_together() -> None:
    body = "> Is it free?\n\nYes, from May on."
    assert from_mail(mail(body)) == body


def test_at_most_one_empty_line_stands_between_paragraphs_but_code_keeps_its_own() -> None:
    assert from_mail(mail("one\n\n\n\ntwo\n\n```\na\n\n\nb\n```")) == "one\n\ntwo\n\n```\na\n\n\nb\n```"


def test_a_text_signed_in_place_is_read_without_its_armor() -> None:
    body = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nHello Tom,\n- -- two dashes\n"
        "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEBCgAdFiEE\n=abcd\n-----END PGP SIGNATURE-----\n"
    )
    assert from_mail(mail(body)) == "Hello Tom,\n-- two dashes"


@pytest.mark.parametrize(
    ("subject", "kind", "body", "seen"), [one[1:] for one in MAILS], ids=[one[0] for one in MAILS]
)
def test_a_whole_mail_shows_what_is_new(subject: str, kind: str, body: str, seen: str) -> None:
    assert from_mail(mail(body, kind=f"text/{kind}", subject=subject)) == seen
