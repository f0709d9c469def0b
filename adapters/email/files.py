"""The files of a mail: what is attached, and the pictures that somebody wants to see. Bounded.

Names are made safe, types are looked up in the bytes where the mail does not tell.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from adapters.email import headers, pictures, subjects, tnef
from adapters.email.pictures import Picture
from adapters.email.reading import charset, mime
from bridge.model import File

NAME_LIMIT = 120
_MOST = 40
_MOST_BYTES = 30_000_000
_HTML_LIMIT = 1_000_000
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
_TNEF = ("application/ms-tnef", "application/vnd.ms-tnef")
_UNTOLD = ("application/octet-stream", "application/x-unknown", "application/binary", "")

_ENDINGS = {
    "image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp",
    "image/heic": ".heic", "application/pdf": ".pdf", "text/calendar": ".ics", "message/rfc822": ".eml",
    "text/html": ".html", "text/plain": ".txt", "application/zip": ".zip", "audio/mpeg": ".mp3",
    "video/mp4": ".mp4", "audio/ogg": ".ogg", "text/vcard": ".vcf", "text/csv": ".csv",
}  # fmt: skip
_TYPES = {ending: kind for kind, ending in _ENDINGS.items()} | {
    ".jpeg": "image/jpeg", ".htm": "text/html", ".m4a": "audio/mp4", ".opus": "audio/ogg",
    ".doc": "application/msword", ".xls": "application/vnd.ms-excel",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".odt": "application/vnd.oasis.opendocument.text",
}  # fmt: skip
_BEGINNINGS = (
    (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"), (b"OggS", "audio/ogg"), (b"ID3", "audio/mpeg"),
    (b"BEGIN:VCALENDAR", "text/calendar"), (b"BEGIN:VCARD", "text/vcard"),
)  # fmt: skip
_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+_-]{1,100}")

# Where the mail that is answered begins, in the HTML of the programs that put it there.
_OLD_MAIL = re.compile(
    rb"<blockquote|divRplyFwdMsg|gmail_quote|appendonsend|OLK_SRC_BODY_SECTION|yahoo_quoted|moz-cite-prefix"
    rb"|border-top:\s*solid #(?:E1E1E1|B5C4DF)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a mail carries beside its text."""

    files: tuple[File, ...] = ()
    left_out: int = 0  # files beyond the limits
    decoration: int = 0  # pictures that are not worth a look
    calendars: tuple[str, ...] = ()
    text: str = ""  # of a winmail.dat, for a mail that has no other
    html: bytes = b""


@dataclass(frozen=True, slots=True)
class _Leaf:
    part: mime.Part
    related: bool  # belongs to an HTML text
    alternative: bool  # the text in another form


def find(root: mime.Part, *, answers: bool) -> Found:
    """The files below `root`. `answers`: it answers a mail, whose pictures it may carry again."""
    basket = _Basket()
    html, old = _html(root), 0
    if html and answers and (begin := _OLD_MAIL.search(html)):
        old = begin.start()
    for leaf in _leaves(root):
        basket.take(leaf, html, old)
    return basket.found()


class _Basket:
    """Gathers files within the limits."""

    def __init__(self) -> None:
        self._files: list[File] = []
        self._decoration: list[File] = []
        self._size = 0
        self._left_out = 0
        self._pixels = 0
        self._calendars: list[str] = []
        self._unpacked = tnef.Contents()

    def take(self, leaf: _Leaf, html: bytes, old: int) -> None:
        part = leaf.part
        if not _is_file(leaf):
            return
        if len(self._files) >= _MOST or self._size + len(part.body) > _MOST_BYTES * 3 // 2:
            self._left_out += 1
            return
        data = part.content(len(part.body))
        if (part.kind in _TNEF or file_name(part).lower() == "winmail.dat") and self._unpack(data):
            return
        if part.kind == "text/calendar" and len(self._calendars) < 3:
            self._calendars.append(charset.to_text(data[:200_000], part.parameter("charset") or "utf-8"))
        name, kind = file_name(part), part.kind
        file = _file(name, kind, data)
        if file.media_type.startswith("image/") and _in_text(leaf, html):
            picture = Picture(file.name, data, _is_old(part, html, old))
            if pictures.is_pixel(picture):
                return
            if pictures.is_decoration(picture):
                self._decoration.append(file)
                return
        self._keep(file)

    def _keep(self, file: File) -> None:
        if len(self._files) >= _MOST or self._size + len(file.data) > _MOST_BYTES:
            self._left_out += 1
            return
        # The same calendar often comes twice: as a form of the text, and attached.
        if any(one.data == file.data for one in self._files):
            return
        self._files.append(_renamed(file, {one.name for one in self._files}))
        self._size += len(file.data)

    def _unpack(self, data: bytes) -> bool:
        try:
            contents = tnef.unpack(data)
        except tnef.Unreadable:
            return False
        if not (contents.files or contents.text or contents.html):
            return False
        for name, content in contents.files:
            self._keep(_file(safe_name(name), "", content))
        self._unpacked.text = self._unpacked.text or charset.clean(contents.text)
        self._unpacked.html = self._unpacked.html or contents.html
        return True

    def found(self) -> Found:
        return Found(
            tuple(self._files),
            self._left_out,
            len(self._decoration),
            tuple(self._calendars),
            self._unpacked.text,
            self._unpacked.html,
        )


