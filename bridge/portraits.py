"""A picture that somebody sent of themselves as a small PNG that is safe to pass on; or nothing. Pure.

Whatever else the file held (places, programs, a second image) is gone: only its pixels are kept.
"""

import hashlib
import io
from dataclasses import dataclass, field

MOST_BYTES = 1_000_000  # of the file as it came
SIDE = 128  # pixels; XEP-0153 asks for 64 or 96, screens have grown
MEDIA_TYPE = "image/png"  # the one that every client must know (XEP-0084 section 4.1)
_MOST_PIXELS = 12_000_000  # 50 MB while it is open
_LEAST_SIDE = 8
_READABLE = ("JPEG", "PNG", "GIF", "WEBP")


@dataclass(frozen=True, slots=True)
class Portrait:
    """A PNG of at most SIDE pixels each way, and its SHA-1 in hex."""

    data: bytes = field(repr=False)
    hash: str


def portrait(data: bytes) -> Portrait | None:
    """None for what is no picture that can be shown. Takes some 10 ms for a photo: call it in a thread."""
    if not data or len(data) > MOST_BYTES:
        return None
    # Not at the top: most gateways never see a picture, and it is 30 ms and 3 MB at each start.
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=_READABLE) as opened:
            if opened.width * opened.height > _MOST_PIXELS or min(opened.size) < _LEAST_SIDE:
                return None
            opened.draft("RGB", (2 * SIDE, 2 * SIDE))  # a large JPEG is read small at once
            upright = ImageOps.exif_transpose(opened)
            see_through = "transparency" in opened.info or "A" in opened.mode
            picture = upright.convert("RGBA" if see_through else "RGB")
            picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            # A picture made anew: nothing that the file said about itself comes along.
            clean = Image.new(picture.mode, picture.size)
            clean.paste(picture)
            out = io.BytesIO()
            clean.save(out, "PNG", optimize=True)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return None
    made = out.getvalue()
    return Portrait(made, hashlib.sha1(made, usedforsecurity=False).hexdigest())
