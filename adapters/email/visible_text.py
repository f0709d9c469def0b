"""What a person would see as newly written in a mail: the text that becomes the chat message.

Old mail below or between, signatures, adverts and list footers are left out; a forward stays
whole. Nothing here raises for any mail, and the work is bounded whatever the mail is made of.
"""

import re
from email.message import Message

from adapters.email.reading import charset, decide, flowed, html, lines, mime
from adapters.email.reading.decide import Circumstances, Reading
from adapters.email.reading.html_tokens import tokens
from adapters.email.reading.lines import Line, written

__all__ = ["Reading", "from_mail", "from_message", "read_mail", "read_message", "read_root", "whole"]

TEXT_LIMIT = 256 * 1024  # bytes of one plain text that are read
HTML_LIMIT = 1024 * 1024  # bytes of one HTML text
LINE_LIMIT = 3000
_MOST_FORWARDED = 5
_FORWARD_DEPTH = 3
TOO_LONG = "[The rest of this mail is too long to show here.]"

_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_META_CHARSET = re.compile(rb"<meta[^<>]{0,200}charset=[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_STUBS = ("html", "browser", "view this", "anzeigen", "ansicht", "navigateur", "navegador")
_REPLIES = ("re:", "aw:", "antw:", "sv:", "vs:", "ref:", "odp:", "rif:", "r:", "res:", "ynt:", "отв:")
_FORWARDS = (
    "fwd:", "fw:", "wg:", "tr:", "rv:", "enc:", "i:", "pd:", "vb:", "vl:", "doorst:", "i̇lt:", "ilt:",
    "转发:", "轉寄:", "fs:",
    "转发：", "轉寄：", "転送:", "전달:", "пересл:", "προωθ:", "továbbítás:", "fwd：", "fw：",
)  # fmt: skip


def from_mail(raw: bytes) -> str:
    """The visible text of a raw mail (RFC 5322). "" only if it has no text."""
    return read_mail(raw).text


def from_message(message: Message) -> str:
    """The same for a mail that the standard parser has read with policy compat32."""
    return read_message(message).text


def read_mail(raw: bytes) -> Reading:
    """As `from_mail`, and whether something of its text was left out."""
    return _read(mime.open_bytes(raw))


def read_message(message: Message) -> Reading:
    """As `from_message`, and whether something of its text was left out."""
    return _read(mime.open_message(message))


def read_root(root: mime.Part) -> Reading:
    """As `read_mail`, for a mail that `mime` has opened already."""
    return _read(root)


def whole(raw: bytes) -> str:
    """All that a mail says: who wrote it, when, about what, and every line of its text."""
    return _told(mime.open_bytes(raw), _FORWARD_DEPTH)


def _read(root: mime.Part) -> Reading:
    shown, forwarded, whole = _gather(root)
    reading = decide.visible(shown, _circumstances(root))
    told = forwarded[:_MOST_FORWARDED]
    texts = [reading.text, *(_told(mail, _FORWARD_DEPTH) for mail in told)]
    if not whole and _reaches_end(reading.text, shown):
        texts.append(TOO_LONG)
    return Reading(
        "\n\n".join(text for text in texts if text),
        reading.cut or not whole or len(told) < len(forwarded),
    )


def _reaches_end(text: str, shown: list[Line]) -> bool:
    """Whether what we did not read belongs to what is shown: not if an old mail was cut off before."""
    last = next((line.raw for line in reversed(shown) if line.text), "")
    return text.endswith(last.strip())


def _gather(root: mime.Part) -> tuple[list[Line], list[mime.Part], bool]:
    """The lines of all texts in their order, the mails inside, and whether the lines are complete."""
    shown: list[Line] = []
    forwarded: list[mime.Part] = []
    whole = True
    for body in mime.bodies(root):
        if isinstance(body, mime.Forwarded):
            forwarded.append(body.mail)
            continue
        read, complete = _lines(body)
        shown += [*read, Line("", "", 0)]
        whole = whole and complete
        if len(shown) > LINE_LIMIT:
            return shown[:LINE_LIMIT], forwarded, False
    return shown, forwarded, whole


def _told(mail: mime.Part, depth: int) -> str:
    """A mail that is forwarded as a part: who wrote it, when, about what, and its whole text."""
    labels = (("From", "from"), ("Date", "date"), ("Subject", "subject"))
    head = [f"{label}: {value}" for label, name in labels if (value := mime.header(mail, name))]
    shown, forwarded, whole = _gather(mail)
    inner = [_told(part, depth - 1) for part in forwarded[:1]] if depth > 1 else []
    return "\n\n".join(
        text for text in ("\n".join(head), written(shown), *inner, "" if whole else TOO_LONG) if text
    )


def _lines(body: mime.Body) -> tuple[list[Line], bool]:
    """The lines of one text, and whether they are all of it.

    Plain text is taken where there is one: it is what the sender's own program made of the mail.
    Some programs only put a stub there.
    """
    plain = _plain(body.plain) if body.plain is not None else ""
    if body.html is not None:
        raw = body.html.content(HTML_LIMIT + 1)
        if _is_stub(plain, raw):
            source = charset.to_text(raw[:HTML_LIMIT], body.html.parameter("charset") or _charset_inside(raw))
            read, complete = html.to_lines(source)
            if body.plain is None or any(line.text for line in read):
                return read, complete and len(raw) <= HTML_LIMIT
    complete = body.plain is None or len(body.plain.content(TEXT_LIMIT + 1)) <= TEXT_LIMIT
    return lines.from_text(_without_armor(plain), LINE_LIMIT), complete and plain.count("\n") < LINE_LIMIT


def _plain(part: mime.Part) -> str:
    text = charset.to_text(part.content(TEXT_LIMIT), part.parameter("charset"))
    if (part.parameter("format") or "").lower() == "flowed":
        return flowed.unflow(text, delsp=(part.parameter("delsp") or "").lower() == "yes")
    return text


def _is_stub(plain: str, raw_html: bytes) -> bool:
    """Whether the plain text says nothing, or only that one should look at the HTML."""
    words = len(plain.split())
    if words == 0:
        return True
    return words < 40 and (
        b"<" in plain.encode("utf-8", "replace")[:1]
        or (_html_words(raw_html) > 10 * words and any(hint in plain.lower() for hint in _STUBS))
    )


def _html_words(raw: bytes) -> int:
    return sum(len(token.text.split()) for token in tokens(raw[:65536].decode("latin-1")) if not token.tag)


def _charset_inside(raw: bytes) -> str | None:
    found = _META_CHARSET.search(raw[:2048])
    return found[1].decode("ascii") if found else None


def _without_armor(text: str) -> str:
    """A text signed in place (RFC 9580 section 7) without its armor."""
    begin = text.find(_SIGNED)
    if begin < 0:
        return text
    head_end = text.find("\n\n", begin)
    end = text.find("\n-----BEGIN PGP SIGNATURE-----", head_end)
    if head_end < 0 or end < 0:
        return text
    after = text.find("-----END PGP SIGNATURE-----", end)
    rest = text[after + 27 :] if after >= 0 else ""
    signed = text[head_end + 1 : end].replace("\n- ", "\n")
    return text[:begin] + signed + rest


def _circumstances(root: mime.Part) -> Circumstances:
    subject = mime.header(root, "subject").lower()
    answers = bool(root.head.get("in-reply-to") or root.head.get("references"))
    return Circumstances(reply=answers or subject.startswith(_REPLIES), forward=subject.startswith(_FORWARDS))
