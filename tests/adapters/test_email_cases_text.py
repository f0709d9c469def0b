"""Cases 1 to 9 of EMAIL.md: the text of a mail. The mails are written as real programs send them."""

from email.message import EmailMessage

import pytest

from adapters.email.authenticity import VERDICT, Outcome, Verdict, pack
from bridge.i18n import tr, translate
from bridge.model import Reaction
from tests.adapters.email_cases import (
    OUR_ID,
    chat,
    envelope,
    headed,
    html,
    read,
)


@pytest.mark.parametrize(
    "attribution",
    [
        "On Fri, Nov 21, 2025 at 9:14 AM Mira Berg via Chat\n<mira@chat.example.org> wrote:",
        "Am Fr., 21. Nov. 2025 um 09:14 Uhr schrieb Mira Berg <\nmira@chat.example.org>:",
        "Le ven. 21 nov. 2025 à 09:14, Mira Berg <mira@chat.example.org> a\nécrit :",
        "El vie, 21 nov 2025 a las 9:14, Mira Berg (<mira@chat.example.org>)\nescribió:",
        "Op vr 21 nov 2025 om 09:14 schreef Mira Berg <mira@chat.example.org>:",
        "Il giorno ven 21 nov 2025 alle ore 09:14 Mira Berg <\nmira@chat.example.org> ha scritto:",
        "21 нояб. 2025 г., в 09:14, Mira Berg <mira@chat.example.org> написал(а):",
        "2025年11月21日(金) 9:14 Mira Berg <mira@chat.example.org>:",
    ],
)
def test_case_01_a_reply_shows_its_new_text_and_is_linked_to_its_parent(attribution: str) -> None:
    found = read(
        headed(
            f"Thursday works for me.\n\n{attribution}\n\n> Could we meet on Thursday?\n> Mira\n",
            f"In-Reply-To: {OUR_ID}",
            f"References: <old@example.com> {OUR_ID}",
            "Content-Type: text/plain; charset=utf-8",
            Subject="Re: Flat",
        )
    )
    assert chat(found) == "Thursday works for me."
    assert found.references[-1] == OUR_ID
    assert found.subject == "Flat"
    assert found.keep_raw


def test_case_02_an_outlook_reply_in_html_shows_its_new_text() -> None:
    found = read(
        html(
            '<div class="WordSection1"><p class="MsoNormal">Half past four, then.<o:p></o:p></p></div>'
            '<div id="appendonsend"></div><hr style="display:inline-block;width:98%" tabindex="-1">'
            '<div id="divRplyFwdMsg" dir="ltr"><b>From:</b> Mira Berg &lt;mira@chat.example.org&gt;<br>'
            "<b>Sent:</b> Friday, November 21, 2025 9:14 AM<br><b>To:</b> Alice Ray<br>"
            "<b>Subject:</b> Flat</div><div>Could we meet on Thursday?</div>",
            f"In-Reply-To: {OUR_ID}",
        )
    )
    assert chat(found) == "Half past four, then."


def test_case_03_interleaved_answers_keep_quotes_and_order() -> None:
    found = read(
        headed(
            "On Fri, Nov 21, 2025 Mira wrote:\n> Is Thursday fine?\n\nYes, after four.\n\n"
            "> And who brings the keys?\n\nMy sister does.\n",
            f"In-Reply-To: {OUR_ID}",
        )
    )
    places = [found.body.index(words) for words in ("Is Thursday", "after four", "keys?", "My sister")]
    assert places == sorted(places)


def test_case_04_an_answer_below_the_quote_is_the_answer() -> None:
    found = read(
        headed(
            "On Fri, Nov 21, 2025 at 9:14 AM Mira <mira@chat.example.org> wrote:\n> Is Thursday fine?\n\n"
            "Yes, it is.\n",
            f"In-Reply-To: {OUR_ID}",
        )
    )
    assert chat(found) == "Yes, it is."


def test_case_05_a_forward_keeps_the_comment_and_all_of_what_is_forwarded() -> None:
    inline = read(
        headed(
            "What do you think?\n\n---------- Forwarded message ---------\nFrom: Tom <tom@x.example>\n"
            "Date: Thu, 20 Nov 2025\nSubject: Offer\nTo: Alice\n\nThe flat is 900 a month.\n\nTom\n",
            Subject="Fwd: Offer",
        )
    )
    for words in ("What do you think?", "tom@x.example", "900 a month"):
        assert words in inline.body
    made = EmailMessage()
    made["From"], made["Subject"] = "alice@example.com", "Fwd: Offer"
    made.set_content("See below.\n")
    inner = EmailMessage()
    inner["From"], inner["Subject"] = "Tom <tom@x.example>", "Offer / flat"
    inner.set_content("The flat is 900 a month.\n")
    made.add_attachment(inner)
    attached = read(made.as_bytes())
    for words in ("See below.", "tom@x.example", "900 a month"):
        assert words in attached.body
    (file,) = attached.files
    assert (file.name, file.media_type) == ("Offer - flat.eml", "message/rfc822")
    assert b"The flat is 900 a month." in file.data


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("", "Flat"),
        ("\n \n", "Flat"),
        ("-- \nAlice Ray\nRay & Sons Ltd\n", "Alice Ray"),
        ("On Fri, Nov 21, 2025 Mira wrote:\n> Is Thursday fine?\n", "Is Thursday fine?"),
    ],
)
def test_case_06_an_empty_mail_is_never_an_empty_message(body: str, shown: str) -> None:
    assert shown in read(headed(body)).body


