"""What a file is called and what it is: safe names, media types by their first bytes. Pure.

Names and types come from mails and web servers, so neither is believed as it stands.
"""

import re
from pathlib import PurePosixPath

OCTETS = "application/octet-stream"
LONGEST_NAME = 120  # characters
_LONGEST_BYTES = 200  # of a name in UTF-8: file systems take 255, and some programs add to it
_LONGEST_ENDING = 12

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")
# Control characters, what Windows forbids, and what turns text around (CVE-2021-42574 and its kin).
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]')
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")

# First bytes, how far into the file they stand, and what they tell.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
)
_CONTAINERS = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}  # RIFF, at 8
# ISO base media (ISO/IEC 14496-12): the brand at 8, after "ftyp".
_BRANDS = {
    b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif", b"avif": "image/avif",
    b"M4A ": "audio/mp4", b"qt  ": "video/quicktime", b"3gp4": "video/3gpp", b"3gp5": "video/3gpp",
    b"3gp6": "video/3gpp",
}  # fmt: skip
# What the first bytes tell coarsely: these claims are finer and go with them.
_FINER = {
    "application/zip": ("application/",),
    "application/gzip": ("application/",),
    "audio/ogg": ("audio/", "video/ogg", "application/ogg"),
    "video/mp4": ("video/", "audio/mp4"),
    "video/webm": ("video/", "audio/"),
    "image/tiff": ("image/",),
}

_ENDINGS = {
    "image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp",
    "image/heic": ".heic", "image/heif": ".heif", "image/avif": ".avif", "image/tiff": ".tiff",
    "image/svg+xml": ".svg", "application/pdf": ".pdf", "application/zip": ".zip",
    "application/gzip": ".gz", "application/x-7z-compressed": ".7z", "application/json": ".json",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "audio/mpeg": ".mp3", "audio/ogg": ".ogg", "audio/mp4": ".m4a", "audio/wav": ".wav",
    "audio/amr": ".amr", "audio/flac": ".flac", "video/mp4": ".mp4", "video/webm": ".webm",
    "video/quicktime": ".mov", "video/3gpp": ".3gp", "video/x-msvideo": ".avi",
    "text/plain": ".txt", "text/html": ".html", "text/calendar": ".ics", "text/csv": ".csv",
    "text/vcard": ".vcf", "message/rfc822": ".eml",
}  # fmt: skip
_OTHER_ENDINGS = {
    ".jpeg": "image/jpeg", ".jpe": "image/jpeg", ".jfif": "image/jpeg", ".tif": "image/tiff",
    ".oga": "audio/ogg", ".opus": "audio/ogg", ".htm": "text/html", ".m4v": "video/mp4", ".log": "text/plain",
    ".md": "text/markdown",
}  # fmt: skip
_OTHER_WORDS = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "audio/mp3": "audio/mpeg"}
_BY_ENDING = {ending: kind for kind, ending in _ENDINGS.items()} | _OTHER_ENDINGS


def media_type(head: bytes, claimed: str, name: str = "") -> str:
    """The media type of a file that begins with `head` (32 bytes suffice; none if it is not here yet):
    what it is, if that can be seen, else what is claimed, else what its name says. Always safe to stand
    in a header."""
    claim = claimed.partition(";")[0].strip().lower()
    claim = _OTHER_WORDS.get(claim, claim)
    if not _TYPE.fullmatch(claim) or claim in ("application/x-download", "application/force-download"):
        claim = OCTETS
    if claim == OCTETS:
        claim = _BY_ENDING.get(_ending(name).lower(), OCTETS)
    seen = _seen(head)
    if seen and (claim == OCTETS or not claim.startswith(_FINER.get(seen, (seen,)))):
        return seen
    if head and not seen and _must_be_seen(claim):
        return OCTETS
    return claim


def _seen(head: bytes) -> str:
    if head[:4] == b"RIFF":
        return _CONTAINERS.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    for at, magic, kind in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return kind
    return ""


def _must_be_seen(claim: str) -> bool:
    """Whether a file of this type would have shown it by its first bytes."""
    pictures = ("image/jpeg", "image/png", "image/gif", "image/webp")
    return claim in (*pictures, "application/pdf", "application/zip")


def safe_name(name: str, kind: str, stem: str = "file") -> str:
    """A name that can be shown, saved and put into an address: no path, no control characters, bounded,
    never empty, with the ending that belongs to its type."""
    last = PurePosixPath(_UNSAFE.sub("", name.replace("\\", "/"))).name
    last = " ".join(last.split()).strip(". ")
    if _RESERVED.fullmatch(last):
        last = f"_{last}"
    ending = _ending(last)
    right = _ENDINGS.get(kind, "")
    base = last[: len(last) - len(ending)].rstrip(". ")
    if not base:
        base = stem
    if right and _belies(ending, kind):
        base, ending = base + ending, right
    return _shortened(base, ending)


def _ending(name: str) -> str:
    """With its dot, as it is spelled; empty if there is none."""
    base, dot, ending = name.rpartition(".")
    plain = ending.isascii() and ending.isalnum() and len(ending) < _LONGEST_ENDING
    return f".{ending}" if dot and base and plain else ""


def _belies(ending: str, kind: str) -> bool:
    """Whether an ending is missing, or says something else than a type that opens in a program."""
    if not ending:
        return True
    known = _BY_ENDING.get(ending.lower())
    shown = kind.startswith(("image/", "audio/", "video/")) or kind == "application/pdf"
    if known is None:
        return shown
    return known != kind and shown and known.partition("/")[0] != kind.partition("/")[0]


def _shortened(base: str, ending: str) -> str:
    room = LONGEST_NAME - len(ending)
    if len(base) > room:
        base = base[: room - 11].rstrip() + "…" + base[-10:].lstrip()
    while len((base + ending).encode()) > _LONGEST_BYTES:
        base = base[:-1]
    return base + ending


def is_shown(kind: str) -> bool:
    """Whether clients show it in the chat rather than as something to save."""
    return kind.startswith(("image/", "video/", "audio/"))


def in_words(size: int) -> str:
    """A size as people say it."""
    if size < 1000:
        return f"{size} bytes"
    if size < 1_000_000:
        return f"{size / 1000:.0f} kB"
    return f"{size / 1_000_000:.1f} MB"
