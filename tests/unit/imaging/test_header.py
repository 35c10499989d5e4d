import base64
import struct
import tracemalloc

import pytest

from batchproof_server.base.errors import InvalidInput
from batchproof_server.imaging.header import read_header
from batchproof_server.imaging.limits import ImageLimits
from unit.imaging.pictures import all_pictures, chunk, encoded, image, png, scene

ALL = ("bmp", "gif", "jpeg", "png", "webp")
LIMITS = ImageLimits()
PICTURES = all_pictures()


def refusal(file: bytes, formats: tuple[str, ...] = ALL, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(InvalidInput) as refused:
        read_header(file, formats, limits)
    return str(refused.value)


def huge(file_format: str) -> bytes:
    """A header of 50,000 x 50,000 pixels (16,384 in WebP) and little else, at most 100 bytes."""
    side = struct.pack(">H", 50_000)
    match file_format:
        case "png":
            return png(scene(1, 1, 1)[:, :, 0], 8, 0, declared=(50_000, 50_000))
        case "jpeg":
            frame = b"\xff\xc2\x00\x11\x08" + side * 2 + b"\x03" + b"\x01\x11\x00" * 3
            return b"\xff\xd8" + frame + b"\xff\xda\x00\x0c" + bytes(10)
        case "gif":
            return b"GIF89a" + side[::-1] * 2 + bytes(3) + b"\x2c" + bytes(8) + b"\0\x02\0\x3b"
        case "bmp":
            return b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 50_000, -50_000, 1, 24, 0)
        case _:
            return b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff\x3f\0" * 2


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_the_header_of_every_picture_is_read(name: str) -> None:
    header = read_header(PICTURES[name], ALL, LIMITS)

    assert header.format == name.split(maxsplit=1)[0]
    assert header.width >= 1
    assert header.height >= 1


def test_width_comes_before_height() -> None:
    for file_format in ("JPEG", "PNG", "WEBP", "BMP", "GIF"):
        header = read_header(encoded(image(size=(37, 53)), file_format), ALL, LIMITS)
        assert (header.width, header.height) == (53, 37)


@pytest.mark.parametrize("file_format", ALL)
def test_a_huge_header_in_100_bytes_is_refused_without_allocation(file_format: str) -> None:
    file = huge(file_format)
    tracemalloc.start()

    text = refusal(file)

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(file) <= 100
    assert "pixels, expected at most 40000000" in text
    assert peak_bytes < 100_000


@pytest.mark.parametrize("name", ["jpeg grey", "png RGB", "webp lossy", "bmp RGB", "gif"])
def test_a_cut_file_has_the_header_of_the_whole_or_none(name: str) -> None:
    whole = read_header(PICTURES[name], ALL, LIMITS)

    for length in range(min(700, len(PICTURES[name]))):
        try:
            header = read_header(PICTURES[name][:length], ALL, LIMITS)
        except InvalidInput:
            continue
        assert header == whole


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"", ("jpeg", "png")) == "the picture is empty, expected jpeg or png"


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"II*\0", "tiff"),
        (b"\0\0\0 ftypavif", "heif, avif or a video"),
        (b"<svg xmlns", "svg"),
        (b"hello", "of an unknown format"),
    ],
)
def test_what_is_no_accepted_format_is_named(start: bytes, name: str) -> None:
    assert refusal(start + bytes(99), ("png",)) == f"the picture is {name}, expected png"


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_base64_text_of_a_picture_says_the_way_out(name: str) -> None:
    text = base64.b64encode(PICTURES[name] + bytes(99))
    assert "these are base64 characters: send the bytes" in refusal(text, ("png",))
    assert "a data URI (send the bytes" in refusal(b"data:image/png;base64," + text, ("png",))


def test_the_text_of_a_url_says_the_way_out() -> None:
    text = refusal(b"https://example.org/boot.png", ("png",))
    assert "the text of a URL (send the bytes that it leads to), expected png" in text


def test_a_format_that_the_recipe_does_not_accept_is_named() -> None:
    text = refusal(PICTURES["gif"], ("jpeg", "png"))

    assert text == "the picture is gif, expected jpeg or png"


def test_too_many_bytes_are_refused() -> None:
    text = refusal(bytes(11), limits=ImageLimits(max_image_bytes=10))

    assert text == "the picture has 11 bytes, expected at most 10"


def test_the_pixel_limit_is_exact() -> None:
    file = encoded(image(size=(10, 7)), "PNG")

    assert read_header(file, ALL, ImageLimits(max_image_pixels=70)).height == 10
    assert "7 x 10 = 70 pixels" in refusal(file, limits=ImageLimits(max_image_pixels=69))


def test_a_picture_without_pixels_is_refused() -> None:
    file = png(scene(1, 1, 1)[:, :, 0], 8, 0, declared=(0, 5))

    assert refusal(file) == "the picture is 0 x 5 pixels, expected 1 x 1 or more"


