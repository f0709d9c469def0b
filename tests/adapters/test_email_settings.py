"""What [transport.mail] may say, and what it answers when it is wrong."""

from typing import Any

import pytest
from pydantic import ValidationError

from adapters.email.settings import EmailSettings, read_host_port
from tests.adapters.test_email_contract import TABLE

FULL = {
    **TABLE,
    "user_domain": "example.org",
    "coalesce_seconds": 0,
    "inbound": {
        "listen": "127.0.0.1:2525",
        "protocol": "lmtp",
        "trusted": ["127.0.0.1", "10.1.0.0/16"],
        "authserv_id": "mx.example.org",
        "max_megabytes": 25,
    },
    "outbound": {
        "host": "smtp.example.org",
        "port": 587,
        "tls": "starttls",
        "username": "gateway",
        "password": "pass phrase",
    },
    "accounts": {"allowed": False},
}


def fault(**changes: Any) -> str:
    with pytest.raises(ValidationError) as error:
        EmailSettings.model_validate({**TABLE, **changes})
    return "; ".join(one["msg"] for one in error.value.errors())


def test_all_that_the_design_names_is_understood() -> None:
    settings = EmailSettings.model_validate(FULL)
    assert settings.inbound is not None
    assert settings.inbound.trusted == ("127.0.0.1/32", "10.1.0.0/16")
    assert settings.outbound.password.get_secret_value() == "pass phrase"
    assert "pass phrase" not in repr(settings)


def test_little_is_enough() -> None:
    settings = EmailSettings.model_validate({key: TABLE[key] for key in TABLE if key != "outbound"})
    assert (settings.coalesce_seconds, settings.inbound) == (30.0, None)
    assert (settings.outbound.host, settings.outbound.port, settings.outbound.tls) == (
        "127.0.0.1",
        25,
        "none",
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"address": "chat@chat.example.org"}, "put {user} into it"),
        ({"domains": ["a.example", "b.example"], "address": "{user}@a.example"}, "{user}@{domain}"),
        ({"address": "{user}@other.example"}, 'add "other.example" to domains'),
        ({"address": "{user}"}, "makes no mail address"),
        ({"domains": []}, "at least 1"),
        ({"domains": ["no domain"]}, "is no domain"),
        ({"coalesce_seconds": -1}, "greater than or equal to 0"),
        ({"inbound": {"listen": "2525"}}, "is not HOST:PORT"),
        ({"inbound": {"listen": "127.0.0.1:smtp"}}, "is not HOST:PORT"),
        ({"inbound": {"listen": "127.0.0.1:70000"}}, "is not HOST:PORT"),
        ({"inbound": {"listen": "::1:2525"}}, "stands in brackets"),
        ({"inbound": {"listen": "0.0.0.0:25", "verify": False}}, "name the relays"),
        ({"inbound": {"listen": "192.0.2.1:24", "protocol": "lmtp"}}, "name the relays"),
        ({"inbound": {"listen": "127.0.0.1:24", "protocol": "lmtp", "verify": True}}, "authserv_id"),
        ({"inbound": {"listen": "127.0.0.1:25", "on_fail": "drop"}}, "'mark' or 'refuse'"),
        ({"inbound": {"listen": "127.0.0.1:25", "trusted": ["mx.example.org"]}}, "is no address or network"),
        ({"inbound": {"listen": "127.0.0.1:25", "max_megabytes": 0}}, "greater than or equal to 1"),
        ({"inbound": {"listen": "127.0.0.1:25", "protocol": "uucp"}}, "'smtp' or 'lmtp'"),
        ({"outbound": {"host": "smtp.example.org:25"}}, "the port is another key"),
        ({"outbound": {"host": "smtp.example.org", "tls": "ssl"}}, "'none', 'starttls' or 'implicit'"),
        ({"outbound": {"host": "127.0.0.1", "username": "me"}}, "set password too"),
        ({"outbound": {"host": "127.0.0.1", "password": "me"}}, "set username too"),
        (
            {"outbound": {"host": "smtp.example.org", "username": "me", "password": "x"}},
            'set tls = "starttls"',
        ),
        ({"mailbox": {"host": "imap.example.org"}}, "username is missing"),
        ({"mailbox": {"host": "imap.example.org", "username": "me"}}, "set password too"),
        (
            {"mailbox": {"host": "imap.example.org", "username": "me", "password": "x", "tls": "none"}},
            'set tls = "starttls"',
        ),
        ({"accounts": {"allowed": True, "hosts": ["imap.example.org:993"]}}, "the port is another key"),
        ({"mailbox": {"host": "imap.example.org", "user": "me"}}, "Extra inputs"),
    ],
)
def test_a_fault_says_what_to_do(changes: dict[str, Any], words: str) -> None:
    assert words in fault(**changes)


@pytest.mark.parametrize("listen", ["127.0.0.1:2525", "[::1]:2525", "localhost:2525", "127.3.2.1:0"])
def test_a_listener_on_loopback_needs_no_relays(listen: str) -> None:
    EmailSettings.model_validate({**TABLE, "inbound": {"listen": listen}})


def test_a_listener_for_others_names_its_relays() -> None:
    EmailSettings.model_validate({**TABLE, "inbound": {"listen": "0.0.0.0:25", "trusted": ["192.0.2.25"]}})


def test_hosts_and_ports_are_told_apart() -> None:
    assert read_host_port("[::1]:25") == ("::1", 25)
    assert read_host_port("mx.example.org:25") == ("mx.example.org", 25)


def test_domains_are_kept_as_a_labels() -> None:
    settings = EmailSettings.model_validate(
        {**TABLE, "domains": ["Bücher.example"], "address": "{user}@bücher.example"}
    )
    assert settings.domains == ("xn--bcher-kva.example",)


PLACES = {"imap": "127.0.0.1:1143", "imap_tls": "none", "smtp": "127.0.0.1:1025", "smtp_tls": "none"}


def test_the_servers_of_a_domain_may_be_named_for_everybody() -> None:
    provider = {"domains": ["Family.example"], **PLACES, "proves": True}
    made = EmailSettings.model_validate({**TABLE, "accounts": {"allowed": True, "provider": [provider]}})
    assert made.accounts.provider[0].domains == ("family.example",)
    for changes, words in (
        ({"imap": "mail.example.org:143"}, "would go to mail.example.org:143 in clear"),
        ({"smtp": "mail.example.org"}, "is not HOST:PORT"),
        ({"domains": []}, "at least 1"),
    ):
        assert words in fault(accounts={"allowed": True, "provider": [{**provider, **changes}]})
