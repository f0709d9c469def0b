"""Addresses of the telephone world, as a table."""

import pytest

from adapters.sms import numbers
from adapters.sms.numbers import AddressKind
from bridge.ports import BadAddress


@pytest.mark.parametrize(
    ("text", "region", "canonical"),
    [
        ("+15551234567", "US", "+15551234567"),  # possible, though not valid
        ("+1 (555) 123-4567", "US", "+15551234567"),
        ("tel:+15551234567", "US", "+15551234567"),
        ("+٤٩ ١٧٠ ٥٥٥٠١٩٩", "DE", "+491705550199"),
        ("+491705550199", "US", "+491705550199"),
        ("72975", "US", "72975;phone-context=+1"),
        ("72975", "DE", "72975;phone-context=+49"),
        ("72975;phone-context=+1", "DE", "72975;phone-context=+1"),
        ("MYBANK", "US", "mybank"),
        ("My Bank 24", "US", "my bank 24"),
    ],
)
def test_what_is_accepted_has_one_canonical_form(text: str, region: str, canonical: str) -> None:
    assert numbers.canonical(text, region).canonical == canonical
    assert numbers.canonical(canonical, region).canonical == canonical


def test_the_spelling_of_a_person_is_kept() -> None:
    assert numbers.canonical("MYBANK", "US").original == "MYBANK"


@pytest.mark.parametrize(
    ("text", "region", "meant"),
    [
        ("12125551212", "US", "+12125551212"),
        ("2125551212", "US", "+12125551212"),
        ("0170 5550199", "DE", "+491705550199"),
        ("0049 170 5550199", "US", "+491705550199"),
    ],
)
def test_a_number_without_country_code_is_answered_with_the_right_one(
    text: str, region: str, meant: str
) -> None:
    with pytest.raises(BadAddress) as caught:
        numbers.canonical(text, region)
    assert (caught.value.correct, caught.value.condition) == (meant, "gone")
    assert meant in str(caught.value)


@pytest.mark.parametrize(
    ("text", "region"),
    [("911", "US"), ("112", "US"), ("999", "DE"), ("+911", "US"), ("110", "DE"), ("9-1-1", "US")],
)
def test_emergency_numbers_are_refused_everywhere(text: str, region: str) -> None:
    with pytest.raises(BadAddress, match="Emergency services can't be reached") as caught:
        numbers.canonical(text, region)
    assert caught.value.condition == "not-allowed"
    assert not caught.value.correct


@pytest.mark.parametrize(
    "text",
    ["", "  ", "+", "+1555", "+15551234567890123", "12", "hello there world", "5551234", "x" * 5000, "+1;2"],
)
def test_what_is_no_number_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(BadAddress) as caught:
        numbers.canonical(text, "US")
    assert not caught.value.correct
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "canonical", "kind"),
    [
        ("+15551234567", "+15551234567", AddressKind.E164),
        ("+5215512345678", "+5215512345678", AddressKind.E164),  # no longer possible, still in use
        ("72975", "72975;phone-context=+1", AddressKind.SHORT_CODE),
        ("MYBANK", "mybank", AddressKind.ALPHANUMERIC),
        ("", "unknown", AddressKind.ALPHANUMERIC),
        ("whatsapp:+15551234567", "whatsapp:+15551234567", AddressKind.CHANNEL),
    ],
)
def test_inbound_senders_are_taken_as_they_come(text: str, canonical: str, kind: AddressKind) -> None:
    address = numbers.inbound(text, "US")
    assert (address.canonical, numbers.kind_of(address.canonical)) == (canonical, kind)


def test_the_api_is_given_a_short_code_without_its_context() -> None:
    assert numbers.for_api("72975;phone-context=+1") == "72975"
    assert numbers.for_api("+15551234567") == "+15551234567"
