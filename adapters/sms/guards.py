"""Whether a text may go, and when: opt-outs, pauses, loops, quotas, pace. Pure: what is remembered in,
what shall be remembered and the decision out. One transaction of the memory runs `decide`.

Keys of the memory:
- `stop/POOL/CONTACT`   the contact has opted out of the pool (our number, or a Messaging Service)
- `pause/NUMBER`        carriers refuse our number; nobody is asked for a while
- `loop/NUMBER/CONTACT` replies in quick succession within the pair
- `quota/JID/DAY`       segments and new numbers of a user
- `pace/NUMBER`         when our number's next segment may go
- `turn/DELIVERY`       when a text's turn is, or that it has been handed to the provider
- `over/MESSAGE`        the first part of a long text was over a quota: the others don't go either
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import phonenumbers
from phonenumbers import PhoneNumberType

from adapters.sms import refusals
from bridge.i18n import Phrase, tr, trn
from bridge.ports import Kept, Refused, Scope, TryLater

DAY = 86400.0
FOR_GOOD = 10 * 365 * DAY
REPLY_WITHIN = 30.0  # seconds: Twilio counts replies closer than that (14107)
MOST_REPLIES = 30
_LOOP_RESTS = 300.0
_PAUSE = 900.0
_AT_ONCE = 0.05  # seconds that nobody need wait for

STOP_WORDS = frozenset({"STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "CANCEL", "REVOKE", "OPTOUT"})
START_WORDS = frozenset({"START", "YES", "UNSTOP"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings allow. A rate of 0 is no pace; a quota of 0 is none."""

    validity: float  # seconds
    segments_per_day: int
    new_numbers_per_day: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A text that wants to go."""

    delivery: int
    sender: str
    contact: str
    pool: str
    jid: str
    segments: int
    counted: int  # segments that the day's quota is charged: a whole message's with its first part
    rate: float  # segments a second from this sender; 0: at once
    first: bool  # nothing was exchanged with the contact before
    heard_at: float  # when the contact last wrote; 0: not lately
    recorded_at: float
    now: float
    over: str = ""  # the key of that name, for a text of several parts

    @property
    def turn(self) -> str:
        return f"turn/{self.delivery}"

    @property
    def stop(self) -> str:
        return stop_key(self.pool, self.contact)

    @property
    def pause(self) -> str:
        return f"pause/{self.sender}"

    @property
    def loop(self) -> str:
        return f"loop/{self.sender}/{self.contact}"

    @property
    def quota(self) -> str:
        return f"quota/{self.jid}/{_date(int(self.now // DAY))}"

    @property
    def pace(self) -> str:
        return f"pace/{self.sender}"

    @property
    def keys(self) -> tuple[str, ...]:
        keys = self.turn, self.stop, self.pause, self.loop, self.quota, self.pace
        return (*keys, self.over) if self.over else keys


@lru_cache(maxsize=16)
def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * DAY, UTC):%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class Go:
    """Hand it to the provider now."""


class Looping(Refused):
    """Refused because two machines seem to answer each other: the admin is told as well."""


Decision = Go | TryLater | Refused
Known = Mapping[str, Any]
Writes = dict[str, Kept | None]


def stop_key(pool: str, contact: str) -> str:
    return f"stop/{pool}/{contact}"


def decide(ask: Ask, limits: Limits, known: Known) -> tuple[Writes, Decision]:
    """Whether the text goes now. What was counted for it once is not counted again."""
    turn = known.get(ask.turn, {})
    if refusal := _barred(ask, known):
        return {}, refusal
    if "gone" in turn:  # the provider did not take it the first time
        return {ask.turn: _gone(ask)}, Go()
    if "at" in turn:
        if turn["at"] - ask.now > _AT_ONCE:
            return {}, _wait(turn["at"] - ask.now)
        return {ask.turn: _gone(ask)}, Go()
    writes: Writes = {}
    for step in (_loop, _quota, _pace):
        refusal = step(ask, limits, known, writes)
        if refusal is not None:
            # What is refused is not counted; the guard against loops remembers that it has refused, and
            # half a text is worse than none.
            remembered = ask.loop if isinstance(refusal, Looping) else ask.over
            return {key: kept for key, kept in writes.items() if key == remembered}, refusal
    turn_now = writes[ask.turn]
    at = turn_now.value.get("at") if turn_now is not None else None
    return writes, Go() if at is None else _wait(at - ask.now)


def _gone(ask: Ask) -> Kept:
    return Kept({"gone": ask.now}, 3 * DAY)


def _wait(seconds: float) -> TryLater:
    return TryLater(
        tr("Our number sends as fast as carriers allow; this text's turn comes."), seconds, Scope.TURN
    )


def _barred(ask: Ask, known: Known) -> Refused | None:
    if ask.stop in known:
        meaning = refusals.MEANINGS[21610]
        return Refused(
            refusals.coded(meaning.sentence, 21610), meaning.condition, meaning.error_type, "21610"
        )
    if ask.pause in known:
        code = int(known[ask.pause]["code"])
        meaning = refusals.MEANINGS[code]
        return Refused(
            refusals.coded(meaning.sentence, code), meaning.condition, meaning.error_type, str(code)
        )
    return None


def _loop(ask: Ask, limits: Limits, known: Known, writes: Writes) -> Refused | None:
    """Counts answers that follow a text of the contact's within 30 s, one for each of its texts."""
    was = known.get(ask.loop, {"count": 0, "at": 0.0})
    if was.get("until", 0.0) > ask.now:
        return _looping()
    answers = 0.0 <= ask.now - ask.heard_at < REPLY_WITHIN
    if not answers and ask.loop not in known:
        return None
    if ask.now - was["at"] > REPLY_WITHIN:
        count = 1 if answers else 0
    else:
        count = was["count"] + (1 if answers and ask.heard_at > was["at"] else 0)
    state = {"count": count, "at": ask.now}
    if count > MOST_REPLIES:
        writes[ask.loop] = Kept({**state, "count": 0, "until": ask.now + _LOOP_RESTS}, _LOOP_RESTS)
        return _looping()
    writes[ask.loop] = Kept(state, 10 * REPLY_WITHIN)
    return None


