"""Pictures out: as they are, smaller with a link, or refused in a sentence; fetched as Twilio fetches."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from PIL import Image

from adapters.sms.outgoing_files import shrink
from bridge.demo.texts import Drop
from bridge.model import Attachment, Delivery, File
from bridge.ports import MaybeSent, Refused, Sent
from tests.support.sms import ALICE, delivery, rig


def picture(width: int, height: int, kind: str = "JPEG", mode: str = "RGB") -> bytes:
    """Noise, which no format makes small."""
    made = Image.effect_noise((width, height), 90).convert(mode)
    written = io.BytesIO()
    made.save(written, kind)
    return written.getvalue()


class Shelf:
    """Files of the gateway, served on loopback under names that cannot be guessed here either."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, bytes]] = {}
        self.base = ""

    def put(self, name: str, media_type: str, data: bytes) -> Attachment:
        blob = str(len(self.kept))
        self.kept[blob] = (media_type, data)
        return Attachment(name, media_type, blob, len(data))

    async def read(self, attachment: Attachment) -> bytes:
        return self.kept[attachment.blob][1]

    async def publish(self, attachment: Attachment) -> str:
        return f"{self.base}/files/{attachment.blob}"

    async def keep(self, file: File) -> Attachment:
        return self.put(file.name, file.media_type, file.data)

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Shelf"]:
        async def give(request: web.Request) -> web.Response:
            kind, data = self.kept[request.match_info["blob"]]
            return web.Response(body=data, content_type=kind)

        app = web.Application()
        app.router.add_get("/files/{blob}", give)  # HEAD as well
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()


def with_files(body: str, *files: Attachment, number: int = 1) -> Delivery:
    return delivery(body, number, message={"attachments": files})


async def test_a_small_picture_goes_as_it_is() -> None:
    async with Shelf().served() as shelf, rig(files=shelf) as it:
        data = picture(80, 60)
        assert isinstance(await it.send(with_files("look", shelf.put("a.jpg", "image/jpeg", data))), Sent)
        await it.twilio.phone(ALICE).shows(1)
        (bubble,) = it.twilio.phone(ALICE).screen
        assert (bubble.text, [one.data for one in bubble.files]) == ("look", [data])
        assert {"MediaUrl"} <= {name.split()[-1] for name in it.contract.parameters}


async def test_a_picture_needs_no_words() -> None:
    async with Shelf().served() as shelf, rig(files=shelf) as it:
        assert isinstance(
            await it.send(with_files("", shelf.put("a.png", "image/png", picture(50, 50, "PNG")))), Sent
        )
        await it.twilio.phone(ALICE).shows(1)


async def test_a_photo_too_large_goes_smaller_with_a_link_to_the_full_one() -> None:
    async with Shelf().served() as shelf, rig(files=shelf) as it:
        full = shelf.put("beach.jpg", "image/jpeg", picture(2600, 2000))
        assert full.size > 1_000_000
        assert isinstance(await it.send(with_files("look", full)), Sent)
        await it.twilio.phone(ALICE).shows(1)
        (bubble,) = it.twilio.phone(ALICE).screen
        (small,) = bubble.files
        assert len(small.data) <= 1_000_000
        assert small.media_type == "image/jpeg"
        assert bubble.text == f"look\nFull size: {shelf.base}/files/0"


@pytest.mark.parametrize(
    ("kind", "name"), [("WEBP", "image/webp"), ("BMP", "image/bmp"), ("TIFF", "image/tiff")]
)
async def test_what_carriers_do_not_take_is_converted(kind: str, name: str) -> None:
    async with Shelf().served() as shelf, rig(files=shelf) as it:
        assert isinstance(await it.send(with_files("x", shelf.put("a", name, picture(90, 70, kind)))), Sent)
        await it.twilio.phone(ALICE).shows(1)
        assert [one.media_type for one in it.twilio.phone(ALICE).screen[0].files] == ["image/jpeg"]


@pytest.mark.parametrize(
    ("media_type", "data", "words"),
    [
        ("image/heic", b"\0\0\0\x18ftypheic" + b"\0" * 50, "HEIC"),
        ("application/zip", b"PK\x03\x04" + b"\0" * 50, "application/zip"),
        ("image/png", b"\x89PNG\r\n\x1a\n" + b"\0" * 1_100_000, "could not be made fit"),
    ],
)
async def test_what_can_not_go_is_refused_in_a_sentence(media_type: str, data: bytes, words: str) -> None:
    async with Shelf().served() as shelf, rig(files=shelf) as it:
        fate = await it.send(with_files("x", shelf.put("a", media_type, data)))
        assert isinstance(fate, Refused)
        assert words in fate.reason
        assert not it.twilio.exchanges


async def test_a_long_film_goes_as_a_link() -> None:
    async with Shelf().served() as shelf, rig(files=shelf) as it:
        film = shelf.put("film.mp4", "video/mp4", b"\0\0\0\x18ftypmp42" + b"\0" * 1_500_000)
        assert isinstance(await it.send(with_files("see", film)), Sent)
        assert await it.twilio.phone(ALICE).shows(1) == [f"see\nfilm.mp4: {shelf.base}/files/0"]


async def test_a_picture_in_doubt_is_found_by_its_words_and_that_it_has_a_file() -> None:
    async with Shelf().served() as shelf, rig(files=shelf, public=False) as it:
        it.twilio.fail(ALICE, Drop(taken=True))
        one = with_files("look", shelf.put("a.jpg", "image/jpeg", picture(80, 60)))
        assert isinstance(await it.send(one), MaybeSent)
        await it.twilio.phone(ALICE).shows(1)
        assert isinstance(await it.adapter.find(one), Sent)


def test_a_photo_keeps_its_way_up_and_loses_where_it_was_taken() -> None:
    made = Image.effect_noise((400, 200), 50).convert("RGB")
    exif = made.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x8825] = {1: "N"}  # GPS
    written = io.BytesIO()
    made.save(written, "JPEG", exif=exif)
    small = shrink(written.getvalue(), 1_000_000)
    with Image.open(io.BytesIO(small)) as turned:
        assert turned.height > turned.width
        assert not turned.getexif()


def test_a_picture_of_a_billion_pixels_is_not_opened() -> None:
    head = io.BytesIO()
    Image.new("1", (40_000, 40_000)).save(head, "PNG")
    with pytest.raises((ValueError, Image.DecompressionBombError, OSError)):
        shrink(head.getvalue(), 1_000_000)


def test_a_drawing_s_clear_parts_become_white() -> None:
    clear = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(clear, "PNG")
    with Image.open(io.BytesIO(shrink(clear.getvalue(), 1_000_000))) as plain:
        assert plain.getpixel((5, 5)) == (255, 255, 255)
