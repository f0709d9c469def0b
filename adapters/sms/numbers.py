"""Addresses of the telephone world: what a person spells, and the one form that is compared.

Pure. Knows numbering plans by the phonenumbers library; asks nobody whether a number is in service.

Canonical forms, each of which `canonical` gives back unchanged:
- E.164: `+15551234567`
- short code: `72975;phone-context=+1` (RFC 3966, section 5.1.5), since 72975 is another one elsewhere
- channel: `whatsapp:+15551234567`, in lower case
- alphanumeric sender: `mybank`, in lower case as XMPP compares nodes; it can be read, not answered
"""

import re
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import ValidationResult, is_emergency_number

from bridge.i18n import tr
from bridge.model import Address
from bridge.ports import BadAddress


class AddressKind(StrEnum):
    E164 = "e164"
    SHORT_CODE = "short code"
    ALPHANUMERIC = "alphanumeric"  # one-way: nobody can answer it
    CHANNEL = "channel"  # `whatsapp:+1555…`: another network behind the same provider; read only
    OTHER = "other"  # what a carrier shows for a hidden sender, and what we don't know


_WRITABLE = (AddressKind.E164, AddressKind.SHORT_CODE)

_E164 = re.compile(r"\+[0-9]{7,15}")
_SHORT = re.compile(r"[0-9]{3,6}")
_SHORT_IN_CONTEXT = re.compile(r"([0-9]{3,8});phone-context=\+([0-9]{1,3})")
# GSM sender names have 11 characters at most, one of them a letter.
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9 &._-]{0,10}")
# Emergency numbers of most of the world, which a phone dials from anywhere.
_EMERGENCY = frozenset({"911", "112", "999", "000", "110", "113", "118", "119", "190"})
_CHANNEL = re.compile(r"(?:whatsapp|messenger|rcs|viber):[A-Za-z0-9_+.-]{3,50}")
_LONGEST = 64  # characters in anything that could be an address


def kind_of(canonical_address: str) -> AddressKind:
    """What sort of address this canonical form is."""
    if _E164.fullmatch(canonical_address):
        return AddressKind.E164
    if _SHORT_IN_CONTEXT.fullmatch(canonical_address):
        return AddressKind.SHORT_CODE
    if _NAME.fullmatch(canonical_address):
        return AddressKind.ALPHANUMERIC
    if _CHANNEL.fullmatch(canonical_address):
        return AddressKind.CHANNEL
    return AddressKind.OTHER


def is_one_way(canonical_address: str) -> bool:
    """Whether this can be read and not answered."""
    return kind_of(canonical_address) not in _WRITABLE


@lru_cache(maxsize=4096)
def country_of(canonical_address: str) -> str:
    """Two letters; empty for a number that is in no plan, and for what is no number."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(canonical_address, None)) or ""
    except phonenumbers.NumberParseException:
        return ""


def calling_code(canonical_address: str) -> int:
    """The country code of an E.164 number, else 0."""
    try:
        return phonenumbers.parse(canonical_address, None).country_code or 0
    except phonenumbers.NumberParseException:
        return 0


@lru_cache(maxsize=4096)
def canonical(text: str, region: str) -> Address:
    """The address that a person or a JID's unescaped node spells.

    `region` is the country (two letters) whose short codes and national numbers are meant.
    Raises BadAddress; one without a country code carries the number that was probably meant.
    """
    spelled = text.strip().removeprefix("tel:")
    if not spelled or len(spelled) > _LONGEST:
        raise BadAddress(tr("That is no phone number. Write it with its country code, such as +15551234567."))
    _refuse_emergency(spelled, region)
    if short := _short_code(spelled, region):
        return Address(short, spelled)
    if _NAME.fullmatch(spelled) or _CHANNEL.fullmatch(spelled.lower()):
        return Address(spelled.lower(), spelled)
    return Address(_e164(spelled, region), spelled)


def inbound(text: str, region: str) -> Address:
    """A sender as the provider names it. Taken as it comes: never refused for its form."""
    spelled = text.strip()[:_LONGEST]
    if _SHORT.fullmatch(spelled) or (spelled.isdecimal() and spelled.isascii() and len(spelled) <= 8):
        return Address(_in_context(spelled, region), spelled)
    if spelled[:1] in "0123456789" and (number := _possible(spelled, region)):
        return Address(number, spelled)  # a phone of one's own shows numbers of its country so
    return Address(spelled.lower() or "unknown", spelled or "unknown")


def for_api(canonical_address: str) -> str:
    """The form that the provider's API takes: a short code goes without its context."""
    return canonical_address.partition(";")[0]


def _refuse_emergency(spelled: str, region: str) -> None:
    dialled = spelled.partition(";")[0]
    digits = re.sub(r"\D", "", dialled)
    if len(digits) > 3 or any(map(str.isalpha, dialled)):
        return
    if digits in _EMERGENCY or is_emergency_number(digits, region):
        raise BadAddress(
            tr("Emergency services can't be reached from here. Call {digits} from a phone.", digits=digits),
            condition="not-allowed",
        )


def _short_code(spelled: str, region: str) -> str:
    if found := _SHORT_IN_CONTEXT.fullmatch(spelled):
        return found.group(0)
    return _in_context(spelled, region) if _SHORT.fullmatch(spelled) else ""


def _in_context(digits: str, region: str) -> str:
    return f"{digits};phone-context=+{phonenumbers.country_code_for_region(region)}"


def _e164(spelled: str, region: str) -> str:
    if spelled.startswith(("+", "＋")):
        return _with_country_code(spelled)
    meant = _possible(f"+{spelled[2:]}", None) if spelled.startswith("00") else ""
    meant = meant or _possible(spelled, region)
    if meant:
        raise BadAddress(
            tr("The country code is missing: did you mean {number}?", number=meant),
            correct=meant,
            condition="gone",
        )
    raise BadAddress(tr("That is no phone number. Write it with its country code, such as +15551234567."))


def _with_country_code(spelled: str) -> str:
    if number := _possible(spelled, None):
        return number
    raise BadAddress(
        tr("No phone number has that form: digits are missing or too many. Check it, country code included.")
    )


def _possible(spelled: str, region: str | None) -> str:
    """E.164 when a number of this length exists in its country, else empty. Whether it is in service
    is not asked: +15551234567 is possible though not valid."""
    try:
        number = phonenumbers.parse(spelled, region)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
