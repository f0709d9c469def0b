"""Whether a program wrote a mail (RFC 3834), and whether it did so as an answer. Reads the head only."""

import hashlib
import re
import time

from adapters.email.headers import Head
from bridge.options import GENERATED, REPLIED

_GENERATED_BY_PRECEDENCE = frozenset({"bulk", "junk", "list"})
_MARKS = ("x-autoreply", "x-autorespond", "x-autoresponse", "x-vacation", "x-mail-autoreply")
# What programs put before the subject that they answer; only believed beside a header that tells.
_SUBJECT = re.compile(
    r"\s*(?:auto(?:matic|matische|matisk[ae]?|maattinen)?[ :-]?\s?"
    r"(?:reply|response|antwort|svar|vastaus|antwoord)"
    r"|automatisch antwoord|autosvar|out of (?:the )?office|abwesend|abwesenheit|ooo\b"
    r"|réponse automatique|absence du bureau|respuesta automática|fuera de (?:la )?oficina"
    r"|risposta automatica|fuori sede|resposta automática|odpowiedź automatyczna|automatická odpověď"
    r"|автоответ|автоматический ответ|自动回复|自動回覆|自動返信|자동 ?회신|otomatik yanıt)",
    re.IGNORECASE,
)


def kind(head: Head, *, null_sender: bool) -> str:
    """REPLIED for an answer by itself (out of office, "we have got your mail"), GENERATED for what a program
    sends of its own accord (notifications, newsletters), "" for a mail that a person wrote."""
    submitted = head.raw("auto-submitted")[:100].partition(";")[0].strip().lower()
    precedence = head.raw("precedence")[:60].strip().lower()
    if submitted == "auto-replied" or precedence in ("auto_reply", "auto-reply"):
        return REPLIED
    if any(head.raw(mark)[:20].strip().lower() not in ("", "no") for mark in _MARKS):
        return REPLIED
    suppresses = head.raw("x-auto-response-suppress") != ""
    told = submitted not in ("", "no") or suppresses or null_sender
    if told and _SUBJECT.match(head.text("subject")):
        return REPLIED
    if null_sender and (head.raw("in-reply-to") or head.raw("references")):
        return REPLIED
    machine = submitted not in ("", "no") or precedence in _GENERATED_BY_PRECEDENCE or null_sender
    return GENERATED if machine else ""


def once_a_day(sender: str, body: str, at: float) -> str:
    """The dedupe key of an automatic answer: the same words of one sender are shown once a day."""
    day = time.strftime("%Y-%m-%d", time.gmtime(at))
    words = hashlib.sha256(" ".join(body.split()).encode("utf-8", "replace")).hexdigest()[:20]
    return f"auto {day} {sender} {words}"
