"""Which pictures in the text of a mail somebody wants to see, and which are decoration. Pure.

Programs put logos, counting pixels and the pictures of old mails where photos stand; nothing says which is
which but their size, their name and their place.
"""

import re
import struct
from dataclasses import dataclass

_SMALL = 10_000  # bytes: no photo is smaller
_LOGO = 60_000  # bytes: a picture with the name that a program gave it is decoration below that
_PIXEL = 8  # a side of so few pixels is there to be counted, or to draw a line
_ICON = 150 * 150  # pixels
_BANNER = 4.0  # wide and low: a letterhead or an advert
_BANNER_HEIGHT = 220

_BY_PROGRAM = re.compile(
    r"(?:image|oledata|outlook|logo|banner|icon|signature|sig|footer|header|spacer|facebook|linkedin|twitter"
    r"|instagram|youtube|xing)[-_ ]?[\w-]{0,40}\.(?:png|jpe?g|gif|bmp)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that stands in the text."""

    name: str
    data: bytes
    old: bool = False  # the text shows it in the mail that is answered only


def is_pixel(picture: Picture) -> bool:
    """Whether there is nothing to see: a counting pixel, a line."""
    size = dimensions(picture.data)
    return not picture.data or (size is not None and min(size) <= _PIXEL)


def is_decoration(picture: Picture) -> bool:
    """Whether it is rather a logo or an old picture than something that was sent to be seen."""
    if picture.old or is_pixel(picture) or len(picture.data) < _SMALL:
        return True
    size = dimensions(picture.data)
    if size is not None:
        width, height = size
        if width * height < _ICON or (width / height > _BANNER and height < _BANNER_HEIGHT):
            return True
    return len(picture.data) < _LOGO and _BY_PROGRAM.fullmatch(picture.name) is not None


def dimensions(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, both at least 1, of a PNG, GIF or JPEG; None if that cannot be told."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", data, 6)
        elif data.startswith(b"\xff\xd8"):
            width, height = _of_jpeg(data)
        else:
            return None
    except (struct.error, IndexError):
        return None
    return (width, height) if width and height else None


def _of_jpeg(data: bytes) -> tuple[int, int]:
    """The first frame header (ITU-T T.81 section B.2.2). Raises IndexError or struct.error."""
    place = 2
    for _ in range(200):
        while data[place] != 0xFF:
            place += 1
            if place > 200_000:
                raise IndexError
        kind = data[place + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        place += 2 + struct.unpack_from(">H", data, place + 2)[0] if kind != 0xFF else 1
    raise IndexError
