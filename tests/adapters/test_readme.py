"""The example adapter of adapters/README.md, taken from its text, passes the contract."""

import asyncio
import re
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bridge.model import Incoming
from bridge.ports import Adapter
from tests.adapters.contract import AdapterContract, FarEnd, MemoryInbox, context

README = Path(__file__).parents[2] / "adapters" / "README.md"


def example() -> types.ModuleType:
    if "readme_drop" not in sys.modules:
        found = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
        assert found
        module = types.ModuleType("readme_drop")
        sys.modules["readme_drop"] = module  # so that its parser can be pickled
        exec(compile(found[1], str(README), "exec"), module.__dict__)
    return sys.modules["readme_drop"]


class TestTheExample(AdapterContract):
    name = "drop"
    table: ClassVar[Mapping[str, Any]] = {
        "adapter": "drop",
        "jid": "drop.example.org",
        "secret": "component-secret",
        "folder": "/nonexistent/drop",
    }
    typed: ClassVar[Mapping[str, str]] = {" Bob ": "bob"}
    nonsense: ClassVar[Sequence[str]] = ("", "../bob", "b o b", "bob7")
    line = "mira"

    def adapter_class(self) -> type[Adapter]:
        found: type[Adapter] = example().DropAdapter
        return found

    @pytest.fixture
    async def far_end(self, tmp_path: Path) -> FarEnd:
        folder = tmp_path / "drop"
        folder.mkdir()
        (folder / "nobody.out").mkdir()
        return FarEnd(
            {**self.table, "folder": folder}, "bob", "nobody", lambda: folder.rename(tmp_path / "gone")
        )

    async def test_a_file_in_the_folder_becomes_a_message(self, tmp_path: Path) -> None:
        adapter = self.build({**self.table, "folder": tmp_path, "look_every": 0.01})
        inbox = MemoryInbox({"mira"})
        await asyncio.to_thread((tmp_path / "bob--mira.in").write_text, "See you at eight")
        async with adapter.running(inbox):
            await inbox.until(lambda: len(inbox.taken) == 1)
        (found,) = adapter.parser()(*inbox.taken[0])
        assert isinstance(found, Incoming)
        assert (found.sender.canonical, found.recipient, found.body) == ("bob", "mira", "See you at eight")
        assert context().domain == "example.org"