def _looping() -> Looping:
    meaning = refusals.MEANINGS[14107]
    return Looping(
        tr(
            "This looks like two machines answering each other, so the gateway stopped it. Write again in a "
            "few minutes."
        ),
        meaning.condition,
        meaning.error_type,
        "14107",
    )


def _quota(ask: Ask, limits: Limits, known: Known, writes: Writes) -> Refused | None:
    used = known.get(ask.quota, {"segments": 0, "new": 0})
    # A number that nothing has reached yet stays a new one, but counts once a day.
    met = used.get("met", [])
    fresh = ask.first and ask.contact not in met
    segments, new = used["segments"] + ask.counted, used["new"] + fresh
    over = known.get(ask.over, "")
    if limits.segments_per_day and segments > limits.segments_per_day:
        over = "segments"
    elif limits.new_numbers_per_day and fresh and new > limits.new_numbers_per_day:
        over = "new"
    if over:
        if ask.over:
            writes[ask.over] = Kept(over, 2 * DAY)
        return _used_up(over, limits)
    if fresh and limits.new_numbers_per_day:
        met = [*met, ask.contact]
    writes[ask.quota] = Kept({"segments": segments, "new": new, "met": met}, 2 * DAY)
    return None


def _used_up(over: str, limits: Limits) -> Refused:
    what: Phrase = trn("{number} text segment", "{number} text segments", limits.segments_per_day)
    if over == "new":
        what = trn("{number} new number", "{number} new numbers", limits.new_numbers_per_day)
    return Refused(
        tr(
            "That is more than the {what} that you may write to in a day. It starts anew at midnight (UTC); "
            "the gateway's admin can raise it.",
            what=what,
        ),
        "resource-constraint",
        "wait",
        "quota",
    )


def _pace(ask: Ask, limits: Limits, known: Known, writes: Writes) -> Refused | None:
    if not ask.rate:
        writes[ask.turn] = _gone(ask)
        return None
    at = max(known.get(ask.pace, 0.0), ask.now)
    if at - ask.recorded_at > limits.validity:
        meaning = refusals.MEANINGS[30036]
        return Refused(meaning.sentence, meaning.condition, meaning.error_type, "30036")
    busy = ask.segments / ask.rate
    writes[ask.pace] = Kept(at + busy, at - ask.now + busy + 60.0)
    writes[ask.turn] = _gone(ask) if at - ask.now <= _AT_ONCE else Kept({"at": at}, 3 * DAY)
    return None


# --- what else is remembered ---


def opt(key: str, *, out: bool, by: str, now: float) -> Callable[[Known], tuple[Writes, bool]]:
    """Remember that a contact opted out, or in again; the answer is whether that is news."""

    def change(known: Known) -> tuple[Writes, bool]:
        if out:
            return ({}, False) if key in known else ({key: Kept({"at": now, "by": by}, FOR_GOOD)}, True)
        return ({key: None}, True) if key in known else ({}, False)

    return change


def pause(sender: str, code: int) -> Callable[[Known], tuple[Writes, None]]:
    """Remember that carriers refuse our number."""
    return lambda known: ({f"pause/{sender}": Kept({"code": code}, _PAUSE)}, None)


def opt_word(body: str, told: str = "") -> str:
    """STOP or START if a text is nothing but such a word, else empty. `told` is the provider's verdict."""
    if told.upper() in ("STOP", "START"):
        return told.upper()
    word = body.strip().rstrip(".!").upper()
    return "STOP" if word in STOP_WORDS else "START" if word in START_WORDS else ""


@lru_cache(maxsize=1024)
def usual_rate(number: str) -> float:
    """Segments a second that carriers take from a number of this kind."""
    digits = number.partition(";")[0]
    if not digits.startswith("+"):
        return 100.0 if digits.isdecimal() else 10.0
    if not digits.startswith("+1"):
        return 10.0
    try:
        kind = phonenumbers.number_type(phonenumbers.parse(digits, None))
    except phonenumbers.NumberParseException:
        return 1.0
    return 3.0 if kind == PhoneNumberType.TOLL_FREE else 1.0
