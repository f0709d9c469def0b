"""Addresses: what users may be given, what strangers may have, how they compare."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.email import addresses
from adapters.email.adapter import EmailAdapter
from adapters.email.settings import EmailSettings
from bridge.ports import BadAddress
from tests.adapters.contract import context
from tests.adapters.test_email_contract import TABLE


def offered(jid: str, **changes: Any) -> list[str]:
    settings = EmailSettings.model_validate({**TABLE, **changes})
    return list(EmailAdapter.from_settings(settings, context()).own_addresses(jid))


@pytest.mark.parametrize(
    ("jid", "first"),
    [
        ("mira@example.org", "mira@chat.example.org"),
        ("Mira.B@Example.org", "mira.b@chat.example.org"),
        ("jürgen@example.org", "jurgen@chat.example.org"),
        (r"o\27neil@example.org", "o-neil@chat.example.org"),
        (r"mira\40home@example.org", "mira-home@chat.example.org"),
        ("mira+token@example.org", "mira-token@chat.example.org"),
        ("postmaster@example.org", "postmaster.user@chat.example.org"),
        ("admin@example.org", "admin.user@chat.example.org"),
    ],
)
def test_a_user_gets_an_address_that_every_server_takes(jid: str, first: str) -> None:
    assert offered(jid)[0] == first


def test_a_name_without_latin_letters_still_gets_an_address() -> None:
    first, second = offered("慧@example.org")[:2]
    assert first.startswith("user-")
    assert first.isascii()
    assert first != second


def test_only_users_of_the_named_domain_are_served() -> None:
    assert offered("mira@elsewhere.example") == []
    assert offered("mira@example.org", user_domain="people.example") == []
    assert offered("mira@people.example", user_domain="people.example")[0] == "mira@chat.example.org"


def test_with_several_domains_each_is_offered() -> None:
    both = offered("mira@example.org", domains=["a.example", "b.example"], address="{user}@{domain}")
    assert both[:2] == ["mira@a.example", "mira@b.example"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Mum <mum@example.com>", "mum@example.com"),
        ("mum%example.com", "mum@example.com"),
        ("mum @ example.com", "mum@example.com"),
        ("just words", ""),
        ("50%", ""),
    ],
)
def test_what_was_probably_meant_is_named(text: str, meant: str) -> None:
    with pytest.raises(addresses.NotAnAddress) as refusal:
        addresses.canonical(text)
    assert refusal.value.correct == meant


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        ("no-reply@localhost", "no-reply@localhost"),
        ("a b@exa mple.com", "ab@example.com"),
        ("x@[192.0.2.1]", "x@[192.0.2.1]"),
        ("nothing", ""),
        ("@", ""),
    ],
)
def test_an_odd_sender_is_still_somebody(odd: str, kept: str) -> None:
    assert addresses.lenient(odd) == kept


@given(st.text(max_size=200))
def test_a_lenient_address_fits_into_a_header_and_a_jid(text: str) -> None:
    address = addresses.lenient(text)
    assert not set(address) & set("\r\n\0<>")
    assert address == "" or "@" in address


def test_tokens_are_cut_off_but_not_from_quoted_names() -> None:
    assert addresses.without_token("mira+abc+d@chat.example.org") == "mira@chat.example.org"
    assert addresses.without_token('"a+b c"@chat.example.org') == '"a+b c"@chat.example.org'


def test_nobody_answers_a_sender_that_nothing_proves() -> None:
    adapter = EmailAdapter.from_settings(EmailSettings.model_validate(TABLE), context())
    unproven = "alice=example.com@unverified.invalid"
    for text in (unproven, f"{unproven},bob@example.com", f"bob@example.com,{unproven.upper()}"):
        with pytest.raises(BadAddress, match=r"(?i)alice@example.com") as refusal:
            adapter.canonical(text)
        assert refusal.value.condition == "not-acceptable"
