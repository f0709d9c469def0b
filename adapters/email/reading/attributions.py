"""Tells an attribution ("On … Jana wrote:") from prose, in the languages that mail programs speak.

No language has a grammar here. What counts is evidence: a verb of writing from the table, an
address, a date, a time, the colon at the end, and a beginning that programs use. Strong evidence
lets what follows be a quote even without marks; weak evidence needs a quoted line after it.
"""

import re
from collections.abc import Sequence
from enum import IntEnum

from adapters.email.reading.lines import Line, Mark

_LONGEST = 500  # characters, over all its lines
_MOST_LINES = 5


class Strength(IntEnum):
    """How sure it is."""

    NONE = 0
    WEAK = 1  # an attribution if a quoted line follows
    STRONG = 2


# Verbs as programs write them, one line for each language or family.
_VERBS = (
    "wrote|writes|has written",
    "schrieb|schreibt|geschrieben",
    "a écrit|a ecrit|écrivit|écrit|ecrit|nous a écrit",
    "escribió|escribio|escribía|ha escrito|a escrito",
    "ha scritto|scrisse|scrive|scriveva",
    "escreveu|escreveram|escreve",
    "schreef|schrijft|geschreven|het volgende geschreven",
    "skrev|skriver|skreiv|skrifaði",
    "kirjoitti|kirjoittaa|kirjoittanut",
    "napisał|napisała|napisał\\(a\\)|napisał\\(-a\\)|napisali|pisze|napisana przez|napisane przez",
    "napsal|napsala|napsal\\(a\\)|napsala\\(a\\)|napísal|napísala|napísal\\(a\\)|píše|odesílatel|používateľ",
    "napisao|napisala|napisao/la|napisao je|napisala je|napisal|napisal\\(a\\)|je oseba|piše",
    "је написао|је написао/ла|написао",
    "написал|написала|написал\\(а\\)|написали|пишет|писал|писала",
    "написав|написала|написав\\(ла\\)|написав\\(-ла\\)|пише|писав",
    "написа|написах",
    "yazdı|yazmış|şunu yazdı|şunları yazdı",
    "έγραψε|έγραψαν|γράφει",
    "a scris|scrie|scris",
    "írta|írt|írja|ezt írta",
    "va escriure|ha escrit|escrigué|missatge de",
    "kirjutas|kirjutab|rašė|parašė|rakstīja",
    "menulis|tulis|đã viết|viết",
    "כתב|כתבה|כתב/ה|כתב\\(ה\\)|מאת",
    "كتب|كتبت|كتبه|نوشت|نوشته",
    "ने लिखा|लिखा",
)
# Scripts that put no spaces between words.
_JOINED_VERBS = (
    "写道|寫道|写到|寫到|来信|のメール|さんは書きました|さんが書きました|書き込みました|"
    "작성|님이 씀|쓴 글|썼습니다|เขียนว่า|เขียน"
)
_SPACED = "|".join(word.strip() for words in _VERBS for word in words.split("|") if word.strip())
_VERB = re.compile(rf"(?<![\w.])(?:{_SPACED})(?!\w)|{_JOINED_VERBS}", re.IGNORECASE)
_WROTE_LAST = re.compile(rf"(?:(?<![\w.])(?:{_SPACED})(?!\w)|{_JOINED_VERBS})[\s\"'*_-]*$", re.IGNORECASE)
# Languages in which the verb stands before the name or the date; elsewhere it ends the attribution.
_VERB_WITHIN = re.compile(
    r"(?<!\w)(?:schrieb|geschrieben|schreef|skrev|skreiv|skrifaði|kirjoitti|kirjutas|tarihinde|yazdı|írta|"
    r"כתב|מאת|كتب|نوشت|de oseba|je oseba|odesílatel|пользователь|przez|użytkownik)(?!\w)[\s:,]*(.?)",
    re.IGNORECASE,
)
_LOGGED = re.compile(r"\d{4}[-/.]\d\d[-/.]\d\d[ T]\d\d:\d\d:\d\d")
_TO_ADDRESS = re.compile(r"(?:^|\s)(?:from|to|for|with|user|by|an|für|mit|pour|para)\s*<", re.IGNORECASE)
# How programs begin, before the date or the name.
_OPENERS = (
    "on,at,am,le,el,il,in data,in,em,no dia,a,op,den,d.,dne,dnia,w dniu,dana,dňa,v,"
    "на,в,вот,у,tarihinde,στις,την,pe,la,în,data,kuupäev,pada,pada tanggal,vào,trong ngày,"
    "ב-,בתאריך,ביום,في,بتاريخ,در,ในวันที่,เมื่อ,於,于,在,missatge,wiadomość,el dia,le mail,fra,von"
)
_OPENER_WORDS = frozenset(word.split(" ")[0] for word in _OPENERS.split(","))
_DATE = re.compile(
    r"\d{1,4}\s?[./-]\s?\d{1,2}\s?[./-]\s?\d{1,4}|(?<!\d)(?:19|20)\d\d(?!\d)|\d{4}\s?[年년]|"
    r"(?<!\d)[\u0660-\u0669\u06f0-\u06f9]{4}"
)
_TIME = re.compile(
    r"(?<!\d)\d{1,2}\s?[:.h時时시]\s?\d{2}(?!\d{2})|\d[時时시点點]|\d\s?(?:am|pm)\b", re.IGNORECASE
)
_ADDRESS = re.compile(r"[^\s<>()\[\]\",;:]{1,80}@[^\s<>()\[\]\",;:]{1,200}")
_ADDRESS_LAST = re.compile(r"@[^\s<>()\[\]\",;]{1,200}\s?(?:<mailto:[^<>]{1,200}>)?\s?[>)\]]+[\s\"'*_]*$")
_FROM_ADDRESS_LAST = re.compile(
    r"\s(?:from|by|von|de|par|por|da|di|van|från|fra|od|от|від)\s"
    r"[^\s<>()\[\]\",;:]{1,80}@[^\s<>()\[\]\",;:]{1,200}$"
)
_GMAIL_ISO = re.compile(r"\d{4}[-/]\d\d?[-/]\d\d?(?: \d\d:\d\d (?:GMT|UTC)[+-]\d\d:?\d\d)? \S")
_ISO_WITH_ZONE = re.compile(r"\d{4}-\d\d-\d\d \d\d?:\d\d (?:GMT|UTC)[+-]\d\d?:?\d\d \S")
_INVISIBLE = str.maketrans(
    "", "", "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
_BEFORE = " \t*_-–—‐>|"
_AFTER = " \t*_-–—‐"
_ENDS = (":", "：", ">", "wrote", "﹕")
_SENTENCE_ENDS = (". ", "! ", "? ", "; ")


def find(lines: Sequence[Line], end: int, floor: int = 0) -> tuple[int, Strength]:
    """The attribution whose last line is `end`: its first line and strength. (end, NONE) if none.

    It does not begin above line `floor`.

    Lines are joined backwards, since programs break an attribution anywhere; the beginning that
    looks most like one wins, then the shorter.
    """
    last = lines[end].text
    if not _may_end(last):
        return end, Strength.NONE
    best = (Strength.NONE, 0, end)
    joined = ""
    for start in range(end, max(floor - 1, end - _MOST_LINES), -1):
        text = lines[start].text
        if lines[start].mark in (Mark.CODE, Mark.SIGNATURE):
            break
        if not text:
            if joined.lstrip().startswith(("<", "mailto:")) and start > floor:
                continue  # the address was put into a paragraph of its own
            break
        if start != end and not _may_go_on(text):
            break
        joined = f"{text} {joined}" if joined else text
        if len(joined) > _LONGEST:
            break
        quality, strength = judge(joined)
        if strength and (strength, quality) > best[:2]:
            best = (strength, quality, start)
    return best[2], best[0]


def is_followed_by_text(text: str) -> bool:
    """Whether the line is an attribution with the old mail's first words right behind it, as Yahoo's program
    for phones writes: "On Mon, 3 Feb 2025 at 9:12, Jana<jana@x.org> wrote:   When do we meet?"."""
    head, colon, rest = text[:_LONGEST].partition(":   ")
    if not (colon and rest.strip() and "@" in head):
        return False
    quality, strength = judge(f"{head}:")
    return quality == 2 and strength is Strength.STRONG and _TIME.search(head) is not None


def judge(text: str) -> tuple[int, Strength]:
    """(how well it begins: 0 to 2, how sure it is) for what may be a whole attribution."""
    text = text.translate(_INVISIBLE).lstrip(_BEFORE).rstrip(_AFTER)
    text = text.replace("&lt;", "<").replace("&gt;", ">")
    bare = text.rstrip(" *_:：﹕")
    colon = bare != text.rstrip(" *_")
    begins = _beginning(bare)
    address = "@" in bare and _ADDRESS.search(bare) is not None
    numbers = any(map(str.isdigit, bare))
    date = numbers and _DATE.search(bare) is not None
    time = numbers and _TIME.search(bare) is not None
    if begins == 2 and _ISO_WITH_ZONE.match(bare) and len(bare) < 150:
        return 2, Strength.STRONG
    if _WROTE_LAST.search(bare) or (colon and _VERB.search(bare)):
        return begins, _by_verb(bare, begins, address, date, time)
    if _LOGGED.match(bare) or _TO_ADDRESS.search(bare):
        return 0, Strength.NONE  # a line of a log
    ends = _ADDRESS_LAST.search(bare) or _FROM_ADDRESS_LAST.search(bare)
    complete = (colon and time) or (len(bare) < 150 and _GMAIL_ISO.match(bare))
    if begins == 2 and date and address and ends and complete:
        return 2, Strength.STRONG
    if colon and (address or (date and time)) and len(bare.split()) <= 25:
        return begins, Strength.WEAK  # perhaps in a language that is not in the table
    return 0, Strength.NONE


def _by_verb(text: str, begins: int, address: bool, date: bool, time: bool) -> Strength:
    if len(text.split()) > 40:
        return Strength.NONE
    if begins == 2 and (address or (date and time and _verb_fits(text))):
        return Strength.STRONG
    if begins == 1 and address:
        return Strength.STRONG
    if date and time and _only_date_after_verb(text):
        return Strength.STRONG
    if not (address or date or time) and not _is_name(text):
        return Strength.NONE
    if len(text.split()) <= 16 and not any(end in text for end in _SENTENCE_ENDS if end != ". "):
        return Strength.WEAK
    return Strength.NONE


def _is_name(text: str) -> bool:
    """Whether nothing but a first and last name stands before the verb."""
    name = text[: verb.start()].split() if (verb := _VERB.search(text)) else []
    return 2 <= len(name) <= 4 and all(word[0].isupper() for word in name)


def _verb_fits(text: str) -> bool:
    """Whether the verb ends the text, or stands before a name ("schrieb Jana", not "schrieb mir")."""
    if _WROTE_LAST.search(text):
        return True
    within = _VERB_WITHIN.search(text)
    return within is not None and not within[1].islower()


def _only_date_after_verb(text: str) -> bool:
    """As in "Jana Berg kirjoitti 8.12.2022 klo 20.45": a short name, the verb, and no more than when."""
    verb = _VERB.search(text)
    if verb is None:
        return False
    name, when = text[: verb.start()].split(), text[verb.end() :].split()
    return 0 < len(name) <= 5 and 0 < len(when) <= 5 and any(map(str.isdigit, when[-1]))


def _beginning(text: str) -> int:
    """2: begins as programs do, with a date near; 1: begins with a name and address; 0: anything."""
    words = text.replace("<", " <").split(" ", 9)[:9]
    first = words[0].lower().strip("\"',.;") if words else ""
    near = words[:6]
    digit = next((place for place, word in enumerate(near) if any(map(str.isdigit, word))), None)
    if digit is not None and "@" not in words[digit]:
        if first in _OPENER_WORDS or first.startswith(("在", "於", "于", "ב-", "בתאריך", "في")):
            return 2
        if digit and words[digit - 1] in ("於", "于", "在"):
            return 2
        if digit == 0 or (digit <= 3 and _weekday_like(near[:digit])):
            return 2
    name = text.split("@", 1)[0]
    if "@" in text and len(name.split()) <= 7 and not any(end in name for end in ("! ", "? ", "; ", ": ")):
        return 1
    return 0


def _weekday_like(words: Sequence[str]) -> bool:
    """Words before the first number as in "Thu," "pe" "четверг," "Wednesday,": short, and few."""
    return all(len(word) <= 14 and "@" not in word and "<" not in word for word in words) and (
        len(words) == 1 or words[0].endswith((",", "."))
    )


def _may_end(text: str) -> bool:
    if not text or len(text) > _LONGEST:
        return False
    text = text.translate(_INVISIBLE).rstrip(" *_")
    if text.endswith("---"):
        return "@" in text or any(map(str.isdigit, text))
    if text.endswith(_ENDS):
        return True
    return (
        bool(_WROTE_LAST.search(text[-40:]))
        if text[-1:].isalpha() and "@" in text
        else bool(text[:1].isdigit() and _ISO_WITH_ZONE.match(text))
    )


def _may_go_on(text: str) -> bool:
    """Whether an attribution may be broken after this line: not where a sentence ends."""
    if text.endswith(("!", "?", ":", ";")):
        return False
    if text.endswith("."):
        word = text[:-1].rsplit(" ", 1)[-1]
        return word.isdigit() or len(word) <= 4
    return True
