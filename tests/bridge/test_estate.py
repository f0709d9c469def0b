"""All that a user has: as a file, and moved to another chat address."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from bridge.commands.services import Services
from bridge.estate import EXPORT_EVERY, MOVE_LASTS, Estate
from bridge.files import Filing
from bridge.model import Direction, Line
from bridge.store.engine import Store
from bridge.store.tables import messages
from tests.bridge.desk import BOSS, MIRA, Desk, a_desk

NEW = "mira@new.localhost"


@pytest.fixture
async def desk(url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(url) as here:
        here.services = _with_estate(here, here.store, tmp_path)
        here.gateway.may_use = lambda jid: jid.endswith("localhost")  # type: ignore[method-assign]
        yield here


def _with_estate(here: Desk, store: Store, folder: Path) -> Services:
    files = Filing(store, folder / "blobs", public_url="https://gw.example", clock=here.clock)
    return replace(here.services, estate=Estate(here.gateway, store, files, clock=here.clock))


async def exported(here: Desk) -> dict[str, object]:
    """Type export, and open what is found at the address."""
    answer = await here.says("export")
    url = answer.splitlines()[-1]
    assert url.startswith("https://gw.example/files/")
    token = url.split("/")[4]
    assert here.services.estate is not None
    files = here.services.estate._files
    assert files is not None
    shown = await files.shown(token)
    assert shown is not None
    assert shown.name.endswith(".json")
    found: dict[str, object] = json.loads(shown.path.read_text(encoding="utf-8"))
    return found


async def test_an_export_has_settings_contacts_and_messages_and_nothing_of_others(desk: Desk) -> None:
    await desk.says("settings quote off")
    await desk.says("add jana@x.org Jana “Jo” Berg")
    await desk.says("jana@x.org Hello Jana")
    await desk.says("tom@x.org Not yours", jid=BOSS)
    await desk.arrives("Hello Mira ✉", "jana@x.org")
    await desk.arrives("buy now", "spam@x.org")  # held: nobody has let them in
    found = await exported(desk)
    assert (found["jid"], found["address"], found["complete"]) == (MIRA, "mira@chat.example", True)
    assert isinstance(found["settings"], dict)
    assert found["settings"]["quote"] == "off"
    assert isinstance(found["contacts"], list)
    assert [one["name"] for one in found["contacts"] if one["address"] == "jana@x.org"] == ["Jana “Jo” Berg"]
    assert isinstance(found["messages"], list)
    told = [(one["direction"], one["with"], one["text"]) for one in found["messages"]]
    assert told == [
        ("sent", ["jana@x.org"], "Hello Jana"),
        ("received", ["jana@x.org"], "Hello Mira ✉"),
    ]


async def test_what_is_too_much_for_a_file_loses_its_oldest_and_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.estate.LARGEST", 1_000)
    monkeypatch.setattr("bridge.estate._AT_A_TIME", 2)
    await desk.says("add jana@x.org")
    for number in range(7):
        await desk.says(f"jana@x.org line {number}")
    found = await exported(desk)
    assert found["complete"] is False
    assert isinstance(found["messages"], list)
    assert [one["text"] for one in found["messages"]] == ["line 4", "line 5", "line 6"]


async def test_an_export_is_not_asked_for_over_and_over(desk: Desk) -> None:
    await exported(desk)
    assert "a few minutes ago" in await desk.says("export")
    desk.clock.now += EXPORT_EVERY + 1
    await exported(desk)


async def the_code(desk: Desk) -> str:
    (told,) = [note for note in await desk.told() if "move" in note]
    return told.split("type: move ")[1].split(".")[0]


async def test_a_move_takes_everything_along_when_both_addresses_say_so(desk: Desk) -> None:
    await desk.says("add jana@x.org Jana")
    await desk.says("jana@x.org Hello")
    asked = await desk.says(f"move {NEW}")
    assert "1 contact and 1 message move" in asked
    assert NEW in await desk.says("yes")
    code = await the_code(desk)
    await desk.arrives("while they move", "jana@x.org")

    seen: list[tuple[str, Line, list[str]]] = []
    assert desk.services.estate is not None
    desk.services.estate.moved["mail"] = lambda old, line, known: seen.append((old, line, list(known)))
    wrong = "000000" if code != "000000" else "111111"
    assert "not the code" in await desk.says(f"move {wrong}", jid=NEW)
    assert "mira@chat.example" in await desk.says(f"move {code}", jid=NEW)
    ((old, line, known),) = seen
    assert (old, line.jid, known) == (MIRA, NEW, [r"jana\40x.org"])
    assert await desk.gateway.line_of("mail", MIRA) is None
    assert "Jana" in await desk.says("contacts", jid=NEW)
    assert "Hello" in await desk.says("find Hello", jid=NEW)
    waiting = [one.recipient for one in await desk.outbox("xmpp:mail") if one.message is not None]
    assert waiting == [NEW], "what has not reached the old address goes to the new one"
    assert "not registered" in await desk.says("contacts")
    jana = rf"jana\40x.org@{line.transport}.localhost"
    ends = await desk.store.look(_ends)
    assert ends == {(Direction.OUT, NEW, jana), (Direction.IN, jana, NEW)}, "each message has its two ends"


def _ends(connection: Connection) -> set[tuple[str, str, str]]:
    rows = connection.execute(select(messages.c.direction, messages.c.from_jid, messages.c.to_jid))
    return {(row.direction, row.from_jid, row.to_jid) for row in rows}


async def test_a_move_needs_both_and_ends_by_itself(desk: Desk) -> None:
    assert "that you write from" in await _asks(desk, MIRA)
    assert "does not serve" in await _asks(desk, "eve@elsewhere.example")
    assert "registered here itself" in await _asks(desk, BOSS)
    assert "no chat address" in await desk.says("move nonsense")
    await desk.says(f"move {NEW}")
    assert "Nothing was changed" in await desk.says("no")
    assert "Nobody wishes to move" in await desk.says("move 123456", jid=NEW)

    await _asks(desk, NEW)
    code = await the_code(desk)
    assert "Nobody wishes" in await desk.says(f"move {code}", jid=BOSS), "the code is the new address's"
    desk.clock.now += MOVE_LASTS + 1
    assert "Nobody wishes" in await desk.says(f"move {code}", jid=NEW)
    assert (await desk.gateway.line_of("mail", MIRA)) is not None


async def test_a_code_cannot_be_guessed(desk: Desk) -> None:
    await _asks(desk, NEW)
    code = await the_code(desk)
    wrong = "000000" if code != "000000" else "111111"
    for _ in range(5):
        await desk.says(f"move {wrong}", jid=NEW)
    assert "Nobody wishes" in await desk.says(f"move {code}", jid=NEW)


async def _asks(desk: Desk, new: str) -> str:
    await desk.says(f"move {new}")
    return await desk.says("yes")
