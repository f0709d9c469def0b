"""docs/conformance.md says nothing that is not so: its tests exist, and what it says is announced is.

The table and doap.xml name the same specifications.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import pytest

from bridge.ports import Adapter, Capabilities
from bridge.xmpp import disco
from tests.bridge.xmpp_stand_in import PlainAdapter, transport

ROOT = Path(__file__).parents[1]
STATES = {"works": "complete", "partly": "partial", "not yet": "planned"}  # ours, and DOAP's
DOAP, XMPP = "{http://usefulinc.com/ns/doap#}", "{https://linkmauve.fr/ns/xmpp-doap#}"
RESOURCE = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}resource"


@dataclass(frozen=True)
class Row:
    name: str
    level: str
    state: str
    announced: dict[str, tuple[str, ...]]  # by whom: g, c, c?
    tests: tuple[str, ...]

    @property
    def number(self) -> str:
        found = re.match(r"(?:XEP-|RFC )(\d{4})", self.name)
        assert found is not None, self.name
        return found[1]


@cache
def rows() -> tuple[Row, ...]:
    lines = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return tuple(_row(*one) for one in cells[2:])


def _row(name: str, level: str, state: str, _what: str, announced: str, tests: str) -> Row:
    features = tuple(re.findall(r"`([^`]+)`", announced))
    by = dict.fromkeys(announced.partition(":")[0].split(), features) if features else {}
    return Row(name, level, state, by, tuple(re.findall(r"`([^`]+)`", tests)))


def ids(row: Row) -> str:
    return row.name


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize("row", rows(), ids=ids)
def test_what_works_is_shown_by_tests_that_exist(row: Row) -> None:
    assert row.level in ("must", "should")
    assert row.state in STATES
    assert bool(row.tests) == (row.state != "not yet")
    for test in row.tests:
        path, _, function = test.partition("::")
        assert function in functions_of(path), test


def test_each_specification_stands_there_once_and_each_must_works() -> None:
    counted = Counter(row.number for row in rows())
    assert {number for number, count in counted.items() if count > 1} == set()
    assert [row.name for row in rows() if row.level == "must" and row.state != "works"] == []


# --- service discovery ---


class Able(PlainAdapter):
    def __init__(self) -> None:
        super().__init__(("gateway", "sms"))
        self.capabilities = Capabilities(
            identity=("gateway", "sms"), subjects=True, attachments=True, reactions=True
        )

    def is_one_way(self, address: str) -> bool:
        return address == "mybank"


def announced(who: str) -> set[str]:
    return {feature for row in rows() for feature in row.announced.get(who, ())}


def test_what_is_announced_is_what_the_table_says() -> None:
    able = replace(transport(), adapter=cast(Adapter, Able()))
    assert set(disco.describe(able, "").features) == announced("g")
    most = {*disco.describe(able, "+15551234567").features, *disco.describe(able, "mybank").features}
    assert most == announced("c") | announced("c?")
    assert set(disco.describe(transport(), "alice").features) == announced("c")


def test_nothing_is_announced_that_is_not_there_yet() -> None:
    assert [row.name for row in rows() if row.announced and row.state == "not yet"] == []


# --- DOAP ---


def described() -> Iterator[tuple[str, str, str]]:
    """Number, status and version of each XEP in doap.xml."""
    for one in ElementTree.parse(ROOT / "doap.xml").iter(f"{XMPP}SupportedXep"):
        url = one.find(f"{XMPP}xep")
        assert url is not None
        found = re.fullmatch(r"https://xmpp\.org/extensions/xep-(\d{4})\.html", url.get(RESOURCE, ""))
        assert found is not None
        yield found[1], one.findtext(f"{XMPP}status") or "", one.findtext(f"{XMPP}version") or ""


def test_doap_names_the_same_specifications_in_the_same_state() -> None:
    xeps = {row.number: STATES[row.state] for row in rows() if row.name.startswith("XEP")}
    assert {number: status for number, status, _ in described()} == xeps
    for number, _, version in described():
        assert re.fullmatch(r"\d+(\.\d+)*", version), number


def test_doap_is_in_the_form_of_the_xsf() -> None:
    project = ElementTree.parse(ROOT / "doap.xml").getroot().find(f"{DOAP}Project")
    assert project is not None
    assert project.findtext(f"{DOAP}name") == "Passerelle"
    for needed in ("shortdesc", "description", "license", "programming-language", "os", "category"):
        assert project.find(f"{DOAP}{needed}") is not None, needed
    standards = {one.get(RESOURCE, "") for one in project.iter(f"{DOAP}implements") if one.get(RESOURCE)}
    assert "https://xmpp.org/rfcs/rfc6121.html" in standards