def test_case_07_code_patches_and_tables_are_left_alone() -> None:
    body = (
        "Try this:\n\n--- a/main.py\n+++ b/main.py\n@@ -1 +1 @@\n-print(1)\n+print(2)\n\n# rebuild\n"
        "--force is needed.\nOn Linux it wrote nothing.\nName    | Rent\n--------|-----\nFlat 1  | 900\n\nBye"
    )
    assert read(headed(body)).body == body


def test_case_07_code_in_html_keeps_its_indents_down_to_the_last_line() -> None:
    found = read(html("<p>Try:</p><pre><code>if x:\n    y\n        z</code></pre>"))
    assert found.body == "Try:\n\nif x:\n    y\n        z"


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        ("big5", "Grüße aus Köln – schön!".encode()),
        ("us-ascii", "Grüße aus Köln – schön!".encode("cp1252")),
        ("unicode-1-1-utf-7", "Grüße aus Köln – schön!".encode("utf-7")),
        ("x-nobody-knows", "Grüße aus Köln – schön!".encode()),
        ("utf-8", b"Gr\xc3\xbc\xc3\x9fe\0 aus \x08K\xc3\xb6ln \xe2\x80\x93 sch\xc3\xb6n!\x1b"),
    ],
)
def test_case_08_charsets_lie_and_the_text_is_readable(charset: str, body: bytes) -> None:
    raw = b"From: J\xfcrgen <j@example.com>\r\nSubject: Gr\xfc\xdfe\r\nContent-Type: text/plain; charset="
    found = read(raw + charset.encode() + b"\r\n\r\n" + body)
    assert found.body == "Grüße aus Köln – schön!"
    assert (found.sender_name, found.subject) == ("Jürgen", "Grüße")


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-8", "x-nobody-knows"])
def test_case_08_a_last_letter_that_looks_like_half_a_character_is_kept(charset: str) -> None:
    raw = headed(
        "caf\xe9",
        f"Content-Type: text/plain; charset={charset}",
        author="=?iso-8859-1?Q?Andr=E9?= <a@x.example>",
    )
    found = read(raw.replace("\n", "\r\n").encode("latin-1"))
    assert (found.sender_name, found.body) == ("André", "café")


def test_case_09_flowed_text_becomes_paragraphs_and_quotes_are_seen() -> None:
    found = read(
        headed(
            "This is one \nparagraph, soft \nbroken.\n\nLöss\u00a0oss \nelle.\n\nOn 21/11/25, Mira wrote:\n"
            "> Is it \n> so?\n",
            "Content-Type: text/plain; charset=utf-8; format=flowed",
            f"In-Reply-To: {OUR_ID}",
        )
    )
    assert found.body.replace("\u00a0", " ") == "This is one paragraph, soft broken.\n\nLöss oss elle."
    delsp = read(headed("日本 \n語です", "Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes"))
    assert delsp.body == "日本語です"


def test_what_we_say_ourselves_about_a_mail_is_in_its_readers_language() -> None:
    automatic = read(headed("Back on Monday.", "Auto-Submitted: auto-replied"))
    assert translate(automatic.lead, "de") + automatic.body == "🔁 Automatische Antwort: Back on Monday."
    why = Verdict(Outcome.FAIL, tr("{domain} does not vouch for it", domain="example.com"))
    forged = read(headed("Pay {me}"), envelope(**{VERDICT: pack(why)}))
    assert translate(forged.lead, "de") == (
        "⚠ Nicht geprüft: Das ist vielleicht nicht von Alice Ray <alice@example.com>: "
        "example.com bürgt nicht dafür.\n"
    )
    assert forged.body == "Pay {me}"


def test_text_that_is_encrypted_in_place_becomes_a_file() -> None:
    armour = "-----BEGIN PGP MESSAGE-----\n\nhQEMA7/x\n=abcd\n-----END PGP MESSAGE-----"
    found = read(headed(f"For you:\n\n{armour}\n"))
    assert found.body == (
        "For you:\n🔒 This mail is encrypted, and can be read in a mail program that has your key only."
    )
    assert [(file.name, file.data.split()[-3]) for file in found.files] == [("encrypted.asc", b"-----END")]
    assert not read(headed(f"Look:\n> {armour}")).files


def test_a_reaction_of_a_mail_program_is_one() -> None:
    emoji = ("Content-Type: text/plain; charset=utf-8", "Content-Disposition: reaction")
    found = read(headed("👍\n", *emoji, In_Reply_To="<m@here.example>"))
    assert (found.body, found.reaction) == ("👍", Reaction("👍", "", remote_id="<m@here.example>"))
    assert read(headed("👍\n", *emoji)).reaction is None
    assert read(headed("👍\n", emoji[0], In_Reply_To="<m@here.example>")).reaction is None
    assert read(headed("See you\n", *emoji, In_Reply_To="<m@here.example>")).body == "See you"
