"""Whether a mail is from whom it says: SPF, DKIM, DMARC with a dictionary for DNS, and what an MX wrote."""

import asyncio
import base64
import time
from dataclasses import dataclass, field
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from adapters.email import auth_results, authenticity, headers
from adapters.email.authenticity import Outcome, Verdict
from adapters.email.checking import Checker
from adapters.email.parse import MailParser
from adapters.email.resolving import Unresolved
from adapters.email.smtp_in import Door, Handler
from adapters.email.verifying import Arrival, verify
from bridge.model import Envelope, Incoming
from tests.adapters.contract import MemoryInbox

MIRA = "mira@chat.example.org"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()


@dataclass
class Dns:
    """A resolver of a dictionary. Names in `broken` do not answer."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    def __call__(self, name: str, kind: str) -> list[str]:
        self.asked.append(name)
        if name in self.broken:
            raise Unresolved(name)
        return self.records.get((name, kind), [])


def zone(**changes: Any) -> Dns:
    records = {
        ("example.com", "TXT"): ["v=spf1 ip4:192.0.2.0/24 mx include:spf.mailer.example -all"],
        ("example.com", "MX"): ["10 mx.example.com"],
        ("mx.example.com", "A"): ["198.51.100.7"],
        ("spf.mailer.example", "TXT"): ["v=spf1 ip4:203.0.113.5 ~all"],
        ("mailer.example", "TXT"): ["v=spf1 ip4:203.0.113.5 -all"],
        ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; adkim=r"],
        ("s1._domainkey.example.com", "TXT"): [f"v=DKIM1; k=rsa; p={PUBLIC}"],
        ("s1._domainkey.mail.example.com", "TXT"): [f"v=DKIM1; k=rsa; p={PUBLIC}"],
        ("s1._domainkey.mailer.example", "TXT"): [f"v=DKIM1; k=rsa; p={PUBLIC}"],
        ("old.example", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"],
    }
    return Dns(records, **changes)


def mail(author: str = "alice@example.com", *more: str) -> bytes:
    lines = [f"From: Alice <{author}>", "To: mira@chat.example.org", "Subject: Hi", *more, "", "Hello", ""]
    return "\r\n".join(lines).encode()


def signed(raw: bytes, domain: str = "example.com", **options: Any) -> bytes:
    signature: bytes = dkim.sign(
        raw, b"s1", domain.encode(), PRIVATE, include_headers=[b"from", b"to", b"subject"], **options
    )
    return signature + raw


def check(raw: bytes, *, peer: str = "198.51.100.99", sender: str = "", dns: Dns | None = None) -> Verdict:
    return verify(raw, headers.read(raw), Arrival(peer, "mx.sender.example", sender), dns or zone())


@pytest.mark.parametrize(
    ("peer", "sender", "outcome"),
    [
        ("192.0.2.1", "alice@example.com", Outcome.PASS),
        ("198.51.100.7", "alice@example.com", Outcome.PASS),  # its MX
        ("203.0.113.5", "alice@example.com", Outcome.PASS),  # included
        ("198.51.100.99", "alice@example.com", Outcome.FAIL),
        ("203.0.113.5", "bounce@mailer.example", Outcome.FAIL),  # SPF passes for another domain
        ("198.51.100.99", "", Outcome.FAIL),
    ],
)
def test_spf_counts_if_it_is_aligned(peer: str, sender: str, outcome: Outcome) -> None:
    assert check(mail(), peer=peer, sender=sender).outcome is outcome


@pytest.mark.parametrize(
    ("domain", "outcome"),
    [
        ("example.com", Outcome.PASS),
        ("mail.example.com", Outcome.PASS),  # relaxed alignment
        ("mailer.example", Outcome.FAIL),
    ],
)
def test_dkim_counts_if_it_is_aligned(domain: str, outcome: Outcome) -> None:
    verdict = check(signed(mail(), domain))
    assert verdict.outcome is outcome
    assert verdict.domains == (domain,)


def test_a_changed_mail_loses_its_signature() -> None:
    assert check(signed(mail()).replace(b"Hello", b"Pay me")).outcome is Outcome.FAIL


def test_a_signature_over_the_beginning_only_proves_nothing() -> None:
    assert check(signed(mail(), length=True)).outcome is Outcome.FAIL


def test_a_second_from_in_front_of_a_signed_one_proves_nothing() -> None:
    raw = b"From: Boss <boss@example.com>\r\n" + signed(mail("eve@mailer.example"), "mailer.example")
    assert check(raw).outcome is Outcome.FAIL


def test_a_domain_without_policy_is_believed_unless_spf_says_no() -> None:
    assert check(mail("bob@plain.example"), sender="bob@plain.example").outcome is Outcome.NONE
    assert check(mail("bob@old.example"), sender="bob@old.example").outcome is Outcome.FAIL
    assert check(mail("bob@old.example"), sender="bob@old.example", peer="192.0.2.9").outcome is Outcome.PASS


def test_name_servers_that_are_away_mean_later() -> None:
    assert check(mail(), dns=zone(broken=frozenset({"_dmarc.example.com"}))).outcome is Outcome.LATER
    raw = signed(mail())
    assert check(raw, dns=zone(broken=frozenset({"s1._domainkey.example.com"}))).outcome is Outcome.LATER


def test_a_strict_policy_wants_the_very_domain() -> None:
    dns = zone()
    dns.records["_dmarc.example.com", "TXT"] = ["v=DMARC1; p=none; adkim=s"]
    assert check(signed(mail(), "mail.example.com"), dns=dns).outcome is Outcome.FAIL


def test_a_policy_is_found_above_and_a_public_suffix_vouches_for_nobody() -> None:
    dns = zone()
    dns.records["_dmarc.bank.example", "TXT"] = ["v=DMARC1; p=none; psd=y"]
    dns.records["mine.bank.example", "TXT"] = ["v=spf1 ip4:192.0.2.0/24 -all"]
    forged = mail("boss@yours.bank.example")
    assert check(forged, peer="192.0.2.1", sender="x@mine.bank.example", dns=dns).outcome is Outcome.FAIL
    deep = mail("news@a.b.example.com")
    assert check(deep, peer="192.0.2.1", sender="x@example.com", dns=zone()).outcome is Outcome.PASS


HOSTILE = {
    "many signatures": mail(
        "alice@example.com",
        *["DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s1; h=from; bh=x; b=y"] * 500,
    ),
    "nonsense signature": mail("alice@example.com", "DKIM-Signature: " + "=;" * 50_000),
    "no author": b"Subject: x\r\n\r\nhi",
    "odd author": mail("@"),
    "many labels": mail("a@" + "x." * 120 + "example.com"),
    "nested comments": b"From: " + b"(" * 5000 + b"a@b.example\r\n\r\nhi",
    "binary": bytes(range(256)) * 200,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_check_never_raises_and_asks_little(name: str) -> None:
    dns = zone()
    began = time.perf_counter()
    assert check(HOSTILE[name], sender="a@" + "y." * 100 + "example", dns=dns).outcome in Outcome
    assert time.perf_counter() - began < 1.0
    assert len(dns.asked) < 60


def test_spf_that_calls_itself_ends() -> None:
    dns = zone()
    dns.records["loop.example", "TXT"] = ["v=spf1 include:loop.example include:loop.example -all"]
    assert check(mail("a@loop.example"), sender="a@loop.example", dns=dns).outcome is Outcome.NONE
    assert len(dns.asked) < 40


# --- what an MX found ---


def believed(*fields: str, author: str = "alice@example.com") -> Verdict:
    raw = "".join(f"Authentication-Results: {one}\r\n" for one in fields).encode() + mail(author)
    return authenticity.of(headers.read(raw), {authenticity.BELIEVE: "mx.example.org"})


@pytest.mark.parametrize(
    ("field", "outcome"),
    [
        ("mx.example.org; dmarc=pass (p=reject dis=none) header.from=example.com", Outcome.PASS),
        (
            "mx.example.org 1; spf=fail smtp.mailfrom=x@y.example; dmarc=fail header.from=example.com",
            Outcome.FAIL,
        ),
        ("MX.example.org; dkim=pass header.d=mail.example.com header.s=s1", Outcome.PASS),
        (
            "mx.example.org; dkim=pass header.i=@example.com; spf=softfail smtp.mailfrom=alice@example.com",
            Outcome.PASS,
        ),
        ("mx.example.org; dmarc=pass header.from=mailer.example", Outcome.FAIL),  # checked another author
        ("mx.example.org; spf=fail smtp.mailfrom=alice@example.com", Outcome.FAIL),
        ("mx.example.org; none", Outcome.NONE),
        ("elsewhere.example; dmarc=fail header.from=example.com", Outcome.NONE),
        (
            "mx.example.org; dmarc=bestguesspass action=none header.from=example.com;compauth=pass",
            Outcome.NONE,
        ),
        (
            'mx.example.org; spf=none smtp.mailfrom="a; dmarc=pass header.from=x.org"@y.org; dmarc=fail',
            Outcome.FAIL,
        ),
        (
            "mx.example.org (a; (nested; dmarc=pass)); dmarc=fail (x; dmarc=pass) header.from=example.com",
            Outcome.FAIL,
        ),
    ],
)
def test_what_an_mx_wrote(field: str, outcome: Outcome) -> None:
    assert believed(field).outcome is outcome


def test_only_the_topmost_result_of_our_mx_counts() -> None:
    honest = "mx.example.org; dmarc=fail header.from=example.com"
    forged = "mx.example.org; dmarc=pass header.from=example.com"
    assert believed("other.example; dmarc=pass", honest, forged).outcome is Outcome.FAIL


def test_nothing_is_believed_that_no_relay_brought() -> None:
    raw = b"Authentication-Results: mx.example.org; dmarc=fail\r\n" + mail()
    assert authenticity.of(headers.read(raw), {}).outcome is Outcome.NONE


def test_microsofts_own_way_does_not_raise() -> None:
    field = (
        "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=example.com; dkim=pass (signature was verified)"
        " header.d=example.com;dmarc=pass action=none header.from=example.com;compauth=pass reason=100"
    )
    assert auth_results.of([field], "mx.example.org") == []
    for broken in ("", ";;;", "(", '"', "x" * 100_000, "mx.example.org;" + "a=b;" * 10_000):
        auth_results.of([broken], "mx.example.org")


# --- at the door ---


@dataclass
class Session:
    peer: tuple[str, int]
    host_name: str = "mx.sender.example"


async def hand_over(
    raw: bytes, peer: str, *, sender: str = "alice@example.com", **door: Any
) -> tuple[str, MemoryInbox]:
    inbox = MemoryInbox({MIRA})
    gate = Door("here", ("chat.example.org",), verifies=True, **door)
    handler = Handler(inbox, gate, lambda: 1_763_700_000.0, Checker(zone))
    envelope: Any = type("E", (), {})()
    envelope.original_content, envelope.mail_from = raw, sender
    envelope.rcpt_tos, envelope.rcpt_options = [MIRA], []
    session: Any = Session((peer, 4711))
    return await handler.handle_DATA(None, session, envelope), inbox  # type: ignore[arg-type]


def shown(inbox: MemoryInbox) -> Incoming:
    ((raw, envelope),) = inbox.taken
    (found,) = MailParser(("chat.example.org",))(raw, envelope)
    assert isinstance(found, Incoming)
    return found


async def test_an_honest_mail_from_anywhere_is_taken_as_the_contact() -> None:
    answer, inbox = await hand_over(mail(), "192.0.2.1")
    assert answer.startswith("250 ")
    found = shown(inbox)
    assert (found.sender.canonical, found.lead) == ("alice@example.com", "")


async def test_a_forged_mail_is_marked_and_does_not_stand_in_the_contacts_chat() -> None:
    answer, inbox = await hand_over(mail(), "198.51.100.99")
    assert answer.startswith("250 ")
    found = shown(inbox)
    assert found.sender.canonical == "alice=example.com@unverified.invalid"
    assert found.lead == (
        "⚠ Not verified: this may not be from Alice <alice@example.com>: example.com does not vouch for it.\n"
    )
    assert found.sender_name == ""


async def test_a_forged_mail_is_refused_where_the_settings_say_so() -> None:
    answer, inbox = await hand_over(mail(), "198.51.100.99", refuses=True)
    assert answer.startswith("550 5.7.26 ")
    assert inbox.taken == []


async def test_a_relay_is_believed_and_never_refused() -> None:
    raw = b"Authentication-Results: mx.example.org; dmarc=fail header.from=example.com\r\n" + mail()
    answer, inbox = await hand_over(raw, "127.0.0.1", refuses=True, authserv_id="mx.example.org")
    assert answer.startswith("250 ")
    assert shown(inbox).lead.startswith("⚠ Not verified")


async def test_a_check_that_cannot_be_made_puts_the_mail_off() -> None:
    gate = Door("here", ("chat.example.org",), verifies=True)
    inbox = MemoryInbox({MIRA})
    broken = Checker(lambda: zone(broken=frozenset({"_dmarc.example.com"})))
    envelope: Any = type("E", (), {})()
    envelope.original_content, envelope.mail_from = mail(), "alice@example.com"
    envelope.rcpt_tos, envelope.rcpt_options = [MIRA], []
    session: Any = Session(("198.51.100.99", 1))
    answer = await Handler(inbox, gate, time.time, broken).handle_DATA(None, session, envelope)  # type: ignore[arg-type]
    assert answer.startswith("451 4.7.24 ")
    assert inbox.taken == []


async def test_many_checks_at_a_time_keep_the_loop_free() -> None:
    def slow() -> Dns:
        time.sleep(0.02)
        return zone()

    checker = Checker(slow)
    began = time.perf_counter()
    found = await asyncio.gather(*(checker(mail(), "192.0.2.1", "x", "alice@example.com") for _ in range(16)))
    assert {one.outcome for one in found} == {Outcome.PASS}
    assert time.perf_counter() - began < 2.0


def test_an_envelope_keeps_its_verdict() -> None:
    verdict = Verdict(Outcome.FAIL, "example.com does not vouch for it", ("mailer.example",))
    kept = Envelope("here", "", (MIRA,), 0.0, headers={authenticity.VERDICT: authenticity.pack(verdict)})
    assert authenticity.of(headers.read(b""), kept.headers) == verdict