def test_a_side_longer_than_65535_is_refused() -> None:
    file = png(scene(1, 1, 1)[:, :, 0], 8, 0, declared=(65_536, 1))

    assert "expected sides of at most 65535" in refusal(file)


@pytest.mark.parametrize("components", [0, 2, 5, 255])
def test_a_jpeg_with_absurd_components_is_refused(components: int) -> None:
    frame = b"\xff\xc0\x00\x08\x08\x00\x10\x00\x10" + bytes([components])

    text = refusal(b"\xff\xd8" + frame + b"\xff\xda\x00\x02")

    assert f"{components} components of 8 bits, expected 1, 3 or 4" in text


def test_a_jpeg_of_12_bits_is_refused() -> None:
    frame = b"\xff\xc1\x00\x08\x0c\x00\x10\x00\x10\x03"

    assert "3 components of 12 bits" in refusal(b"\xff\xd8" + frame + b"\xff\xda\x00\x02")


@pytest.mark.parametrize("frames", [0, 2])
def test_a_jpeg_has_one_frame_header(frames: int) -> None:
    frame = b"\xff\xc0\x00\x08\x08\x00\x10\x00\x10\x03"

    text = refusal(b"\xff\xd8" + frame * frames + b"\xff\xda\x00\x02")

    assert text == f"the jpeg file is corrupt: it has {frames} frame headers, expected 1"


def test_a_jpeg_that_ends_before_its_scan_is_truncated() -> None:
    assert "ends inside its header" in refusal(b"\xff\xd8\xff\xd9")


def test_fill_bytes_junk_and_restart_markers_between_jpeg_segments_are_skipped() -> None:
    file = PICTURES["jpeg grey"]

    padded = file[:2] + b"\xff\xff\xff\xd0junk\xff\x00" + file[2:]

    assert read_header(padded, ALL, LIMITS) == read_header(file, ALL, LIMITS)


def test_a_jpeg_segment_shorter_than_its_length_is_corrupt() -> None:
    assert "shorter than its own length" in refusal(b"\xff\xd8\xff\xe0\x00\x01")


def test_endless_jpeg_segments_are_refused() -> None:
    assert "more than 2000 segments" in refusal(b"\xff\xd8" + b"\xff\xfe\x00\x02" * 3_000)


def test_a_png_begins_with_its_header_chunk() -> None:
    assert "not a valid IHDR" in refusal(b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", bytes(13)))


def test_a_gif_screen_grows_to_hold_its_first_frame() -> None:
    file = bytearray(PICTURES["gif"])
    file[6:10] = struct.pack("<HH", 1, 1)

    header = read_header(bytes(file), ALL, LIMITS)

    assert (header.width, header.height) == (53, 37)


@pytest.mark.parametrize("rest", [b"\x3b", b"\x99", b"\x21\xfe\x00" * 101])
def test_a_gif_without_a_picture_is_refused(rest: bytes) -> None:
    assert "it has no picture" in refusal(b"GIF89a" + bytes(7) + rest)


def test_a_gif_extension_of_endless_blocks_is_refused() -> None:
    comment = b"\x21\xfe" + b"\x01a" * 10_001

    assert "more than 10000 blocks in a row" in refusal(b"GIF89a" + bytes(7) + comment)


def test_a_gif_that_ends_inside_its_first_frames_palette_is_truncated() -> None:
    descriptor = b"\x2c" + bytes(8) + b"\x87"

    assert "ends inside its header" in refusal(b"GIF89a" + bytes(7) + descriptor)


def test_a_bmp_that_is_compressed_is_refused() -> None:
    file = bytearray(PICTURES["bmp P"])
    file[30] = 1

    assert refusal(bytes(file)) == "the bmp file is compressed, expected one that is not"


def test_a_bmp_with_an_unknown_header_is_refused() -> None:
    assert "its header has 41 bytes" in refusal(b"BM" + bytes(12) + struct.pack("<I", 41))


def test_an_old_bmp_header_is_read() -> None:
    file = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 5, 7, 1, 24)

    header = read_header(file, ALL, LIMITS)

    assert (header.width, header.height) == (5, 7)


@pytest.mark.parametrize("kind", [b"ALPH", b"VP8 ", b"VP8L"])
def test_a_webp_without_a_picture_is_refused(kind: bytes) -> None:
    file = b"RIFF\0\0\0\0WEBP" + kind + bytes(40)

    assert refusal(file) == "the webp file is corrupt: its first chunk holds no picture"


@pytest.mark.parametrize(
    "limits", [{"max_image_bytes": 0}, {"max_image_pixels": 0}, {"max_image_pixels": 89_478_486}]
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be 1"):
        ImageLimits(**limits)
