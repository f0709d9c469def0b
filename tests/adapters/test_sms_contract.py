"""The SMS adapter passes what every adapter must pass."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import pytest

from bridge.demo.phone import TwilioStandIn
from bridge.demo.texts import Goes, Refuse
from tests.adapters.contract import AdapterContract, FarEnd
from tests.support import twilio_contract
from tests.support.contract_tour import phone_tour, tour
from tests.support.sms import ACCOUNT, ALICE, OURS, TOKEN

NOBODY = "+15550009999"
TABLE: Mapping[str, Any] = {
    "adapter": "sms",
    "jid": "sms.example.org",
    "secret": "component-secret",
    "account_sid": ACCOUNT,
    "auth_token": TOKEN,
    "api_url": "http://127.0.0.1:1",
    "numbers": [OURS, "+15550001001"],
    "segments_per_second": 0,
    "poll_seconds": 0,
}


class TestSms(AdapterContract):
    name = "sms"
    table: ClassVar[Mapping[str, Any]] = TABLE
    typed: ClassVar[Mapping[str, str]] = {
        ALICE: ALICE,
        " +1 (555) 123-4567 ": ALICE,
        "tel:+49-170-5550199": "+491705550199",
        "72975": "72975;phone-context=+1",
        "MYBANK": "mybank",
    }
    nonsense: ClassVar[Sequence[str]] = (
        "",
        "12125551212",
        "911",
        "+1",
        "+15551234567890123",
        "hello, dear world",
        "alice@example.com",
        "+1555\r\n1234567\0",
    )
    line = OURS
    stranger = None  # the numbers are the pool's, whoever registers

    @pytest.fixture
    async def far_end(self) -> AsyncIterator[FarEnd]:
        contract = twilio_contract.Report()
        async with AsyncExitStack() as stack:
            twilio = TwilioStandIn(ACCOUNT, TOKEN, {OURS: ""}, check=contract.check)
            twilio.usual = Goes(())  # the contract's public URL is nobody's: nothing is reported there
            twilio.always(NOBODY, Refuse(21211))
            api_url = await stack.enter_async_context(twilio.running())
            yield FarEnd(settings={**TABLE, "api_url": api_url}, good=ALICE, bad=NOBODY, leave=stack.aclose)
        assert contract.faults == []


async def test_everything_that_is_asked_of_twilio_stands_in_its_own_file() -> None:
    report = await tour()
    assert report.faults == []
    operations = {
        f"{name.partition(' ')[0]} {name.rpartition('{AccountSid}/')[2]}" for name in report.requests
    }
    assert {
        "POST Messages.json",
        "GET Messages.json",
        "GET Messages/{MessageSid}/Media.json",
        "DELETE Messages/{MessageSid}/Media/{Sid}.json",
        "GET IncomingPhoneNumbers.json",
        "POST IncomingPhoneNumbers/{Sid}.json",
    } <= operations
    asked = {name.rpartition(" ")[2] for name in report.parameters}
    assert {"To", "From", "Body", "MediaUrl", "StatusCallback", "ValidityPeriod", "SmartEncoded", "DateSent>",
            "MessagingServiceSid", "SmsUrl", "SmsMethod", "PhoneNumber"} <= asked  # fmt: skip
    assert report.lines()[-1].endswith("none refused.")


async def test_everything_that_is_asked_of_a_phone_stands_in_its_app_s_description() -> None:
    report = await phone_tour()
    assert report.faults == []
    assert {"POST /messages", "GET /messages", "GET /webhooks", "POST /webhooks"} <= set(report.requests)
    assert {"sms:received", "sms:delivered", "mms:downloaded"} <= set(report.events)
