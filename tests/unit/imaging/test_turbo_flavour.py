"""Plain JPEG files are decoded by libjpeg-turbo alone to Pillow's very pixels, all others by it."""

import random
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.imaging.formats import jpeg
from batchproof_server.imaging.geometry import as_array
from batchproof_server.imaging.header import ImageHeader, read_header
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.pillow_flavour import PillowDecoder
from batchproof_server.imaging.pixels import accurate_decoder
from batchproof_server.imaging.turbo_flavour import plain_jpeg
from unit.imaging.pictures import encoded, image, scene

PLAIN: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True},
    "progressive 4:4:4": {"progressive": True, "subsampling": 0},
    "own Huffman tables": {"optimize": True},
    "coarse": {"quality": 5},
    "fine": {"quality": 100},
    "restarts after each block": {"restart_marker_blocks": 1},
    "restarts after each row": {"restart_marker_rows": 1, "progressive": True},
    "Adobe's RGB": {"keep_rgb": True},
    "EXIF, turned": {"exif": Image.Exif()},
}
PLAIN["EXIF, turned"]["exif"][0x0112] = 6


def header(file: bytes) -> ImageHeader:
    return read_header(file, ("jpeg",), ImageLimits())


def by(decoder: PillowDecoder, file: bytes, channels: int = 3) -> Array | None:
    """The pixels; None where the file is refused."""
    try:
        return as_array(decoder.decode(file, header(file), channels))
    except InvalidInput:
        return None


def agree(file: bytes, channels: int = 3) -> bool:
    quickly, pillow = (
        by(PillowDecoder(plain_jpeg), file, channels),
        by(PillowDecoder(), file, channels),
    )
    if quickly is None or pillow is None:
        return quickly is pillow
    return np.array_equal(quickly, pillow)


def is_quick(file: bytes, channels: int = 3) -> bool:
    """Whether Pillow has nothing to do with it."""
    return isinstance(PillowDecoder(plain_jpeg).decode(file, header(file), channels), np.ndarray)


@pytest.mark.parametrize("side", [*range(1, 18), 37, 130])
@pytest.mark.parametrize("kind", sorted(PLAIN))
def test_a_plain_file_of_any_size_is_decoded_quickly_to_pillows_pixels(
    kind: str, side: int
) -> None:
    for size in ((side, 23), (23, side), (side, side)):
        file = encoded(image(size=size, seed=side), "JPEG", **PLAIN[kind])
        assert agree(file)
        assert is_quick(file)


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411", "Gray"])
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (16, 33), (61, 40)])
def test_files_of_another_encoder_are_decoded_quickly_to_pillows_pixels(
    subsampling: str, size: tuple[int, int]
) -> None:
    pixels = scene(*size, channels=1 if subsampling == "Gray" else 3)
    space = "GRAY" if subsampling == "Gray" else "RGB"
    file = simplejpeg.encode_jpeg(pixels, 85, space, subsampling)

    assert agree(file)
    assert is_quick(file)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_grey_file_is_decoded_quickly_to_grey_and_to_colours(
    channels: int, options: dict[str, Any]
) -> None:
    file = encoded(image("L"), "JPEG", **options)

    assert agree(file, channels)
    assert is_quick(file, channels)


def test_colours_become_grey_by_pillow_whose_grey_is_not_the_files_own() -> None:
    file = encoded(image(), "JPEG")

    assert agree(file, 1)
    assert not is_quick(file, 1)


@pytest.mark.parametrize("transform", [None, 0, 2])
def test_inks_are_decoded_by_pillow(transform: int | None) -> None:
    """With Adobe's marker for CMYK, for YCCK, and without one."""
    file = encoded(image("CMYK"), "JPEG")
    adobe = file.index(b"\xff\xee")
    if transform is None:
        file = file[:adobe] + file[adobe + 16 :]
    else:
        file = file[: adobe + 15] + bytes([transform]) + file[adobe + 16 :]

    assert agree(file)
    assert not is_quick(file)


def _patched(file: bytes, marker: bytes, offset: int, value: int) -> bytes:
    place = file.index(marker) + offset
    return file[:place] + bytes([value]) + file[place + 1 :]


