"""Whether a mail comes from whom it says: what the checks found → one verdict on its author.

`verdict` decides alone, from what SPF, DKIM and DMARC said, whoever asked them: we ourselves
(`adapters.email.verifying`) or the MX before us, by the Authentication-Results that it wrote.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from adapters.email import auth_results
from adapters.email.headers import Head
from bridge.i18n import Phrase, filled, tr

VERDICT = "auth"  # in Envelope.headers: what a check of ours found
BELIEVE = "authserv-id"  # in Envelope.headers: whose Authentication-Results may be believed


class Outcome(StrEnum):
    PASS = "pass"  # the author's domain vouches for it
    NONE = "none"  # nobody can tell, and the domain asks for no check
    FAIL = "fail"  # the author's domain would have vouched for it, and does not
    LATER = "later"  # could not be checked now


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks say of a mail. `domains` are those that proved to have handed it over."""

    outcome: Outcome
    why: str = ""  # a clause for a user
    domains: tuple[str, ...] = ()

    def vouched_by(self, domain: str) -> bool:
        """Whether a domain, or one above or below it, proved to have sent it (relaxed alignment)."""
        return any(related(one, domain) for one in self.domains)


UNCHECKED = Verdict(Outcome.NONE)


def related(one: str, other: str) -> bool:
    """Whether two domains are the same or one stands below the other. A single label is nobody's."""
    if one.count(".") < 1 or other.count(".") < 1:
        return False
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def pack(verdict: Verdict) -> str:
    """A verdict as the envelope keeps it."""
    why = verdict.why
    said = (why.source, why.values) if isinstance(why, Phrase) else (why, {})
    return json.dumps([verdict.outcome, said[0], verdict.domains, said[1]])


def of(head: Head, told: Mapping[str, str]) -> Verdict:
    """The verdict on a mail with this head, by what its envelope carries."""
    if VERDICT in told:
        outcome, why, domains, *values = json.loads(told[VERDICT])
        said = filled(why, **values[0]) if values and why else why
        return Verdict(Outcome(outcome), said, tuple(domains))
    if told.get(BELIEVE):
        return _believed(head, auth_results.of(head.every("authentication-results"), told[BELIEVE]))
    return UNCHECKED


def _believed(head: Head, results: Sequence[auth_results.Result]) -> Verdict:
    domains = tuple(
        dict.fromkeys(
            domain
            for one in results
            if one.result == "pass" and one.method in ("spf", "dkim")
            for domain in [one.domain("header.d") or one.domain("header.i") or one.domain("smtp.mailfrom")]
            if domain
        )
    )
    author = head.author()[1].rpartition("@")[2].lower().rstrip(".")
    dmarc = [one for one in results if one.method == "dmarc"]
    if any(one.result == "fail" for one in dmarc):
        return Verdict(Outcome.FAIL, tr("{domain} does not vouch for it", domain=author), domains)
    if any(one.result == "pass" for one in dmarc):
        checked = {one.domain("header.from") for one in dmarc} - {""}
        if checked and not any(related(one, author) for one in checked):
            other = tr("what was checked is another sender than the one it names")
            return Verdict(Outcome.FAIL, other, domains)
        return Verdict(Outcome.PASS, domains=domains)
    if any(related(one, author) for one in domains):
        return Verdict(Outcome.PASS, domains=domains)
    if not dmarc and any(one.method == "spf" and one.result in ("fail", "hardfail") for one in results):
        stranger = tr("it came from a server that may not send for that domain")
        return Verdict(Outcome.FAIL, stranger, domains)
    return Verdict(Outcome.NONE, domains=domains)
