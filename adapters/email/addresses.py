"""Mail addresses as values: how they are compared, and which ones a user may be given.

Knows nothing of XMPP but the escaping of a node (XEP-0106), and imports little: the worker that
reads mail uses it too.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import idna

from bridge.i18n import tr

MOST_TOGETHER = 20  # addresses of one conversation that a user spells out
_LOCAL_LIMIT = 64  # octets, RFC 5321 section 4.5.3.1.1
_DOMAIN_LIMIT = 253

_PLAIN = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]+")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ONE_OF_SET = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"]|")+?(?=,|$)', re.DOTALL)
_GROUP_NAME = re.compile(r"group-[0-9a-f]{20}")
_IN_BRACKETS = re.compile(r"<([^<>\s]+@[^<>\s]+)>\s*$")

# The names that RFC 2142 reserves, and those by which certificate authorities ask for consent: whoever
# reads mail for one of them can have a certificate for the domain.
_RESERVED = frozenset(
    {
        *("abuse", "admin", "administrator", "hostmaster", "info", "mailer-daemon", "marketing", "news"),
        *("noc", "postmaster", "root", "sales", "security", "support", "usenet", "uucp", "webmaster", "www"),
    }
)
ALWAYS_TAKEN = frozenset({"postmaster", "abuse"})  # RFC 5321 section 4.5.1, RFC 2142

_NODE_ESCAPES = {
    r"\20": " ", r"\22": '"', r"\26": "&", r"\27": "'", r"\2f": "/",
    r"\3a": ":", r"\3c": "<", r"\3e": ">", r"\40": "@", r"\5c": "\\",
}  # fmt: skip
_NODE_ESCAPE = re.compile("|".join(re.escape(code) for code in _NODE_ESCAPES), re.IGNORECASE)


class NotAnAddress(ValueError):
    """The text is no mail address. The message says what to do; `correct` is what was probably meant."""

    def __init__(self, sentence: str, correct: str = "") -> None:
        super().__init__(sentence)
        self.correct = correct


def canonical(text: str) -> str:
    """How an address is compared: lower case, the domain in A-labels (RFC 5890), quotes only where needed.

    Raises NotAnAddress.
    """
    text = text.strip().removeprefix("mailto:")
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain:
        sentence = tr("“{text}” is no email address. Write it like alice@example.com.", text=text[:100])
        raise NotAnAddress(sentence, _guess(text))
    if len(text) > 2 * (_LOCAL_LIMIT + _DOMAIN_LIMIT):
        raise NotAnAddress(tr("This email address is too long. Check the spelling."))
    if any(character.isspace() for character in text) and not local.startswith('"'):
        raise NotAnAddress(tr("“{text}” has a space in it. Leave it out.", text=text[:100]), _guess(text))
    return f"{_canonical_local(local)}@{canonical_domain(domain)}"


def canonical_people(text: str) -> tuple[str, ...]:
    """As `canonical`, for one address or several with commas between: each once, in order of the alphabet,
    since the same people are the same conversation. Raises NotAnAddress."""
    several = split(text) if len(text) <= MOST_TOGETHER * (_LOCAL_LIMIT + _DOMAIN_LIMIT) else [text]
    if len(several) < 2:
        return (canonical(text),)
    if len(several) > MOST_TOGETHER:
        raise NotAnAddress(tr("One chat can have {most} people at most. Write to fewer.", most=MOST_TOGETHER))
    return tuple(sorted({canonical(one) for one in several}))


def is_group_name(text: str) -> bool:
    """Whether it is the short name of a chat of many people (bridge.model.together)."""
    return _GROUP_NAME.fullmatch(text) is not None


def split(text: str) -> list[str]:
    """The addresses of a set. What stands in quotes may hold commas of its own."""
    return [one for found in _ONE_OF_SET.findall(text) if (one := found.strip())] if "," in text else [text]


def canonical_domain(text: str) -> str:
    """A domain in lower case and A-labels. Raises NotAnAddress."""
    domain = text.strip().rstrip(".").lower()
    if domain.startswith("["):
        raise NotAnAddress(tr("An address with an IP number cannot be used. Use its domain name."))
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii").lower()
        except (idna.IDNAError, UnicodeError) as error:
            raise NotAnAddress(
                tr("“{text}” is no domain. Check the spelling after the @.", text=text[:100])
            ) from error
    labels = domain.split(".")
    if len(domain) > _DOMAIN_LIMIT or not all(_LABEL.fullmatch(label) for label in labels):
        raise NotAnAddress(tr("“{text}” is no domain. Check the spelling after the @.", text=text[:100]))
    if len(labels) < 2:
        raise NotAnAddress(
            tr("“{text}” is no complete domain: it has no dot, as in example.com.", text=text[:100])
        )
    return domain


def _canonical_local(text: str) -> str:
    local = _folded(text)
    quoted = _QUOTED.fullmatch(local)
    if quoted:
        local = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
        if not local or any(unicodedata.category(character) in ("Cc", "Cs") for character in local):
            raise NotAnAddress(tr("What stands in quotes before the @ cannot be used. Check the spelling."))
        local = quote_local(local)
    elif not _is_dot_atom(local):
        raise NotAnAddress(tr("“{text}” cannot stand before the @. Check the spelling.", text=text[:100]))
    if len(local.encode()) > _LOCAL_LIMIT:
        raise NotAnAddress(tr("What stands before the @ is too long. Check the spelling."))
    return local


def _folded(text: str) -> str:
    # Folding a composed letter may give a decomposed one, so that one pass is not always the last.
    for _ in range(3):
        text = unicodedata.normalize("NFC", text.lower())
    return text


def _is_dot_atom(local: str) -> bool:
    """RFC 5322's dot-atom, RFC 6531's letters, and dots anywhere: docomo.ne.jp gave out such addresses."""
    if _PLAIN.fullmatch(local):
        return local.strip(".") != ""
    rest = "".join(character for character in local if not character.isascii())
    return (
        rest != ""
        and not any(unicodedata.category(character)[0] in "CZ" for character in rest)
        and all(not character.isascii() or _PLAIN.fullmatch(character) for character in local)
    )


def quote_local(local: str) -> str:
    """A local part as it stands in an address: in quotes if it needs them (RFC 5321 section 4.1.2)."""
    if _is_dot_atom(local):
        return local
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'


def _guess(text: str) -> str:
    """What somebody meant who wrote `Mum <mum@x.org>`, `mum%x.org` or `mum @ x.org`; empty: no idea."""
    named = _IN_BRACKETS.search(text)
    squeezed = named[1] if named else "".join(text.split())
    if "@" not in squeezed and squeezed.count("%") == 1:
        squeezed = squeezed.replace("%", "@")
    if squeezed == text or "@" not in squeezed:
        return ""
    try:
        return canonical(squeezed)
    except NotAnAddress:
        return ""


@lru_cache(maxsize=4096)
def lenient(text: str) -> str:
    """The canonical form of an address that stood in a mail, however odd it is. Empty if it is none.

    Real mail comes from addresses that no specification allows; whoever wrote can still be shown.
    """
    try:
        return canonical(text)
    except NotAnAddress:
        kept = "".join(
            character
            for character in text.lower()
            if unicodedata.category(character)[0] not in "CZ" and character not in '<>,;"()'
        )
        local, at, domain = kept.rpartition("@")
        return f"{local[:_LOCAL_LIMIT]}@{domain[:_DOMAIN_LIMIT]}" if at and local and domain else ""


def needs_smtputf8(*addresses: str) -> bool:
    """Whether one of them can travel with SMTPUTF8 only (RFC 6531): domains are A-labels already."""
    return not all(address.isascii() for address in addresses)


def without_token(address: str) -> str:
    """The address less what follows a plus in its local part."""
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}" if not local.startswith('"') else address


def is_always_taken(address: str, domains: Sequence[str]) -> bool:
    """Whether it is postmaster or abuse at one of our domains."""
    local, _, domain = address.rpartition("@")
    return domain in domains and local in ALWAYS_TAKEN


def unescape_node(node: str) -> str:
    """What a JID's node stands for (XEP-0106)."""
    return _NODE_ESCAPE.sub(lambda found: _NODE_ESCAPES[found[0].lower()], node)


def own_addresses(jid: str, user_domain: str, template: str, domains: Sequence[str]) -> list[str]:
    """Addresses for a bare JID, best first; empty if its domain is not the one that is served.

    Several, because two names can fold to one: `jürgen` and `jurgen`.
    """
    node, at, domain = jid.rpartition("@")
    if not at or domain.lower() != user_domain.lower():
        return []
    name = _mailbox_name(unescape_node(node), jid)
    names = [name, *(f"{name}-{number}" for number in range(2, 6))]
    filled = (
        template.replace("{user}", one).replace("{domain}", own)
        for one in names
        for own in (domains if "{domain}" in template else domains[:1])
    )
    return [canonical(address) for address in filled]


def _mailbox_name(user: str, jid: str) -> str:
    """A local part that every server takes: plain ASCII, no plus (it begins a token), not reserved."""
    plain = unicodedata.normalize("NFKD", user.lower()).encode("ascii", "ignore").decode("ascii")
    name = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-.")
    name = re.sub(r"\.{2,}", ".", name)
    if not name or len(name) > 40:
        name = "user-" + hashlib.sha256(jid.lower().encode()).hexdigest()[:10]
    return f"{name}.user" if name in _RESERVED else name
