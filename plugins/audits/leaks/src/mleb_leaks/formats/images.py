"""Images: what stands beside the pixels, and fingerprints of the pixels."""

import io
import warnings
from typing import IO, Any

from mleb_leaks.formats.record import Record, Unreadable, plain

__all__ = ["IMAGE_SUFFIXES", "read_image"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")

_SIDE = 12
_FLAT = 4.0
"""Images whose shrunk pixels vary less than this are alike without being the same picture."""
_LEAST_SIDE = 32
_CLEARLY = 2
_FEWEST_BITS = 12
_MOST_PIXELS = 40_000_000


def read_image(stream: IO[bytes], size: int, most_bytes: int) -> Record:
    """Size, comments and EXIF of an image, and `#look`, alike for the same picture in other sizes.

    `#look` is a difference hash: the picture in grey, shrunk to 13 x 12, a bit for each pixel that is clearly darker
    than its right neighbour; 18 bytes. It is left out for pictures that are almost of one colour, smaller than 32
    pixels a side, or larger than 40 million pixels in all.

    Of a larger file that is not in an archive, only the head is read.

    Raises:
        Unreadable: no image that Pillow reads, or too large.
    """
    from PIL import Image

    if size > most_bytes and stream.seekable():
        source, most_pixels = stream, 0
    else:
        content = stream.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise Unreadable("it is too large")
        source, most_pixels = io.BytesIO(content), _MOST_PIXELS
    fields: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(source) as image:
                fields |= {"#width": image.width, "#height": image.height, "#mode": image.mode}
                for key, value in image.info.items():
                    if isinstance(value, str | int | float) or (isinstance(value, bytes) and key == "comment"):
                        fields[f"info.{key}"] = plain(value)
                for tag, value in image.getexif().items():
                    fields[f"exif.{tag}"] = plain(value)
                if min(image.size) >= _LEAST_SIDE and image.width * image.height <= most_pixels:
                    image.draft("L", (_SIDE * 8, _SIDE * 8))
                    small = image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
                    look = _look(small.tobytes())
                    if look is not None:
                        fields["#look"] = look
    except Exception as error:
        if "#width" not in fields:
            raise Unreadable(f"it is no image ({type(error).__name__})") from None
    return Record(fields)


def _look(pixels: bytes) -> bytes | None:
    mean = sum(pixels) / len(pixels)
    if (sum((p - mean) ** 2 for p in pixels) / len(pixels)) ** 0.5 < _FLAT:
        return None
    bits = 0
    for row in range(_SIDE):
        for column in range(_SIDE):
            at = row * (_SIDE + 1) + column
            bits = bits << 1 | (pixels[at] + _CLEARLY < pixels[at + 1])
    if not _FEWEST_BITS <= bits.bit_count() <= _SIDE * _SIDE - _FEWEST_BITS:
        return None
    return bits.to_bytes(_SIDE * _SIDE // 8, "big")