# --- which parts ---


def _leaves(part: mime.Part, *, related: bool = False, alternative: bool = False) -> Iterator[_Leaf]:
    """Parts that may be files: no containers, and not what a report holds for machines."""
    if part.kind == "multipart/report":
        return
    if not part.kind.startswith("multipart/"):
        yield _Leaf(part, related, alternative)
        return
    related = part.kind == "multipart/related" or (related and part.kind == "multipart/alternative")
    for child in part.children:
        yield from _leaves(child, related=related, alternative=part.kind == "multipart/alternative")


def _is_file(leaf: _Leaf) -> bool:
    part = leaf.part
    if part.kind in ("text/plain", "text/html"):
        return part.attached
    if part.kind in _SIGNATURES or part.kind == "application/pgp-encrypted":
        return False
    if leaf.alternative and part.kind != "text/calendar":
        return False
    is_text = part.kind.startswith("text/") and part.kind not in ("text/calendar", "text/vcard", "text/csv")
    return not is_text or part.attached


def _in_text(leaf: _Leaf, html: bytes) -> bool:
    """Whether a picture stands in the text, not beside it."""
    if leaf.part.attached and _disposition(leaf.part) == "attachment":
        return bool(html) and _place(leaf.part, html) >= 0
    return leaf.related or _disposition(leaf.part) == "inline" or _place(leaf.part, html) >= 0


def _is_old(part: mime.Part, html: bytes, old: int) -> bool:
    return old > 0 and _place(part, html) > old


def _place(part: mime.Part, html: bytes) -> int:
    """Where the HTML shows it first; -1 if it does not."""
    content_id = str(part.head.get("content-id", "")).strip(" <>")[:200]
    return html.find(b"cid:" + content_id.encode("utf-8", "surrogateescape")) if content_id and html else -1


def _html(root: mime.Part) -> bytes:
    if not root.kind.startswith("multipart/"):
        return b""
    for body in mime.bodies(root):
        if isinstance(body, mime.Body) and body.html is not None:
            return body.html.content(_HTML_LIMIT)
    return b""


def _disposition(part: mime.Part) -> str:
    return str(part.head.get("content-disposition", "")).partition(";")[0].strip().lower()


# --- names and types ---


def file_name(part: mime.Part) -> str:
    """A name that is safe to show and to save; it may lack an ending."""
    try:
        given = str(part.head.get_filename() or "")
    except (ValueError, LookupError, TypeError, IndexError):
        given = ""  # RFC 2231 parameters that are none
    name = safe_name(headers.decoded(given))
    if not name and part.kind == "message/rfc822" and part.children:
        return safe_name(mime.header(part.children[0], "subject").replace("/", "-")[:80] or "mail") + ".eml"
    return name


def safe_name(given: str) -> str:
    """No path, no control characters, no dots in front, not too long; may be empty."""
    name = PurePosixPath(subjects.one_line(given).replace("\\", "/")).name.strip(". ")
    return name if len(name) <= NAME_LIMIT else name[: NAME_LIMIT - 11] + "…" + name[-10:]


def _file(name: str, kind: str, data: bytes) -> File:
    kind = kind if _TYPE.fullmatch(kind) else ""
    ending = PurePosixPath(name).suffix.lower()
    if kind in _UNTOLD:
        kind = _sniffed(data) or _TYPES.get(ending, "application/octet-stream")
    if not name:
        name = f"{kind.partition('/')[0] if kind.startswith(('image/', 'audio/', 'video/')) else 'file'}"
    if not PurePosixPath(name).suffix:
        name += _ENDINGS.get(kind, "")
    return File(name, kind, data)


def _sniffed(data: bytes) -> str:
    """The type that the first bytes tell, or ""."""
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return "image/heic" if data[8:12] in (b"heic", b"heix", b"mif1") else "video/mp4"
    return ""


def _renamed(file: File, taken: set[str]) -> File:
    """Two files of one mail have two names."""
    if file.name not in taken:
        return file
    path = PurePosixPath(file.name)
    number = next(n for n in range(2, _MOST + 3) if f"{path.stem}-{n}{path.suffix}" not in taken)
    return File(f"{path.stem}-{number}{path.suffix}", file.media_type, file.data)
