import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import addressing


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("alice@example.com", r"alice\40example.com"),
        ("+15551234567", "+15551234567"),
        ("o'hara&sons@example.com", r"o\27hara\26sons\40example.com"),
        (r"a\b@x.org", r"a\b\40x.org"),
        (r"a\20b@x.org", r"a\5c20b\40x.org"),  # a real backslash before what would read as a code
        (r"alice\40example.com", r"alice\40example.com"),  # escaped already: never twice
        ("help", "help~"),  # a sender name; the gateway itself answers under `help`
        ("helping", "helping"),
    ],
)
def test_an_address_becomes_a_node(address: str, local: str) -> None:
    assert addressing.to_local(address) == local


@pytest.mark.parametrize(
    "local",
    [
        r"alice\40example.com",
        "alice%example.com",
        r"alice\5c40example.com",  # what Gajim #7277 makes of the first
        r"alice\25example.com".replace(r"\25", "%"),
    ],
)
def test_every_way_to_write_a_mail_address_as_a_node_is_understood(local: str) -> None:
    assert addressing.to_address(local) == "alice@example.com"


@pytest.mark.parametrize(
    ("local", "address"),
    [
        ("a%b%example.com", "a%b@example.com"),  # the last % is the @
        (r"100%\40example.com", "100%@example.com"),  # a real @ leaves the % alone
        ("+15551234567", "+15551234567"),
        (r"ab\99", r"ab\99"),
        ("help~", "help"),
        ("help", "help"),
        (r"A\2FB\40x.org", "A/B@x.org"),
        ("", ""),
    ],
)
def test_a_node_becomes_an_address(local: str, address: str) -> None:
    assert addressing.to_address(local) == address


@given(st.text())
def test_unescaping_undoes_escaping(text: str) -> None:
    escaped = addressing.escape(text)
    assert addressing.unescape(escaped) == text
    assert not set(escaped) & set(" \"&'/:<>@")


@given(st.emails())
def test_every_mail_address_survives_the_way_through_a_node(address: str) -> None:
    local = addressing.to_local(address)
    assert addressing.to_address(local) == address
    assert addressing.to_local(local) == local
