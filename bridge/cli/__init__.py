"""The command line: what each command is called and takes. What it does is in a module of its own.

Those modules are imported by the command that needs them: `run` must be connected within a second,
and `--help` needs neither a database nor slixmpp.
"""

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.trouble import Trouble

app = typer.Typer(
    name="passerelle",
    help="A gateway that joins XMPP to email and SMS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
queue_app = typer.Typer(help="See, hasten or withdraw what waits to be delivered.", no_args_is_help=True)
users_app = typer.Typer(help="See, add or remove the users of the gateway.", no_args_is_help=True)
app.add_typer(queue_app, name="queue")
app.add_typer(users_app, name="users")
sms_app = typer.Typer(help="Set up what the provider of texts must know of us.", no_args_is_help=True)
app.add_typer(sms_app, name="sms")

Config = Annotated[
    Path,
    typer.Option("--config", "-c", metavar="FILE", envvar="PASSERELLE_CONFIG", help="The settings file."),
]
_CONFIG = Path("/etc/passerelle/passerelle.toml")
Ids = Annotated[list[int], typer.Argument(metavar="ID…", help="Numbers that `queue list` shows.")]
MaybeIds = Annotated[
    list[int] | None, typer.Argument(metavar="[ID…]", help="Numbers that `queue list` shows.")
]
Jid = Annotated[str, typer.Argument(metavar="JID", help="The user's bare JID, as in mira@example.org.")]


def main() -> None:
    """The `passerelle` command. A user's mistake is one clear message, never a traceback."""
    try:
        app()
    except Trouble as trouble:
        typer.echo(trouble, err=True)
        sys.exit(trouble.status)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        sys.exit(141)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"passerelle {version('passerelle')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell the version, and end.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    config: Config = _CONFIG,
    log_level: Annotated[
        str, typer.Option(envvar="PASSERELLE_LOG", help="debug, info, warning, error or critical.")
    ] = "info",
    log_form: Annotated[
        str, typer.Option(envvar="PASSERELLE_LOG_FORM", help="auto, people, logfmt or json.")
    ] = "auto",
) -> None:
    """Run the gateway until it is told to stop."""
    # Of the second that it takes to load everything, the collector took a sixth, and found nothing. It
    # works again from when all is loaded (bridge.app).
    gc.disable()
    # structlog loads rich where it is to be had, for tracebacks that we do not use: 45 ms and 4 MB.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None says that it cannot be had
    from bridge.cli.run import run_gateway

    raise typer.Exit(run_gateway(config, log_level, log_form))


@app.command()
def check(config: Config = _CONFIG) -> None:
    """Tell every fault of the settings file at once."""
    from bridge.cli.check import check_settings

    raise typer.Exit(check_settings(config))


@app.command()
def migrate(config: Config = _CONFIG) -> None:
    """Bring the database to this release's schema."""
    from bridge.cli.migrate import migrate_database

    migrate_database(config)


@app.command()
def invite(
    jid: Annotated[str, typer.Argument(metavar="[JID]", help="Whom: a bare JID. They are written to.")] = "",
    anybody: Annotated[bool, typer.Option("--any", help="A code, for whoever you give it to.")] = False,
    transport: Annotated[str, typer.Option("--transport", "-t", help="Which one writes to them.")] = "",
    config: Config = _CONFIG,
) -> None:
    """Let somebody register whom the settings do not admit."""
    from bridge.cli.invite import invite_user

    invite_user(config, jid, transport, anybody=anybody)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the scene.")] = False,
) -> None:
    """See it work, on this machine alone; then try it."""
    from bridge.demo.scene import main as play

    raise typer.Exit(play(once))


@queue_app.command("list")
def queue_list(
    config: Config = _CONFIG,
    outlet: Annotated[
        str, typer.Option(help="Only this one: a transport's name, or xmpp: and its name.")
    ] = "",
    most: Annotated[int, typer.Option("--most", min=1, help="How many to show.")] = 100,
) -> None:
    """What waits to be delivered, oldest first."""
    from bridge.cli.queue import list_queue

    list_queue(config, outlet, most)


@queue_app.command("show")
def queue_show(delivery: Annotated[int, typer.Argument(metavar="ID")], config: Config = _CONFIG) -> None:
    """All about one delivery but what it says."""
    from bridge.cli.queue import show_delivery

    show_delivery(config, delivery)


@queue_app.command("retry")
def queue_retry(
    ids: MaybeIds = None,
    config: Config = _CONFIG,
    everything: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
) -> None:
    """Try again at once instead of at the planned time."""
    from bridge.cli.queue import retry_deliveries

    retry_deliveries(config, ids or [], everything=everything)


@queue_app.command("drop")
def queue_drop(ids: Ids, config: Config = _CONFIG) -> None:
    """Withdraw deliveries; whoever wrote a message is told that it was not sent."""
    from bridge.cli.queue import drop_deliveries

    drop_deliveries(config, ids)


@users_app.command("list")
def users_list(config: Config = _CONFIG) -> None:
    """Every user, with the addresses they have."""
    from bridge.cli.users import list_users

    list_users(config)


@users_app.command("show")
def users_show(jid: Jid, config: Config = _CONFIG) -> None:
    """One user: addresses, and how much there is of the rest."""
    from bridge.cli.users import show_user

    show_user(config, jid)


@users_app.command("add")
def users_add(
    jid: Jid,
    transport: Annotated[str, typer.Option("--transport", "-t", help="A transport's name in the settings.")],
    config: Config = _CONFIG,
    name: Annotated[str, typer.Option(help="How correspondents see the user.")] = "",
    address: Annotated[str, typer.Option(help="Which address, where there is a choice.")] = "",
) -> None:
    """Register a user with a transport, or change the name or address there."""
    from bridge.cli.users import add_user

    add_user(config, jid, transport, name=name, address=address)


@users_app.command("remove")
def users_remove(
    jid: Jid,
    config: Config = _CONFIG,
    transport: Annotated[str, typer.Option("--transport", "-t", help="Only from this one.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Remove a user, and with them the record of what they wrote and got."""
    from bridge.cli.users import remove_user

    remove_user(config, jid, transport, yes=yes)


@sms_app.command("sync")
def sms_sync(
    config: Config = _CONFIG,
    transport: Annotated[str, typer.Option("--transport", "-t", help="Only this one.")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Set it; without, it is only told.")] = False,
) -> None:
    """Make the provider call our web-hooks: tell what differs, and set it."""
    from bridge.cli.sms import sync_numbers

    sync_numbers(config, transport, apply=apply)
