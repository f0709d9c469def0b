"""Files in message stanzas: XEP-0066 and XEP-0447 out, and what clients write of them in. Pure."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from bridge import media
from bridge.events import Denied
from bridge.model import Attachment, Delivery
from bridge.xmpp import fallbacks, xml

OOB = "jabber:x:oob"  # XEP-0066
SHARING = "urn:xmpp:sfs:0"  # XEP-0447
METADATA = "urn:xmpp:file:metadata:0"  # XEP-0446
URL_DATA = "http://jabber.org/protocol/url-data"  # XEP-0103
OOB_TAG, SHARING_TAG = f"{{{OOB}}}x", f"{{{SHARING}}}file-sharing"

MOST = 20  # files in one stanza
_LONGEST_URL = 4_000
_LATE_AFTER = 30.0  # seconds, as for texts

ENCRYPTED = Denied(
    "This file was encrypted, and it was not sent: beyond this gateway nobody could open it. Please switch "
    "encryption off for this chat and send it again. (Conversations: tap the lock, then Unencrypted.)",
    "not-acceptable",
    "modify",
)


# --- writing ---


def write(delivery: Delivery, file: Attachment, url: str, domain: str, now: float) -> str:
    """The stanza of a file: the URL as body, OOB and nothing else in the body, since clients show a
    picture only then. Without a URL it says what came, so that nobody waits for it."""
    if delivery.message is None:
        raise ValueError(f"delivery {delivery.id} carries no message")
    stanza_id = xml.attribute(delivery.stanza_id)
    inside = _shared(file, url) if url else f"<body>{xml.text(not_to_be_had(file))}</body>"
    return (
        f"<message from='{xml.attribute(delivery.sender)}' to='{xml.attribute(delivery.recipient)}'"
        f" type='chat' id='{stanza_id}'>{inside}<request xmlns='urn:xmpp:receipts'/>"
        f"<origin-id xmlns='urn:xmpp:sid:0' id='{stanza_id}'/><store xmlns='urn:xmpp:hints'/>"
        f"{delay(delivery.message.written_at, domain, now)}</message>"
    )


def _shared(file: Attachment, url: str) -> str:
    target = xml.attribute(url)
    shown = "inline" if media.is_shown(file.media_type) else "attachment"
    return (
        f"<body>{xml.text(url)}</body><x xmlns='{OOB}'><url>{xml.text(url)}</url></x>"
        f"<file-sharing xmlns='{SHARING}' disposition='{shown}'><file xmlns='{METADATA}'>"
        f"<media-type>{xml.text(file.media_type)}</media-type><name>{xml.text(file.name)}</name>"
        f"<size>{file.size}</size></file><sources>"
        f"<url-data xmlns='{URL_DATA}' target='{target}'/></sources></file-sharing>"
        f"<fallback xmlns='{fallbacks.FALLBACK}' for='{SHARING}'><body/></fallback>"
    )


def delay(written_at: float, domain: str, now: float) -> str:
    """When it was written, if that is a while ago (XEP-0203)."""
    if now - written_at <= _LATE_AFTER:
        return ""
    stamp = datetime.fromtimestamp(written_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"<delay xmlns='urn:xmpp:delay' from='{domain}' stamp='{stamp}'/>"


def not_to_be_had(file: Attachment) -> str:
    """What a user reads instead of a file that cannot be given out."""
    what = f"📎 {file.name} ({media.in_words(file.size)})"
    if not file.blob:
        return f"{what} came with this. It is no longer kept here; please ask for it again."
    if file.media_type == "text/plain":
        return f"{what} came with this. Type /file to read it here."
    return (
        f"{what} came with this, and it is kept here. But your chat server offers no place to put files, and "
        "this gateway has no public address: please tell its administrator."
    )


# --- reading ---


def read(stanza: Element, body: str) -> tuple[str, tuple[Attachment, ...]]:
    """What a client shares in a message with this body: the body without what only stands for the files,
    and the files, each with the URL as its source. Raises Denied for files that only the client could
    open."""
    found: dict[str, Attachment] = {}
    for child in stanza:
        for one in _sources(child):
            better = one.source not in found or one.media_type
            if len(one.source) <= _LONGEST_URL and len(found) < MOST and better:
                found[one.source] = one
    if _is_encrypted(body) or any(_is_encrypted(url) for url in found):
        raise ENCRYPTED
    shared = {url: one for url, one in found.items() if url.lower().startswith(("https://", "http://"))}
    if not shared:
        return body, ()
    return _without(stanza, body, shared), tuple(shared.values())


def _is_encrypted(text: str) -> bool:
    return text.lstrip()[:9].lower() == "aesgcm://"


def _sources(child: Element) -> Iterator[Attachment]:
    if child.tag == OOB_TAG:
        url = (child.findtext(f"{{{OOB}}}url") or "").strip()
        if url:
            yield Attachment(_name(url), "", "", 0, source=url)
    elif child.tag == SHARING_TAG:
        file = child.find(f"{{{METADATA}}}file")
        data = child.find(f"{{{SHARING}}}sources/{{{URL_DATA}}}url-data")
        url = data.get("target", "").strip() if data is not None else ""
        if url:
            yield _described(url, file)


def _described(url: str, file: Element | None) -> Attachment:
    """Hints only: what the file really is shows when it is fetched."""
    if file is None:
        return Attachment(_name(url), "", "", 0, source=url)
    kind = media.media_type(b"", file.findtext(f"{{{METADATA}}}media-type") or "")
    size = (file.findtext(f"{{{METADATA}}}size") or "").strip()
    given = (file.findtext(f"{{{METADATA}}}name") or "").strip()
    return Attachment(
        media.safe_name(given, kind) if given else _name(url),
        kind if kind != media.OCTETS else "",
        "",
        int(size) if size.isascii() and size.isdigit() and len(size) < 15 else 0,
        source=url,
    )


def _name(url: str) -> str:
    """The file's name as its URL ends; empty if there is none to be seen."""
    try:
        last = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    except ValueError:
        return ""
    return media.safe_name(last, media.media_type(b"", "", last)) if last else ""


def _without(stanza: Element, body: str, shared: dict[str, Attachment]) -> str:
    """A body less the part that stands there for clients that know no files (XEP-0428), and less the
    URLs where they stand alone on a line."""
    body = fallbacks.without(stanza, body, (SHARING, OOB, fallbacks.REPLY))
    lines = [line for line in body.split("\n") if line.strip() not in shared]
    return re.sub(r"\A\s*\n|\s+\Z", "", "\n".join(lines))
