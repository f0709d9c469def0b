"""What stands in a Subject line: stripped of reply marks, marked as a reply, or made from a text."""

import re

LONGEST = 60  # characters of a subject that is made from a text
_KEPT = 500  # characters of a subject that somebody wrote

# Reply marks as programs write them, by language; Outlook and old clients count: "Re[2]:".
_MARK = re.compile(
    r"\s*(?:re|aw|antw|antwort|sv|vs|vá|odp|odg|ynt|rif|res|bls|balas|回复|回覆|答复|答覆|返信|답장|отв)"
    r"(?:\[\d{1,3}\]|\(\d{1,3}\)|\^\d{1,3})?\s?[:：]",
    re.IGNORECASE,
)
_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_SENTENCE_END = re.compile(r"(?<=[.!?…])(?<!\b[DFHM]r\.)(?<!\bMrs\.)(?<!\bProf\.)\s|(?<=[。！？])")

# What people begin with, in the languages of the reply marks above and their neighbours.
_GREETING = re.compile(
    r"¡?(?:"
    r"hi|hiya|hello|hey|howdy|greetings|dear|good (?:morning|day|afternoon|evening)|"
    r"hallo|moin(?: moin)?|servus|grüezi|grüß (?:gott|dich|euch)|guten (?:morgen|tag|abend)|"
    r"liebe[rs]?|sehr geehrte[rs]?|bonjour|bonsoir|salut|coucou|ch(?:er|ère|ers|ères)|"
    r"hola|buen(?:os|as) (?:días|tardes|noches)|estimad[oa]s?|querid[oa]s?|"
    r"ciao|salve|buongiorno|buonasera|gentil[ei]|car[oaie]|olá|oi|bom dia|boa (?:tarde|noite)|prezad[oa]s?|"
    r"hoi|goede(?:morgen|middag|navond)|goedendag|beste|geachte|hej|hejsan|god (?:morgen|morgon|dag|kväll)|"
    r"hei|moi|hyvää (?:huomenta|päivää)|cześć|dzień dobry|witam|ahoj|dobrý den|szia|jó napot|bună ziua|"
    r"merhaba|günaydın|привет|здравствуйте|доброе утро|добрый (?:день|вечер)|вітаю|добрий день|"
    r"γεια σ(?:ου|ας)|"
    r"こんにちは|おはよう(?:ございます)?|こんばんは|お世話になっております|你好|您好|早上好|안녕하세요|안녕"
    r")(?P<whom>(?:,? (?:[^\s,.!?…:;]+|(?:[DFHM]r|Mrs|Prof|\w)\.)){0,6})",
    re.IGNORECASE,
)
_NO_WORD_AT_END = re.compile(r"\W+$")
_MOST_GREETINGS = 3


def one_line(text: str) -> str:
    """Fit for a header: no line breaks, no control characters, single spaces, bounded."""
    return " ".join(_BREAK.sub(" ", text[: 4 * _KEPT]).split())[:_KEPT].rstrip()


def base(subject: str) -> str:
    """The subject that a thread keeps: without `Re:` and its kin, however many."""
    subject = one_line(subject)
    for _ in range(10):
        mark = _MARK.match(subject)
        if not mark:
            break
        subject = subject[mark.end() :].lstrip()
    return subject


def reply(subject: str) -> str:
    """The subject of what continues a thread."""
    kept = base(subject)
    return f"Re: {kept}" if kept else ""


def from_body(body: str) -> str:
    """The first sentence of a text that says more than hello, up to 60 characters; never empty."""
    said = (one_line(line).lstrip("> ") for line in body[:4000].split("\n"))
    text = _beyond_greetings([line for line in said if line])
    if not text:
        return "(no subject)"
    sentence = _SENTENCE_END.split(text, maxsplit=1)[0].strip()
    if len(sentence) <= LONGEST:
        whole = sentence.endswith("..") or len(sentence) == 1
        return sentence if whole else sentence.removesuffix(".")
    cut = sentence[:LONGEST]
    at_word = cut.rpartition(" ")[0]
    return (at_word if len(at_word) > LONGEST // 2 else cut[: LONGEST - 1]).rstrip(" ,;:-–") + "…"


def _beyond_greetings(lines: list[str]) -> str:
    """The first line without the greetings that it begins with, or the next; the first if that is all."""
    left = lines
    for _ in range(_MOST_GREETINGS):
        if not left:
            break
        if _only_greets(left[0]):
            left = left[1:]
            continue
        first, *rest = _SENTENCE_END.split(left[0], maxsplit=1)
        if not _only_greets(first) or not rest or not rest[0].strip():
            return left[0]
        left = [rest[0].strip(), *left[1:]]
    return (left or lines or [""])[0]


def _only_greets(text: str) -> bool:
    """Whether nothing but a greeting stands there. Names are known by their capitals; one word may do
    without (`hi alice`, `Hallo zusammen`, `Dear Sir or Madam`)."""
    found = _GREETING.fullmatch(_NO_WORD_AT_END.sub("", text))
    if found is None:
        return False
    return sum(not word[0].isupper() for word in found["whom"].replace(",", " ").split()) <= 1
