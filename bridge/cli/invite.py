"""`passerelle invite`: lets somebody register whom the settings alone do not admit."""

import time
from pathlib import Path

from typer import echo

from bridge.cli.output import settings_or_trouble
from bridge.cli.record import writing
from bridge.cli.trouble import Trouble
from bridge.cli.users import bare_jid
from bridge.i18n import translate
from bridge.office import INVITATION_LASTS, invitation, new_token, tell
from bridge.settings import Secrets
from bridge.store import invites


def invite_user(config: Path, jid: str, transport: str, *, anybody: bool) -> None:
    settings = settings_or_trouble(config, Secrets.NONE)
    if bool(jid) == anybody:
        raise Trouble("Name one JID, or say --any for a code that one person may use.", 2)
    name = transport or next(iter(settings.transports))
    if name not in settings.transports:
        raise Trouble(f"There is no transport {name}. There is: {', '.join(settings.transports)}.", 2)
    gateway = settings.transports[name].jid
    bare = bare_jid(jid) if jid else ""
    token = new_token()
    now = time.time()
    with writing(settings) as connection:
        invites.invite(connection, token, bare, "", now, INVITATION_LASTS)
        if bare:
            text = translate(invitation(""), settings.gateway.language)
            tell(connection, name, gateway, [bare], text, now)
    days = round(INVITATION_LASTS / 86400)
    if bare:
        echo(f"{bare} is invited for {days} days, and is being written to by {gateway}.")
        return
    echo(f"For one person, within {days} days. They write to {gateway}:")
    echo(f"  register {token}")
    echo(f"or open xmpp:{gateway}?register;preauth={token}")
