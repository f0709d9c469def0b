"""What [transport.NAME] says for an SMS transport, checked before anything starts. Sends nothing."""

import re
from typing import Literal, Self
from urllib.parse import urlsplit

import phonenumbers
from pydantic import Field, field_validator, model_validator

from bridge.kit import Secret, TransportSettings

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# Twilio's own form, or the project id (a UUID) that SignalWire uses in the same place.
_ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class SmsSettings(TransportSettings):
    """The keys of an SMS transport. `numbers` are our own senders, in E.164, best first."""

    provider: Literal["twilio"] = "twilio"
    account_sid: str
    auth_token: Secret
    api_url: str = "https://api.twilio.com"
    numbers: tuple[str, ...] = Field(min_length=1)
    region: str = "US"
    validity_hours: float = Field(
        default=4.0, ge=0.01, le=10.0
    )  # Twilio drops what it could not send by then
    timeout_seconds: float = Field(default=10.0, gt=0, le=120)  # one API call, from first to last byte

    @field_validator("account_sid")
    @classmethod
    def _account_form(cls, value: str) -> str:
        if not _ACCOUNT.fullmatch(value):
            raise ValueError(
                'this is no account SID: copy it from the provider\'s console ("AC" and 32 hexadecimal '
                "digits; at SignalWire the project id)"
            )
        return value

    @field_validator("auth_token")
    @classmethod
    def _token_present(cls, value: Secret) -> Secret:
        if not value.get_secret_value().strip():
            raise ValueError("the auth token is empty: copy it from the provider's console")
        return value

    @field_validator("api_url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("give the API's base as a URL, such as https://api.twilio.com")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("the auth token would travel in the clear: use https:// here")
        return value.rstrip("/")

    @field_validator("numbers")
    @classmethod
    def _own_numbers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number in value:
            if not _E164.fullmatch(number):
                raise ValueError(
                    f"{number!r} is not in E.164 form: write a plus, the country code and the number, "
                    "without spaces, such as +15550001000"
                )
        if len(set(value)) != len(value):
            raise ValueError("a number stands here twice: list each once")
        return value

    @field_validator("region")
    @classmethod
    def _known_region(cls, value: str) -> str:
        if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"{value!r} is no region: use a country's two letters, such as US or DE")
        return value.upper()

    @model_validator(mode="after")
    def _twilio_has_twilio_sids(self) -> Self:
        host = urlsplit(self.api_url).hostname or ""
        if host.endswith("twilio.com") and not self.account_sid.startswith("AC"):
            raise ValueError(
                'account_sid: Twilio\'s begins with "AC"; for another provider set api_url as well'
            )
        return self
