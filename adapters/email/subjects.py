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
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s|(?<=[。！？])")


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
    """The first sentence of a text, up to 60 characters; never empty."""
    for line in body[:4000].split("\n"):
        text = one_line(line).lstrip("> ")
        if text:
            break
    else:
        return "(no subject)"
    sentence = _SENTENCE_END.split(text, maxsplit=1)[0].strip()
    if len(sentence) <= LONGEST:
        whole = sentence.endswith("..") or len(sentence) == 1
        return sentence if whole else sentence.removesuffix(".")
    cut = sentence[:LONGEST]
    at_word = cut.rpartition(" ")[0]
    return (at_word if len(at_word) > LONGEST // 2 else cut[: LONGEST - 1]).rstrip(" ,;:-–") + "…"
