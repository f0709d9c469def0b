"""Bytes of a mail to text that is valid in XML 1.0. Knows charsets and their lies, nothing of MIME."""

import codecs
import re

from charset_normalizer import from_bytes

# What the name says, and what mails with that name really hold (as browsers read them, WHATWG Encoding).
_ALIASES = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "ansi_x3.4-1968": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "iso-8859-8-i": "cp1255",
    "iso-8859-8-e": "cp1255",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "big5": "big5hkscs",
    "cn-big5": "big5hkscs",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "cp50220": "iso-2022-jp",
    "cp50221": "iso-2022-jp",
    "cp50222": "iso-2022-jp",
    "csiso2022jp": "iso-2022-jp",
    "unicode-1-1-utf-7": "utf-7",
    "x-unicode-2-0-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "utf-8mb4": "utf-8",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
}
# Python's text codecs that are no charsets; two of them take quadratic time.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"})
_MARKS = (  # the longer mark first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GUESS_FROM = 4096  # bytes: the guess grows costly with length, and no better
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_UNWANTED = re.compile(
    "[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # not allowed in XML, or controls
    "|[\xad\u034f\u200b\u2060\ufeff]"  # no width, no meaning outside of layout
)
_ESCAPED = re.compile(rb"\x1b(\$[@B]|\([BJI])")
_THREE_BYTES = re.compile(rb"[\xe0-\xf4][\x80-\xbf][\x80-\xbf]")
_SET_HIGH_BIT = bytes(byte | 0x80 for byte in range(256))
_HIGH = re.compile(rb"[\x80-\xff]")


def to_text(raw: bytes, declared: str | None) -> str:
    """Decode as declared if that holds, else as UTF-8, else as charset-normalizer guesses. Never raises."""
    return clean(_decode(raw, _known(declared)))


def clean(text: str) -> str:
    """One kind of line end, and only characters that XML 1.0 allows (section 2.2) and people see."""
    return _UNWANTED.sub("", _LINE_ENDS.sub("\n", text))


def _known(declared: str | None) -> str | None:
    name = (declared or "").strip().strip("\"'").lower()[:40]
    name = _ALIASES.get(name, name)
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    # A codec that turns bytes to bytes (hex, zlib) is refused by bytes.decode itself.
    return None if codec.name.replace("-", "_") in _NO_CHARSETS else name


def _decode(raw: bytes, name: str | None) -> str:
    for mark, codec in _MARKS:
        if raw.startswith(mark):
            return raw.decode(codec, "replace")
    if name is not None and name.startswith("iso-2022-jp") and b"\x1b" in raw:
        return _decode_japanese(raw)
    if name in ("utf-7", "utf-16", "utf-16le", "utf-16be", "utf-32", "utf-16-le", "utf-16-be"):
        return raw.decode(name, "replace")
    if not _HIGH.search(raw) and name != "hz":
        return raw.decode("ascii", "replace") if b"\x1b$" not in raw else _decode_japanese(raw)
    return _decode_high(raw, name)


def _decode_high(raw: bytes, name: str | None) -> str:
    utf8 = _strictly(raw, "utf-8")
    if utf8 is not None and _rather_utf8(raw, name):
        return utf8
    if name is not None and name not in ("utf-8", "utf8"):
        text = _strictly(raw, name)
        if text is not None:
            return text
    if utf8 is not None:
        return utf8
    damaged = raw.decode("utf-8", "replace")
    if damaged.count("\ufffd") * 20 <= len(_HIGH.findall(raw)):
        return damaged  # a few broken bytes in what is UTF-8 otherwise
    return _guess(raw, name)


def _rather_utf8(raw: bytes, name: str | None) -> bool:
    """Whether valid UTF-8 outweighs another label.

    High bytes that form UTF-8 by accident are rare in one-byte charsets. In two-byte charsets
    short accidents happen (two Chinese words of GBK do), but hardly with sequences of three.
    """
    if name in (None, "utf-8", "utf8"):
        return True
    if name in ("gb18030", "big5hkscs", "cp949", "cp932", "euc_jp", "euc-jp", "big5", "cp950"):
        return len(_THREE_BYTES.findall(raw[:4096])) >= 2
    return True


def _strictly(raw: bytes, name: str) -> str | None:
    try:
        return raw.decode(name)
    except UnicodeDecodeError as error:
        # We may have cut the text ourselves within a character.
        if not error.reason.startswith(("unexpected end", "incomplete")) or error.start == 0:
            return None
        if len(raw) < _GUESS_FROM and not _HIGH.search(raw[: error.start]):
            return None  # all there is of its kind: the é of a Latin-1 “René”, not half of a character
    except (LookupError, ValueError):
        return None
    return raw.decode(name, "ignore")


def _guess(raw: bytes, name: str | None) -> str:
    high, letters = (
        len(_HIGH.findall(raw)),
        sum(raw[:_GUESS_FROM].lower().count(letter) for letter in b"aeinorst"),
    )
    if high < 32 and high <= letters * 2:
        return raw.decode("cp1252", "replace")  # too little for a guess: a Western word here and there
    first = _HIGH.search(raw)
    start = max(0, (first.start() if first else 0) - 512)
    best = from_bytes(raw[start : start + _GUESS_FROM], steps=4, chunk_size=512, threshold=0.4).best()
    guessed = best.encoding if best is not None else (name or "cp1252")
    try:
        return raw.decode(guessed, "replace")
    except (LookupError, ValueError):
        return raw.decode("latin-1")


def _decode_japanese(raw: bytes) -> str:
    """ISO-2022-JP (RFC 1468) with the characters that Windows adds to it (①, ㈱: cp50221).

    Python's own codec refuses them; with the high bit set the same bytes are EUC, and JIS X 0213
    has the added characters at the same places.
    """
    pieces = _ESCAPED.split(raw)
    text = [pieces[0].decode("ascii", "replace")]
    for escape, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if escape.startswith(b"$"):
            text.append(_decode_kanji(piece))
        elif escape == b"(I":
            text.append(piece.translate(_SET_HIGH_BIT).decode("shift_jis", "replace"))
        else:
            text.append(piece.decode("ascii", "replace"))
    return "".join(text)


def _decode_kanji(piece: bytes) -> str:
    """Two-byte characters; a line end inside them means that the escape back to ASCII was lost."""
    kanji, end, rest = piece.partition(b"\n")
    kanji = kanji.rstrip(b"\r")
    return kanji.translate(_SET_HIGH_BIT).decode("euc_jis_2004", "replace") + (end + rest).decode(
        "ascii", "replace"
    )
