"""Which provider the settings name."""

from contextlib import AbstractAsyncContextManager

from twilio.request_validator import RequestValidator

from adapters.sms import android, twilio, webhook
from adapters.sms.provider import Hooks, Provider
from adapters.sms.settings import SmsSettings
from bridge.ports import Context


def hooks(settings: SmsSettings, context: Context) -> Hooks:
    """What reads the provider's web-hooks."""
    if settings.provider == "android":
        return android.Door(
            context.transport, context.public_url, settings, context.derive_key("sms-android")
        )
    return webhook.Door(
        context.transport,
        context.public_url,
        RequestValidator((settings.signing_key or settings.auth_token).get_secret_value()),
        context.derive_key("sms-callback"),
        settings.region,
    )


def connected(settings: SmsSettings) -> AbstractAsyncContextManager[Provider]:
    """A client of the provider, with connections of its own."""
    if settings.provider == "android":
        return android.connected(settings)
    return twilio.connected(settings)
