"""Compressed pictures to arrays: the one file that knows Pillow (the extra `images`)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import DataFileError, InputError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["FORMATS", "decode_rgb", "resized"]

# Of the many formats that Pillow reads, those that data sets come in. The others are left out: each
# decoder is one more that strangers' bytes reach, and some of them start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")


def decode_rgb(data: bytes, *, what: str, most_pixels: int) -> NDArray[np.uint8]:
    """Return a compressed picture's pixels `[height, width, 3]`, RGB, 0 .. 255.

    Reads JPEG, PNG, WebP and BMP, by content and not by name. Grey, palette, YCbCr and CMYK
    pictures become RGB; 16 bits a channel become 8; an alpha channel is dropped, the colours below
    it kept. Orientation and colour profiles in the metadata are not applied, as is usual for
    ImageNet, and damaged metadata does no harm. Damage that the format cannot notice, such as
    altered bytes inside a JPEG's scan, decodes to other pixels: digests notice it.

    Args:
        data: the content of one file.
        what: names the picture in errors, such as its path.
        most_pixels: a picture that claims more in its header is refused before it is decoded.

    Raises:
        DataFileError: another format, truncated, damaged, animated, or too large.
        MissingExtraError: Pillow is not installed.

    Example:
        >>> import struct
        >>> head = struct.pack("<2sIHHI", b"BM", 58, 0, 0, 54)
        >>> info = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0)
        >>> decode_rgb(head + info + bytes([3, 2, 1, 0]), what="one pixel", most_pixels=1).tolist()
        [[[1, 2, 3]]]
    """
    pillow = _pillow()
    if not data:
        raise DataFileError(f"{what} is empty (0 bytes): copy the picture again")
    try:
        with _strict(), pillow.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            n_frames = getattr(image, "n_frames", 1) if image.format in ("PNG", "WEBP") else 1
            fits = 0 < width * height <= most_pixels and n_frames == 1
            pixels = _rgb(image, data) if fits else None
    except pillow.DecompressionBombError as error:
        raise DataFileError(
            f"{what} is refused: {error}; at most {most_pixels} are read"
        ) from error
    except pillow.UnidentifiedImageError as error:
        raise DataFileError(
            f"{what} is not a picture that is read here ({', '.join(FORMATS)}), or its header is "
            f"damaged: it holds {len(data)} bytes and begins with {data[:8]!r}"
        ) from error
    except Exception as error:  # Pillow's decoders let errors of any class through on damaged bytes
        raise DataFileError(
            f"{what} cannot be decoded ({type(error).__name__}: {error}): the picture is truncated "
            "or damaged; copy it again or remove it"
        ) from error
    if n_frames != 1:
        raise DataFileError(f"{what} is animated ({n_frames} frames); give a single picture")
    if pixels is None:
        raise DataFileError(
            f"{what} claims {width} x {height} = {width * height} pixels, at most {most_pixels} "
            "are read; make it smaller, or remove it"
        )
    return pixels


def resized(rgb: NDArray[np.uint8], *, size: int, crop: int) -> NDArray[np.uint8]:
    """Return the centre of a picture scaled so that its shorter side has `size` pixels.

    The usual evaluation transform of ImageNet, with size 256 and crop 224: bilinear, antialiased
    when made smaller, proportions kept. The long side is rounded down. Only the part that is kept
    is computed, so a very long picture costs no more than others.

    Args:
        rgb: `[height, width, 3]`, 0 .. 255.
        size: pixels of the shorter side after scaling.
        crop: pixels of the square that is cut from the centre, at most `size`.

    Returns:
        `[crop, crop, 3]`, 0 .. 255.

    Raises:
        InputError: crop is not in 1 .. size, or the array is not such a picture.
        MissingExtraError: Pillow is not installed.

    Example:
        >>> resized(np.full((40, 60, 3), 7, np.uint8), size=8, crop=6).shape
        (6, 6, 3)
    """
    if not 1 <= crop <= size:
        raise InputError(f"crop must be in 1 .. size, got crop={crop} and size={size}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise InputError(
            f"a picture needs the shape [height, width, 3] and the type uint8, got {rgb.dtype} of "
            f"shape {rgb.shape}"
        )
    pillow = _pillow()
    short = min(rgb.shape[:2])
    edges = []
    for side in rgb.shape[:2]:
        scaled = size if side == short else size * side // short
        first = round((scaled - crop) / 2)
        edges.append((first * side / scaled, (first + crop) * side / scaled))
    (top, bottom), (left, right) = edges
    found = pillow.fromarray(rgb).resize(
        (crop, crop),
        resample=pillow.Resampling.BILINEAR,
        box=(left, top, min(right, rgb.shape[1]), min(bottom, rgb.shape[0])),
    )
    return np.asarray(found)


def _pillow() -> Any:
    """Return Pillow's module of pictures."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(
            "reading compressed pictures needs Pillow, which is not installed; install it with "
            "pip install 'secateur[images]'"
        ) from error
    return Image


@contextmanager
def _strict() -> Iterator[None]:
    """Read alike in every process: no truncated picture passes, whatever a notebook has set."""
    from PIL import ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            # What is left to warn of is damaged metadata, which several pictures of ImageNet have,
            # and sizes, which are checked here before anything is decoded
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _rgb(image: Image, data: bytes) -> NDArray[np.uint8]:
    """Decode and convert."""
    if image.format == "PNG":  # decoding alone does not look at the checksums of the pixels
        with _pillow().open(io.BytesIO(data), formats=("PNG",)) as again:
            again.verify()
    if image.mode.startswith("I"):  # 16 bits grey: Pillow's own conversion would cut off above 255
        grey = (np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
