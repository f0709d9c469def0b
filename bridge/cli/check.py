"""`passerelle check`: everything that is wrong with the settings, without starting anything."""

from pathlib import Path

from typer import echo

from bridge.cli.output import faults_text
from bridge.settings import Fault, Secrets, Settings, inspect
from bridge.settings.build import adapter_for

_NO_KEY = bytes(32)  # what is built here signs nothing


def check_settings(config: Path) -> int:
    """Prints what it finds. Answers 0 when the settings can be used, else 2."""
    findings = inspect(config, secrets=Secrets.WITHIN_REACH)
    faults = findings.faults
    if findings.settings is not None:
        faults = _unbuildable(findings.settings)
    if findings.warnings:
        echo(faults_text(config, findings.warnings, "warning"))
    if faults or findings.settings is None:
        echo(faults_text(config, faults), err=True)
        return 2
    echo(_summary(findings.settings))
    return 0


def _unbuildable(settings: Settings) -> tuple[Fault, ...]:
    faults = []
    for name in settings.transports:
        try:
            adapter_for(settings, name, _NO_KEY)
        except Exception as error:  # an adapter's own words, whatever it raises; others are still tried
            problem, _, remedy = str(error).partition(": ")
            remedy = remedy or "mend this transport's table"
            faults.append(Fault(None, f"transport.{name}", problem or type(error).__name__, remedy))
    return tuple(faults)


def _summary(settings: Settings) -> str:
    count = len(settings.transports)
    parts = [f"{own.jid} ({own.adapter})" for own in settings.transports.values()]
    admitted = len(settings.gateway.allow)
    who = "everybody" if "*" in settings.gateway.allow else f"{admitted} on the allow-list"
    database = settings.gateway.database.partition(":")[0]
    return (
        f"{settings.path} is in order: {count} transport{'s' if count != 1 else ''}, {', '.join(parts)}; "
        f"{database}; {who} may register."
    )
