"""Reads the settings file and validates each of its tables with the model that belongs to it.

How the tables fit together is asked of `checks`; keys are made in `keys`.
"""

import copy
import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from bridge.kit import Section, TransportSettings
from bridge.ports import Adapter
from bridge.registry import BrokenAdapter, adapters
from bridge.settings import checks
from bridge.settings.faults import Fault, dotted, from_pydantic, line_of, nearest, syntax_fault
from bridge.settings.lines import Path as KeyPath
from bridge.settings.lines import key_lines
from bridge.settings.sections import AddressBookSection, GatewaySection, WebSection, XmppSection

_SECTIONS: Mapping[str, type[Section]] = {
    "gateway": GatewaySection,
    "xmpp": XmppSection,
    "web": WebSection,
    "address_book": AddressBookSection,
}
_LARGEST = 1 << 20  # bytes; a settings file beyond that is some other file
_TRANSPORT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_UNREAD = "-this-secret-was-not-read-here-"
# What has no default and is at fault, while the rest of its table is judged.
_STAND_INS: Mapping[str, str] = {"domain": "unknown.invalid"}

SomeSection = TypeVar("SomeSection", bound=Section)


class Secrets(StrEnum):
    """Which secrets are read while the settings are."""

    ALL = "all"  # for `run`
    WITHIN_REACH = "within reach"  # for `check` from a shell: systemd hands credentials to services only
    NONE = "none"  # for commands that need the database alone


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole settings file, valid."""

    path: Path
    gateway: GatewaySection
    xmpp: XmppSection
    web: WebSection
    transports: Mapping[str, TransportSettings]
    address_book: AddressBookSection = field(default_factory=AddressBookSection)
    warnings: tuple[Fault, ...] = ()  # what works as written and is probably not meant


@dataclass(frozen=True, slots=True)
class Findings:
    """What reading a settings file came to: settings, or the faults why there are none."""

    settings: Settings | None
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


class SettingsFaults(Exception):
    """The settings cannot be used. `faults` are in the order of the file."""

    def __init__(self, path: Path, faults: tuple[Fault, ...]) -> None:
        super().__init__(f"{path} has {len(faults)} fault{'s' if len(faults) != 1 else ''}")
        self.path = path
        self.faults = faults


def load(
    path: Path, *, secrets: Secrets = Secrets.ALL, known: Mapping[str, type[Adapter]] | None = None
) -> Settings:
    """The settings in `path`. Raises SettingsFaults with everything that is wrong."""
    findings = inspect(path, secrets=secrets, known=known)
    if findings.settings is None:
        raise SettingsFaults(path, findings.faults)
    return findings.settings


def inspect(
    path: Path, *, secrets: Secrets = Secrets.ALL, known: Mapping[str, type[Adapter]] | None = None
) -> Findings:
    """Read and judge the file; nothing is raised for what stands in it."""
    reading = _Reading(adapters() if known is None else known, secrets)
    settings = reading.read(path)
    faults = tuple(sorted(dict.fromkeys(reading.faults), key=_by_line))
    warnings = tuple(sorted(dict.fromkeys(reading.warnings), key=_by_line))
    return Findings(None if faults else settings, faults, warnings)


def _by_line(fault: Fault) -> tuple[bool, int, str]:
    # What has no line is what the file lacks: told last.
    return (fault.line is None, fault.line or 0, fault.key)


def _repaired(table: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """The table without the keys that nobody knows, and with a stand-in for secrets that were not found."""
    repaired = copy.deepcopy(dict(table))
    for detail in error.errors(include_url=False):
        *parents, last = detail["loc"] or ("",)
        inner: Any = repaired
        for part in parents:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner:
            continue
        if detail["type"] == "extra_forbidden":
            del inner[last]
        elif isinstance(inner[last], dict):
            inner[last] = _UNREAD
    return repaired


class _Reading:
    """One pass over one file; gathers what is wrong on the way."""

    def __init__(self, known: Mapping[str, type[Adapter]], secrets: Secrets) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self._known = known
        self._secrets = secrets
        self._lines: Mapping[KeyPath, int] = {}

    def read(self, path: Path) -> Settings | None:
        data = self._parse(path)
        if data is None:
            return None
        for name in data:
            if name not in (*_SECTIONS, "transport"):
                advice = nearest(name, (*_SECTIONS, "transport"))
                self._fault((name,), "there is no such table or key", advice)
        gateway = self._section("gateway", GatewaySection, data)
        xmpp = self._section("xmpp", XmppSection, data)
        web = self._section("web", WebSection, data)
        book = self._section("address_book", AddressBookSection, data)
        tables = self._transport_tables(data)
        classes = {name: found for name, table in tables.items() if (found := self._adapter(name, table))}
        transports = self._transports(tables, classes)
        jids = {name: table["jid"] for name, table in tables.items() if isinstance(table.get("jid"), str)}
        self._judge_together(checks.Found(gateway, xmpp, web, jids, classes, book))
        warnings = tuple(sorted(dict.fromkeys(self.warnings), key=_by_line))
        return Settings(path, gateway, xmpp, web, MappingProxyType(transports), book, warnings)

    def _located(self, path: KeyPath, problem: str, remedy: str) -> Fault:
        return Fault(line_of(path, self._lines), dotted(path), problem, remedy)

    def _fault(self, path: KeyPath, problem: str, remedy: str) -> None:
        self.faults.append(self._located(path, problem, remedy))

    # --- the file ---

    def _parse(self, path: Path) -> dict[str, Any] | None:
        try:
            with path.open("rb") as file:
                raw = file.read(_LARGEST + 1)
            if len(raw) > _LARGEST:
                raise ValueError("it is larger than a megabyte")
            text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self.faults.append(Fault(line, "", "this is not UTF-8 text", "save the file as UTF-8"))
            return None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            remedy = "name the settings file with --config, and see that you may read it"
            self.faults.append(Fault(None, "", f"cannot read {path}: {reason}", remedy))
            return None
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.faults.append(syntax_fault(str(error), text))
            return None
        self._lines = key_lines(text)
        return data

    # --- tables ---

    def _section(self, name: str, model: type[SomeSection], data: Mapping[str, Any]) -> SomeSection:
        """The table; where it is at fault the rest of it, so that the rest can still be judged."""
        table = data.get(name, {})
        if not isinstance(table, dict):
            self._fault((name,), "this is the name of a table", f"write [{name}] on a line of its own")
            table = {}
        readable = self._with_secrets_in_reach((name,), table)
        try:
            return model.model_validate(readable)
        except ValidationError as error:
            self.faults += from_pydantic(error, model, readable, (name,), self._lines)
            bad = {detail["loc"][0] for detail in error.errors(include_url=False)}
            rest = {key: value for key, value in readable.items() if key not in bad}
            unknown = {
                key: value for key, value in _STAND_INS.items() if key in bad & set(model.model_fields)
            }
            return model.model_validate(rest | unknown)

    def _judge_together(self, found: checks.Found) -> None:
        told = {fault.key for fault in self.faults}
        for finding in checks.faults(found):
            if dotted(finding[0]) not in told:
                self._fault(*finding)
        for finding in checks.warnings(found):
            if dotted(finding[0]) not in told:
                self.warnings.append(self._located(*finding))

    def _transport_tables(self, data: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        tables = data.get("transport", {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            remedy = "write [transport.NAME], as in [transport.mail]"
            self._fault(("transport",), "each transport is a table with a name", remedy)
            return {}
        if not tables:
            remedy = 'add a table [transport.NAME] with adapter = "email" or "sms"'
            self._fault((), "there is no transport, so there is nothing to do", remedy)
        for name in tables:
            if not _TRANSPORT_NAME.fullmatch(name):
                remedy = "use lower-case letters, digits, - and _ only: the name becomes part of URLs"
                self._fault(("transport", name), f'"{name}" cannot name a transport', remedy)
        return tables

    def _transports(
        self, tables: Mapping[str, Mapping[str, Any]], classes: Mapping[str, type[Adapter]]
    ) -> dict[str, TransportSettings]:
        transports: dict[str, TransportSettings] = {}
        for name, adapter in classes.items():
            path: KeyPath = ("transport", name)
            readable = self._with_secrets_in_reach(path, tables[name])
            try:
                transports[name] = adapter.Settings.model_validate(readable)
            except ValidationError as error:
                self.faults += from_pydantic(error, adapter.Settings, readable, path, self._lines)
                self._judge_the_rest(path, adapter.Settings, _repaired(readable, error))
        return transports

    def _judge_the_rest(self, path: KeyPath, model: type[Section], repaired: Mapping[str, Any]) -> None:
        """What pydantic asks only of a table whose every key is right: how the keys fit together."""
        told = {fault.key for fault in self.faults}
        try:
            model.model_validate(repaired)
        except ValidationError as error:
            more = from_pydantic(error, model, repaired, path, self._lines)
            self.faults += [fault for fault in more if fault.key not in told]

    def _adapter(self, transport: str, table: Mapping[str, Any]) -> type[Adapter] | None:
        name = table.get("adapter")
        here: KeyPath = ("transport", transport, "adapter")
        choices = " or ".join(f'"{known}"' for known in sorted(self._known))
        if not isinstance(name, str):
            problem = "it is missing" if name is None else "text in quotation marks belongs here"
            self._fault(here, problem, f"write adapter = {choices}")
            return None
        if name not in self._known:
            self._fault(here, f'no adapter "{name}" is installed', nearest(name, self._known))
            # The rest of its table is judged as if the name were right.
            name = next(iter(difflib.get_close_matches(name, self._known, n=1)), "")
            if not name:
                return None
        try:
            return self._known[name]
        except BrokenAdapter as error:
            self._fault(here, str(error), "install again, or remove the transport")
            return None

    def _with_secrets_in_reach(self, path: KeyPath, value: Any) -> Any:
        """The same data, with a placeholder for each secret that is not to be read now."""
        if isinstance(value, list):
            return [self._with_secrets_in_reach((*path, index), part) for index, part in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if self._leaves_unread(path, value):
            return _UNREAD
        return {key: self._with_secrets_in_reach((*path, key), part) for key, part in value.items()}

    def _leaves_unread(self, path: KeyPath, value: Mapping[str, Any]) -> bool:
        match list(value.items()):
            case [("file" | "env" | "credential" as source, str(name))]:
                if self._secrets is Secrets.NONE:
                    return True
                if self._secrets is Secrets.ALL or source != "credential":
                    return False
                if "CREDENTIALS_DIRECTORY" in os.environ:
                    return False
                problem = f"the credential {name} cannot be checked from a shell"
                remedy = f"see that the service has LoadCredential={name}"
                self.warnings.append(self._located(path, problem, remedy))
                return True
        return False
