"""What [transport.NAME] says for an SMS transport, checked before anything starts. Sends nothing."""

import ipaddress
import re
from typing import Literal, Self
from urllib.parse import urlsplit

import phonenumbers
from pydantic import Field, SecretStr, field_validator, model_validator

from bridge.kit import Secret, TransportSettings

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# Twilio's own form, or the project id (a UUID) that SignalWire uses in the same place.
_ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TWILIO = "https://api.twilio.com"
_NONE = SecretStr("")


class SmsSettings(TransportSettings):
    """The keys of an SMS transport. `numbers` are our own senders, in E.164, best first."""

    provider: Literal["twilio", "android"] = "twilio"
    api_url: str = TWILIO
    # Twilio and what speaks like it
    account_sid: str = ""
    auth_token: Secret = _NONE
    messaging_service_sid: str = Field(default="", pattern=r"^(MG[0-9a-fA-F]{32})?$")
    # What web-hooks are signed with: the auth token at Twilio, a key of their own elsewhere.
    signing_key: Secret = _NONE
    # an Android phone
    username: str = ""
    password: Secret = _NONE
    sims: dict[str, int] = Field(default_factory=dict)  # our number → SIM slot (1 to 3)

    numbers: tuple[str, ...] = Field(min_length=1)
    shared: tuple[str, ...] = ()  # those that any number of users may have
    numbers_per_user: int = Field(default=1, ge=1, le=50)  # how many a user may take from them
    region: str = "US"
    # The first text to a number waits so long and can be taken back; 0: it goes at once.
    hold_first_seconds: float = Field(default=10.0, ge=0, le=120)
    countries: tuple[str, ...] = ()  # whose numbers may be written to; empty: the region's own; "*": all
    smart_encoding: bool = True
    validity_hours: float = Field(
        default=4.0, ge=0.01, le=10.0
    )  # Twilio drops what it could not send by then
    segments_per_second: float | None = Field(default=None, ge=0)  # None: by the number's kind; 0: no pace
    segments_per_day: int = Field(default=100, ge=0)  # of one user; 0: no limit
    new_numbers_per_day: int = Field(default=10, ge=0)
    receipt_after_hours: float = Field(default=4.0, gt=0)  # for carriers that report nothing
    poll_seconds: float = Field(default=300.0, ge=0)  # how often missed texts are looked for; 0: never
    media_megabytes: float = Field(default=5.0, gt=0, le=25)  # the largest file that comes in
    media_allow: tuple[str, ...] = ()  # private hosts that files may come from (a provider of one's own)
    mms_megabytes: float = Field(default=1.0, gt=0, le=5)  # to what pictures are made smaller
    timeout_seconds: float = Field(default=10.0, gt=0, le=120)  # one API call, from first to last byte

    @field_validator("account_sid")
    @classmethod
    def _account_form(cls, value: str) -> str:
        if value and not _ACCOUNT.fullmatch(value):
            raise ValueError(
                'this is no account SID: copy it from the provider\'s console ("AC" and 32 hexadecimal '
                "digits; at SignalWire the project id)"
            )
        return value

    @field_validator("api_url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("give the API's base as a URL, such as https://api.twilio.com")
        return value.rstrip("/")

    @field_validator("numbers", "shared")
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

    @field_validator("countries")
    @classmethod
    def _known_countries(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for country in value:
            if country != "*" and country.upper() not in phonenumbers.SUPPORTED_REGIONS:
                raise ValueError(f'{country!r} is no country: use two letters such as US, or "*" for all')
        return tuple(country.upper() for country in value)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if unknown := set(self.shared) - set(self.numbers):
            raise ValueError(f"shared: {min(unknown)} does not stand in numbers; list it there as well")
        if unknown := set(self.sims) - set(self.numbers):
            raise ValueError(f"sims: {min(unknown)} does not stand in numbers; list it there as well")
        (self._check_twilio if self.provider == "twilio" else self._check_android)()
        return self

    def _check_twilio(self) -> None:
        parts = urlsplit(self.api_url)
        host = parts.hostname or ""
        if not self.account_sid:
            raise ValueError("account_sid is missing: copy it from the provider's console")
        if not self.auth_token.get_secret_value().strip():
            raise ValueError("the auth token is empty: copy it from the provider's console")
        if host.endswith("twilio.com") and not self.account_sid.startswith("AC"):
            raise ValueError(
                'account_sid: Twilio\'s begins with "AC"; for another provider set api_url as well'
            )
        if parts.scheme == "http" and host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("the auth token would travel in the clear: use https:// here")

    def _check_android(self) -> None:
        parts = urlsplit(self.api_url)
        if self.api_url == TWILIO:
            raise ValueError('api_url: give the phone\'s address, such as "http://192.168.1.10:8080"')
        for name in ("username", "password", "signing_key"):
            value = getattr(self, name)
            if not (value if isinstance(value, str) else value.get_secret_value()).strip():
                raise ValueError(f"{name} is missing: the app on the phone shows it")
        if parts.scheme == "http" and not _is_near(parts.hostname or ""):
            raise ValueError("the password would travel in the clear across the Internet: use https:// here")


def _is_near(host: str) -> bool:
    """Whether a host stands in a network of one's own."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".local", ".lan", ".internal", ".home.arpa"))
