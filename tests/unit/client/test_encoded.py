"""What may stand in the place of a picture, and the way out where something may not."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from batchproof_client import LocalInputError
from batchproof_client.encoded import content_of


def pillow(mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (3, 2), 7)


def test_bytes_a_path_and_an_open_file_are_sent_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"picture")
    assert content_of(b"picture") == content_of(path) == content_of(str(path)) == b"picture"
    assert content_of(bytearray(b"picture")) == content_of(memoryview(b"picture")) == b"picture"
    assert content_of(io.BytesIO(b"picture")) == b"picture"
    with path.open("rb") as opened:
        assert content_of(opened) == b"picture"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_an_image_of_pillow_is_sent_with_every_pixel(mode: str) -> None:
    image = pillow(mode)
    sent = Image.open(io.BytesIO(content_of(image)))
    assert sent.format == "PNG"
    assert list(sent.convert("RGBA").tobytes()) == list(image.convert("RGBA").tobytes())


def test_its_orientation_is_kept() -> None:
    image = pillow()
    image.getexif()[0x0112] = 6
    assert Image.open(io.BytesIO(content_of(image))).getexif()[0x0112] == 6


@pytest.mark.parametrize("mode", ["CMYK", "F", "YCbCr"])
def test_a_mode_that_png_does_not_know_is_refused_with_the_way_out(mode: str) -> None:
    with pytest.raises(LocalInputError, match=rf'mode {mode} .*image.convert\("RGB"\)'):
        content_of(pillow(mode))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("https://example.org/a.png", "is a URL, .*the client fetches nothing"),
        ("s3://bucket/a.png", "is a URL"),
        ("data:image/png;base64,iVBORw0KGgo=", "is a data URI"),
        (base64.b64encode(b"picture" * 60).decode(), "these are base64 characters; send the bytes"),
        ("", "cannot be read"),
        ("no-such-file.png", "no-such-file.png: cannot be read"),
        (io.BytesIO(), r"nothing left to read: seek\(0\)"),
        (io.StringIO("text"), 'gives str, expected bytes: open it with mode "rb"'),
        (3.5, "float, expected a path, bytes, an open file or a Pillow image"),
    ],
    ids=["url", "bucket", "data", "base64", "empty", "missing", "at the end", "text", "number"],
)
def test_what_cannot_be_sent_says_the_way_out(given: object, says: str) -> None:
    with pytest.raises(LocalInputError, match=says):
        content_of(given)


def test_a_closed_file_is_refused() -> None:
    closed = io.BytesIO(b"picture")
    closed.close()
    with pytest.raises(LocalInputError, match=r"cannot be read: .*closed"):
        content_of(closed)
