"""What [transport.sms] may say, and how it is told what is wrong."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.sms import settings


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"account_sid": "AC12"}, "no account SID"),
        ({"account_sid": "8e2b6c0a-0c1e-4a53-9a3c-7f1d5a1f0b2c"}, "Twilio's begins with"),
        ({"auth_token": " "}, "auth token is empty"),
        ({"api_url": "api.twilio.com"}, "as a URL"),
        ({"api_url": "http://sms.example.org"}, "in the clear"),
        ({"numbers": ()}, "at least 1"),
        ({"numbers": ("555 1000",)}, "E.164"),
        ({"numbers": ("+15550001000", "+15550001000")}, "twice"),
        ({"region": "USA"}, "no region"),
        ({"provider": "carrier pigeon"}, "'twilio'"),
        ({"validity_hours": 0}, "0.01"),
        ({"account_sid": ""}, "account_sid is missing"),
        ({"messaging_service_sid": "MG1"}, "messaging_service_sid"),
        ({"shared": ("+15559999999",)}, "does not stand in numbers"),
        ({"sims": {"+15559999999": 1}}, "does not stand in numbers"),
        ({"countries": ("USA",)}, "no country"),
        ({"provider": "android"}, "give the phone's address"),
        ({"provider": "android", "api_url": "http://192.168.1.10:8080"}, "username is missing"),
        (
            {
                "provider": "android",
                "api_url": "http://phone.example.org",
                "username": "a",
                "password": "b",
                "signing_key": "c",
            },
            "across the Internet",
        ),
        ({"coalesce": 3}, "Extra inputs"),
    ],
)
def test_a_fault_is_told_in_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**changes)
    assert sentence in str(caught.value)
    assert "a token of the tests" not in str(caught.value)


def test_signalwire_works_by_its_url_and_project_id() -> None:
    found = settings(
        account_sid="8e2b6c0a-0c1e-4a53-9a3c-7f1d5a1f0b2c", api_url="https://space.example.org/api/laml/"
    )
    assert found.api_url == "https://space.example.org/api/laml"


def test_the_defaults_are_those_of_the_design() -> None:
    found = settings()
    assert (found.provider, found.api_url, found.region, found.validity_hours) == (
        "twilio",
        "https://api.twilio.com",
        "US",
        4.0,
    )