ODD: dict[str, Callable[[bytes], bytes]] = {
    "sampling that nobody writes": lambda file: _patched(file, b"\xff\xc0", 11, 0x31),
    "a colour sampled finer than the first": lambda file: _patched(file, b"\xff\xc0", 14, 0x21),
    "a short JFIF segment": lambda file: (
        file[:2] + b"\xff\xe0\x00\x07JFIF\x00" + file[2 + 2 + 16 :]
    ),
    "an arithmetic frame": lambda file: file.replace(b"\xff\xc0", b"\xff\xc9", 1),
    "an extended frame": lambda file: file.replace(b"\xff\xc0", b"\xff\xc1", 1),
    "two frames": lambda file: file.replace(b"\xff\xc4", b"\xff\xc0\x00\x02\xff\xc4", 1),
}


@pytest.mark.parametrize("oddity", sorted(ODD))
def test_what_two_readers_may_see_in_two_ways_is_left_to_pillow(oddity: str) -> None:
    file = ODD[oddity](encoded(image(), "JPEG", quality=90))
    came = ImageHeader("jpeg", 53, 37)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(simplejpeg, "decode_jpeg", _never)
        outcome = _outcome(PillowDecoder(plain_jpeg), file, came)

    assert outcome == _outcome(PillowDecoder(), file, came)


def _never(*_: Any, **__: Any) -> Array:
    raise AssertionError("simplejpeg was asked")


def _outcome(decoder: PillowDecoder, file: bytes, came: ImageHeader) -> str:
    try:
        return as_array(decoder.decode(file, came, 3)).tobytes().hex()
    except InvalidInput as refused:
        return str(refused)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
def test_a_truncated_file_is_refused_or_accepted_as_pillow_does(options: dict[str, Any]) -> None:
    file = encoded(image(size=(24, 31)), "JPEG", **options)
    start = file.index(b"\xff\xda") + 14

    for end in range(start, len(file) + 1):
        assert agree(file[:end])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_damaged_file_is_refused_or_becomes_the_pixels_that_pillow_makes_of_it(
    options: dict[str, Any],
) -> None:
    file = encoded(image(size=(24, 31)), "JPEG", **options)
    chance = random.Random(7)  # noqa: S311 - the same files each time
    tried = 0
    for _ in range(1500):
        damaged = bytearray(file)
        for _ in range(chance.choice((1, 1, 3))):
            damaged[chance.randrange(20, len(file))] = chance.randrange(256)
        try:
            header(bytes(damaged))
        except InvalidInput:
            continue
        tried += 1
        assert agree(bytes(damaged))
    assert tried > 500


def test_what_follows_the_picture_changes_nothing() -> None:
    file = encoded(image(), "JPEG")

    assert agree(file + file[:200])
    assert is_quick(file + b"more")


def test_a_large_file_is_decoded_quickly_to_pillows_pixels() -> None:
    file = BytesIO()
    Image.fromarray(scene(1500, 2100)).save(file, "JPEG", quality=75)

    assert agree(file.getvalue())
    assert is_quick(file.getvalue())


def test_a_picture_of_another_size_than_its_header_is_refused_as_by_pillow() -> None:
    file = encoded(image(), "JPEG")
    with pytest.raises(InvalidInput, match="contradicts its own header"):
        PillowDecoder(plain_jpeg).decode(file, ImageHeader("jpeg", 5, 5), 3)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "GIF", "BMP"])
def test_every_other_format_is_pillows(file_format: str) -> None:
    file = encoded(image(), file_format)
    came = read_header(file, ("png", "webp", "gif", "bmp"), ImageLimits())

    assert isinstance(PillowDecoder(plain_jpeg).decode(file, came, 3), Image.Image)


def test_the_decoder_accurate_is_the_quick_one_here() -> None:
    assert accurate_decoder().quick is plain_jpeg


@pytest.mark.parametrize("apart_bytes", [0, 1, 300, 700, 32766, 32767, 32768])
def test_scans_are_counted_wherever_they_lie(apart_bytes: int) -> None:
    file = encoded(image("L", (8, 8)), "JPEG")
    more = (bytes(apart_bytes) + b"\xff\xda") * 99

    jpeg.bare(file + more)
    with pytest.raises(InvalidInput, match="has 101 scans, expected at most 100"):
        jpeg.bare(file + more + b"\xff\xda")
