"""What is in an uploaded file: text that can be read, or an image that is one. No database."""

import codecs
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chat.conf import chat_settings
from chat.errors import AttachmentTooLarge, UnsupportedFile
from chat.text import clean_text

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_NAME = 200
MAX_PIXELS = 40_000_000  # Of what is read: an image of a few bytes can have billions.
MAX_SIDE = 2048  # Of what is kept: models see no more.
IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_MARKS = (  # The longest first: that of UTF-16 begins that of UTF-32.
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file as it is to be kept."""

    name: str
    kind: str
    media_type: str
    content: bytes


def read_upload(name: str, content: bytes) -> Upload:
    """
    Return a file as it is to be kept; what it is, is seen from its content alone.

    May take long, so call it aside. Raise AttachmentTooLarge or UnsupportedFile,
    each naming the file.
    """
    name = tidy_name(name)
    if _looks_like_image(content):
        return _read_image(name, content)
    return _read_text(name, content)


def tidy_name(name: str) -> str:
    """Return a file's name on one line, without folders, at most `MAX_NAME` characters."""
    last = clean_text(name).replace("\\", "/").rpartition("/")[2]
    line = " ".join("".join(c if c.isprintable() else " " for c in last).split())
    return line[-MAX_NAME:] or "file"


def _looks_like_image(content: bytes) -> bool:
    is_webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    return is_webp or content.startswith(_SIGNATURES)


def _check_size(name: str, content: bytes, limit: int) -> None:
    if len(content) > limit:
        raise AttachmentTooLarge(
            f"{name}: it has {len(content)} bytes; at most {limit} are taken. Send a part of it."
        )


def _read_text(name: str, content: bytes) -> Upload:
    _check_size(name, content, chat_settings().max_text_file_bytes)
    text = _decode(name, content)
    if not text.strip():
        raise UnsupportedFile(f"{name}: the file is empty.")
    text = clean_text(text.replace("\r\n", "\n"))
    return Upload(
        name=name, kind="text", media_type="text/plain; charset=utf-8", content=text.encode()
    )


def _decode(name: str, content: bytes) -> str:
    encoding = next((found for mark, found in _MARKS if content.startswith(mark)), "")
    try:
        text = content.decode(encoding or "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        text = "\x00"
    if "\x00" in text:
        raise UnsupportedFile(
            f"{name}: this is neither text nor an image. Send text in UTF-8 or UTF-16, or a"
            " PNG, JPEG, GIF or WebP image."
        )
    return text


def _read_image(name: str, content: bytes) -> Upload:
    from PIL import Image

    _check_size(name, content, chat_settings().max_image_bytes)
    try:
        with (
            warnings.catch_warnings(),
            Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as it,
        ):
            warnings.simplefilter("ignore")  # What it warns of is refused by the next line.
            if it.width * it.height > MAX_PIXELS:
                raise AttachmentTooLarge(
                    f"{name}: the image has {it.width} × {it.height} pixels. Make it smaller."
                )
            media_type, written = _written_anew(it)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as exc:
        raise UnsupportedFile(f"{name}: the image cannot be read; it is damaged or cut.") from exc
    return Upload(name=name, kind="image", media_type=media_type, content=written)


def _written_anew(image: "Image") -> tuple[str, bytes]:
    """Return the pixels alone, upright: where and with what it was taken stays behind."""
    from PIL import ImageOps

    is_photo = image.format == "JPEG"
    image.draft("RGB", (MAX_SIDE, MAX_SIDE))
    upright = ImageOps.exif_transpose(image)
    has_alpha = "A" in upright.getbands() or "transparency" in upright.info
    pixels = upright.convert("RGBA" if has_alpha else "RGB")
    pixels.thumbnail((MAX_SIDE, MAX_SIDE))
    pixels.info.clear()
    file = io.BytesIO()
    if is_photo:
        pixels.convert("RGB").save(file, "JPEG", quality=88)
    else:
        pixels.save(file, "PNG")
    if not is_photo and len(file.getvalue()) > chat_settings().max_image_bytes:
        file = io.BytesIO()  # As much detail as a photo has, so it is kept like one.
        pixels.convert("RGB").save(file, "JPEG", quality=88)
        is_photo = True
    return ("image/jpeg" if is_photo else "image/png"), file.getvalue()
