"""Case 16 of EMAIL.md: bounces and delays."""

from adapters.email import tokens
from bridge.model import Outcome
from tests.adapters.email_cases import (
    KEY,
    MIRA,
    OUR_ID,
    OURS,
    envelope,
    headed,
    read,
    reported,
)

DSN = f"""From: MAILER-DAEMON@mx.example.net
Subject: Undelivered Mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type={{kind}}; boundary="b"

--b
Content-Type: text/plain

Sorry.
--b
Content-Type: message/{{kind}}

Reporting-MTA: dns; mx.example.net

{{fields}}
--b
Content-Type: {{original}}

From: {MIRA}
Message-ID: {OUR_ID}
Subject: Running late
--b--
"""


def test_case_16_a_report_names_each_recipient_failed_and_delayed() -> None:
    fields = (
        "Final-Recipient: rfc822; nobody@web.de\nAction: failed\nStatus: 5.1.1\n"
        "Diagnostic-Code: smtp; 550 5.1.1 unknown\n\n"
        "Final-Recipient: rfc822; full@web.de\nAction: delayed (4 hours)\nStatus: 4.2.2\n\n"
        "Original-Recipient: rfc822;Tom@x.example\nFinal-Recipient: rfc822; t@y.example\n"
        "Action: delivered\nStatus: 2.0.0"
    )
    raw = DSN.format(kind="delivery-status", fields=fields, original="text/rfc822-headers")
    found = reported(raw)
    assert [(one.remote_id, one.recipient, one.outcome) for one in found] == [
        (OUR_ID, "nobody@web.de", Outcome.FAILED),
        (OUR_ID, "full@web.de", Outcome.DELAYED),
        (OUR_ID, "tom@x.example", Outcome.DELIVERED),
    ]
    assert found[0].reason == "nobody@web.de does not exist there. Check the spelling. (550 5.1.1)"


def test_case_16_an_internationalised_report_is_read() -> None:
    fields = "Final-Recipient: utf-8; j\\x{FC}rgen@例え.jp\nAction: failed\nStatus: 5.1.1"
    raw = DSN.format(kind="global-delivery-status", fields=fields, original="message/global-headers")
    assert [(one.recipient, one.outcome) for one in reported(raw)] == [
        ("jürgen@xn--r8jz45g.jp", Outcome.FAILED)
    ]


def test_case_16_a_report_without_the_mail_is_placed_by_its_token() -> None:
    spelled = tokens.address(KEY, MIRA, OURS)
    raw = DSN.format(
        kind="delivery-status",
        fields="Final-Recipient: rfc822; nobody@web.de\nAction: failed\nStatus: 5.1.1",
        original="text/plain",
    )
    (found,) = reported(raw, envelope("", **{f"rcpt:{MIRA}": spelled}))
    assert found.remote_id == OUR_ID


QMAIL = f"""From: MAILER-DAEMON@mail.example.net
To: {MIRA}
Subject: failure notice

Hi. This is the qmail-send program at mail.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<landlrod@web.de>:
192.0.2.33 does not like recipient.
Remote host said: 550 5.1.1 no such user
Giving up on 192.0.2.33.

--- Below this line is a copy of the message.

Return-Path: <{MIRA}>
Message-ID: {OUR_ID}
From: {MIRA}
"""


def test_case_16_a_bounce_in_free_text_is_read() -> None:
    (found,) = reported(QMAIL)
    assert (found.remote_id, found.recipient, found.outcome) == (OUR_ID, "landlrod@web.de", Outcome.FAILED)
    assert found.reason == "landlrod@web.de does not exist there. Check the spelling. (550 5.1.1)"


def test_case_16_what_names_its_recipient_in_a_header_is_read() -> None:
    raw = headed(
        "Address not found\n\nYour message wasn't delivered to nobody@gmail.example because the address "
        "couldn't be found.\n\nThe response was:\n\n"
        "550 5.1.1 The email account that you tried to reach does not exist.\n",
        "X-Failed-Recipients: nobody@gmail.example",
        f"In-Reply-To: {OUR_ID}",
        author="Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
        Subject="Delivery Status Notification (Failure)",
    )
    (found,) = reported(raw)
    assert (found.recipient, found.remote_id, found.code) == ("nobody@gmail.example", OUR_ID, "550 5.1.1")


def test_case_16_a_report_on_an_unknown_mail_is_shown() -> None:
    found = read(QMAIL.replace(OURS, "not-ours"), envelope(""))
    assert "landlrod@web.de" in found.body
    (known,) = reported(QMAIL)
    assert "landlrod@web.de" in known.otherwise[0].body  # if the record does not know it any more


def test_case_16_a_read_receipt_is_no_chatter() -> None:
    fields = f"""Final-Recipient: rfc822; alice@example.com
Original-Message-ID: {OUR_ID}
Disposition: manual-action/MDN-sent-manually; displayed"""
    mail = DSN.format(kind="disposition-notification", original="text/rfc822-headers", fields=fields)
    mail = mail.replace("Reporting-MTA: dns; mx.example.net\n\n", "")
    (report,) = reported(mail)
    assert (report.outcome, report.remote_id, report.recipient) == (
        Outcome.DELIVERED,
        OUR_ID,
        "alice@example.com",
    )
