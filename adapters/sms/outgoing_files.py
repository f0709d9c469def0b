"""Files out: what carriers take goes as it is or smaller, what is too large goes as a link. Never as a
promise: what they don't take is refused in a sentence.

Pictures are read and written by Pillow in a thread, within bounds.
"""

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bridge import media
from bridge.i18n import tr
from bridge.model import Attachment, File
from bridge.ports import Files, FileUnavailable, Refused

MOST_FILES = 10  # in one message
MOST_BYTES = 5_000_000  # of all its files together
_MOST_PIXELS = 50_000_000
_READABLE = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
_SIDES = (2048, 1600, 1280, 1024, 800, 640, 480)  # longest side, tried one after the other
_PICTURES = frozenset({"image/jpeg", "image/png", "image/gif"})
# Types that Twilio hands to carriers as they are ("Accepted content types for media").
_TAKEN = _PICTURES | {
    "audio/mpeg", "audio/mp4", "audio/amr", "audio/3gpp", "audio/ogg", "audio/wav", "video/mp4", "video/3gpp",
    "video/quicktime", "video/webm", "text/vcard", "text/calendar", "text/plain", "text/csv",
    "application/pdf",
}  # fmt: skip
_HEIC = frozenset({"image/heic", "image/heif", "image/avif"})
_few_at_a_time = asyncio.Semaphore(2)  # messages whose files are in memory
_one_at_a_time = asyncio.Semaphore(1)  # a picture takes 200 MB while it is open


@dataclass(frozen=True, slots=True)
class Prepared:
    """URLs for the provider, and lines for the text: what could not go itself."""

    urls: tuple[str, ...]
    lines: tuple[str, ...]


async def prepared(attachments: Sequence[Attachment], files: Files, megabytes: float) -> Prepared:
    """Make files fit for MMS. Raises FileUnavailable."""
    if len(attachments) > MOST_FILES:
        raise _refused(
            tr("A text carries {most} files at most: send these in several messages.", most=MOST_FILES)
        )
    urls: list[str] = []
    lines: list[str] = []
    room = MOST_BYTES
    async with _few_at_a_time:
        for attachment in attachments:
            made, line = await _prepare(attachment, files, int(min(megabytes * 1_000_000, room)))
            lines += [line] if line else []
            if made is not None:
                urls.append(await files.publish(made))
                room -= made.size
    return Prepared(tuple(urls), tuple(lines))


async def _prepare(attachment: Attachment, files: Files, most: int) -> tuple[Attachment | None, str]:
    """The file as it goes (None: only as a link), and a line for the text."""
    data = await files.read(attachment)
    kind = media.media_type(data[:64], attachment.media_type, attachment.name)
    if kind.startswith("image/"):
        small = await _smaller(data, kind, most)
        if small is None:
            return replace(attachment, size=len(data)), ""
        name = f"{attachment.name.rpartition('.')[0] or 'picture'}.jpg"
        line = f"Full size: {await files.publish(attachment)}" if kind in _PICTURES else ""
        return await files.keep(File(name, "image/jpeg", small)), line
    if kind not in _TAKEN:
        raise _refused(
            tr(
                "Phones can't take this kind of file by text ({kind}): send it as a picture or a PDF.",
                kind=kind,
            )
        )
    if len(data) > most:
        return None, f"{attachment.name}: {await files.publish(attachment)}"
    return replace(attachment, size=len(data)), ""


async def _smaller(data: bytes, kind: str, most: int) -> bytes | None:
    """A JPEG of at most so many bytes, or None if the picture can go as it is. Raises FileUnavailable."""
    if kind in _HEIC:
        raise _refused(tr("Phones can't take this kind of picture by text (HEIC): send it as JPEG."))
    if kind in _PICTURES and len(data) <= most:
        return None
    async with _one_at_a_time:
        try:
            return await asyncio.to_thread(shrink, data, most)
        except (OSError, ValueError, SyntaxError) as error:
            raise _refused(
                tr("This picture could not be made fit for texts: send it as a smaller JPEG.")
            ) from error


def shrink(data: bytes, most: int) -> bytes:
    """A picture as JPEG of at most `most` bytes, upright and without its metadata (a photo tells where it
    was taken). Raises OSError or ValueError for what is no picture, or one that is too large to open."""
    # Not at the top: most gateways never shrink a picture, and it is 30 ms and 3 MB at each start.
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data), formats=_READABLE) as picture:
        if picture.width * picture.height > _MOST_PIXELS:
            raise ValueError("too many pixels")
        picture.draft("RGB", (_SIDES[0], _SIDES[0]))
        upright = ImageOps.exif_transpose(picture) or picture
        if upright.mode in ("RGBA", "LA", "P"):
            clear = upright.convert("RGBA")
            plain = Image.new("RGB", clear.size, "white")
            plain.paste(clear, mask=clear.getchannel("A"))
        else:
            plain = upright.convert("RGB")
    for side in _SIDES:
        plain.thumbnail((side, side))
        written = io.BytesIO()
        plain.save(written, "JPEG", quality=80, optimize=True)
        if written.tell() <= most:
            return written.getvalue()
    raise ValueError("it can't be made small enough")


def _refused(sentence: str) -> FileUnavailable:
    return FileUnavailable(Refused(sentence, "not-acceptable", "modify", "file"))
