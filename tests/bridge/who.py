"""A desk with two transports, one for mail and one for numbers, that knows who people are."""

import io
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from PIL import Image

from bridge.commands.services import Services
from bridge.events import Transport
from bridge.files import Filing
from bridge.gateway import Gateway
from bridge.importing import Importing
from bridge.model import Address
from bridge.office import Office
from bridge.ports import Adapter, BadAddress, Capabilities
from bridge.store import people
from bridge.store.engine import database_url
from bridge.wishes import Wishes
from tests.bridge.desk import BOSS, MIRA, Desk, a_desk


class Phones:
    """As much of an adapter for numbers as names and books ask for."""

    capabilities = Capabilities(identity=("gateway", "sms"))

    def canonical(self, text: str) -> Address:
        digits = "".join(one for one in text if one.isdigit())
        if text.startswith("+") and len(digits) > 7:
            return Address(f"+{digits}", text)
        if text.startswith("0") and len(digits) > 7:
            meant = f"+49{digits[1:]}"
            raise BadAddress(f"Did you mean {meant}?", correct=meant, condition="gone")
        raise BadAddress("That is no phone number.")


@asynccontextmanager
async def a_desk_of_people(folder: Path, allow_hosts: Collection[str] = ()) -> AsyncIterator[Desk]:
    """Mira is on both transports, boss on mail alone."""
    async with a_desk(database_url("sqlite", folder)) as desk:
        files = Filing(desk.store, folder / "blobs", allow_hosts=allow_hosts, clock=desk.clock)
        sms = Transport("sms", "sms.localhost", "", cast(Adapter, Phones()), "SMS")
        transports = {**desk.gateway.transports, "sms": sms}
        desk.gateway = Gateway(desk.store, transports, ["localhost"], clock=desk.clock)
        wishes = Wishes(desk.gateway, desk.store, files, clock=desk.clock)
        office = Office(desk.gateway, desk.store, [BOSS], clock=desk.clock)
        await desk.store.do(people.register, "sms", MIRA, "", ["+15550001000"], 1.0)
        async with Importing(wishes, desk.store, files, b"k" * 32, clock=desk.clock) as importing:
            desk.services = Services(wishes, office, importing=importing)
            yield desk


def picture(colour: str = "red", size: tuple[int, int] = (300, 200), kind: str = "JPEG") -> bytes:
    """A picture file, with words about itself inside."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind, comment=b"taken at home")
    return out.getvalue()
