"""DKIM signatures under our mails (RFC 6376). Takes 5 ms with a 2048-bit key: for a thread."""

import re
from dataclasses import dataclass, field, replace

import dkim

from adapters.email.compose import Mail

# What readers see and programs go by, in this order; From twice, so that nobody puts a second one before it.
_SIGNED = (
    *("from", "from", "to", "cc", "reply-to", "subject", "date", "message-id", "in-reply-to", "references"),
    *("auto-submitted", "mime-version", "content-type", "content-transfer-encoding", "content-disposition"),
)
_NAME = re.compile(rb"(?m)^([A-Za-z-]+):")


@dataclass(frozen=True, slots=True)
class Signer:
    """The key of one domain."""

    domain: str
    selector: str
    key: str = field(repr=False)  # PEM, RSA

    def signs(self, address: str) -> bool:
        """Whether the domain vouches for this author: it is theirs, or stands above it."""
        host = address.rpartition("@")[2]
        return host == self.domain or host.endswith(f".{self.domain}")

    def signed(self, mail: Mail) -> Mail:
        """The mail with its signature on top."""
        head = mail.raw.partition(b"\r\n\r\n")[0]
        there = {name.lower() for name in _NAME.findall(head)}
        signature = dkim.sign(
            mail.raw,
            self.selector.encode("ascii"),
            self.domain.encode("ascii"),
            self.key.encode("ascii"),
            # relaxed: hops fold and space headers anew
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[one.encode("ascii") for one in _SIGNED if one.encode("ascii") in there],
        )
        return replace(mail, raw=signature + mail.raw)
