"""The settings file, read into frozen values; everything that is wrong with it is told at once.

    settings = load(Path("/etc/passerelle/passerelle.toml"))   # raises SettingsFaults

The format is a promise (DESIGN.md, "Settings file"): it grows by new keys, none changes its meaning.
"""

from bridge.settings.faults import Fault
from bridge.settings.read import Findings, Secrets, Settings, SettingsFaults, inspect, load
from bridge.settings.sections import GatewaySection, HostPort, WebSection, XmppSection

__all__ = [
    "Fault",
    "Findings",
    "GatewaySection",
    "HostPort",
    "Secrets",
    "Settings",
    "SettingsFaults",
    "WebSection",
    "XmppSection",
    "inspect",
    "load",
]
