"""``.npz`` files: every pixel survives, and no size in the file is believed."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from batchproof_server.imaging.encoding import encode_png
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.offline.datasets import npz
from batchproof_server.offline.datasets.npz import read_npz
from batchproof_server.offline.datasets.pictures import InvalidData

LIMITS = ImageLimits(max_image_pixels=1_000)
IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([0, 1, 1])


def save(directory: Path, **arrays_by_name: Any) -> Path:
    file = directory / "data.npz"
    np.savez_compressed(file, **arrays_by_name)
    return file


def refusal(file: Path, labels: tuple[str, ...] = ("cat", "dog")) -> str:
    with pytest.raises(InvalidData) as invalid:
        read_npz(file, labels, LIMITS)
    assert all(line.startswith(f"{file}: ") for line in invalid.value.faults)
    return str(invalid.value).replace(f"{file}: ", "")


@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7), st.sampled_from([0, 1, 3, 4])).flatmap(
        lambda size: arrays(np.uint8, size if size[2] else size[:2])
    )
)
def test_a_png_holds_every_pixel_as_it_was(pixels: Any) -> None:
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        assert image.format == "PNG"
        assert np.array_equal(
            np.asarray(image), pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels
        )


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 5, 1), (3, 4, 5, 3), (3, 4, 5, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_pictures_come_in_the_order_of_the_file(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    images = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    file = save(tmp_path, images=images, labels=LABELS.astype(dtype), more=np.zeros(3))
    pictures = read_npz(file, ("cat", "dog"), LIMITS)
    assert [each.name for each in pictures] == ["image 0", "image 1", "image 2"]
    assert [each.class_index for each in pictures] == [0, 1, 1]
    with Image.open(io.BytesIO(pictures[2].read())) as image:
        assert np.array_equal(np.asarray(image).reshape(shape[1:]), images[2])


def test_fortran_order_and_an_uncompressed_file_are_read_alike(tmp_path: Path) -> None:
    file = tmp_path / "data.npz"
    np.savez(file, images=np.asfortranarray(IMAGES), labels=LABELS)
    with Image.open(io.BytesIO(read_npz(file, (), LIMITS)[1].read())) as image:
        assert np.array_equal(np.asarray(image), IMAGES[1])


def test_pickled_objects_are_refused_and_not_loaded(tmp_path: Path) -> None:
    objects = np.array([print, print, print], dtype=object)
    said = "holds pickled objects, which are never loaded"
    assert refusal(save(tmp_path, images=objects, labels=LABELS)) == f"images {said}"
    assert refusal(save(tmp_path, images=IMAGES, labels=objects)) == f"labels {said}"


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (IMAGES.astype(np.float32), LABELS, "images are float32 [3, 4, 5], expected uint8"),
        (IMAGES[0], LABELS, "images are uint8 [4, 5]"),
        (IMAGES[..., np.newaxis].repeat(2, 3), LABELS, "images are uint8 [3, 4, 5, 2]"),
        (IMAGES[:, :0], LABELS, "images are uint8 [3, 0, 5]"),
        (np.zeros((1, 40, 40), np.uint8), LABELS[:1], "expected at most 1000 pixels each"),
        (IMAGES, LABELS.astype(float), "labels are float64 [3], expected whole numbers"),
        (IMAGES, LABELS[:, np.newaxis], "labels are int64 [3, 1]"),
        (IMAGES, LABELS[:2], "3 images and 2 labels"),
        (IMAGES[:0], LABELS[:0], "0 images and 0 labels"),
        (IMAGES, LABELS - 1, "label -1 of image 0, expected 0 to 1"),
        (IMAGES, LABELS + 1, "label 2 of image 1, expected 0 to 1\nlabel 2 of image 2"),
    ],
)
def test_what_is_no_labelled_pictures_is_said(
    tmp_path: Path, images: Any, labels: Any, said: str
) -> None:
    assert said in refusal(save(tmp_path, images=images, labels=labels))


def test_without_names_any_class_from_0_is_taken(tmp_path: Path) -> None:
    assert (
        read_npz(save(tmp_path, images=IMAGES, labels=LABELS + 7), (), LIMITS)[0].class_index == 7
    )
    assert "expected 0 or more" in refusal(save(tmp_path, images=IMAGES, labels=LABELS - 9), ())


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    assert refusal(save(tmp_path, images=IMAGES)) == (
        'holds no array "labels", expected "images" and "labels"'
    )


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    whole = save(tmp_path, images=IMAGES, labels=LABELS).read_bytes()
    for content in (b"", b"no zip", whole[:-9], whole[:60] + b"\xff" * 9 + whole[69:]):
        (tmp_path / "data.npz").write_bytes(content)
        assert "expected an .npz file" in refusal(tmp_path / "data.npz")
    assert "cannot be read" in refusal(tmp_path / "absent.npz")


def header(shape: str, version: int = 1) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text


def forged(directory: Path, images: bytes) -> Path:
    file = save(directory, labels=LABELS)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", images)
    return file


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (header("(10000000000000, 4, 5)"), "images says [10000000000000, 4, 5] and has"),
        (header("(3, 4, 5)") + bytes(59), "images says [3, 4, 5] and has"),
        (header("(3, 4, 5)") + bytes(20_000), "images says [3, 4, 5] and has"),
        (header("(3, -4, 5)"), "images are uint8 [3, -4, 5]"),
        (header("(3, 4, 5)", version=9), "expected 1.0 or 2.0"),
        (header("__import__('os')"), "is damaged"),
        (b"\x93NUMPY", "is damaged"),
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_allocated(
    tmp_path: Path, content: bytes, said: str
) -> None:
    assert said in refusal(forged(tmp_path, content))


def test_a_bomb_is_refused_by_its_declared_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "MAX_ARRAY_BYTES", 1_000)
    file = save(tmp_path, images=np.zeros((30, 10, 10), np.uint8), labels=np.zeros(30, int))
    assert "images has 3128 bytes, expected at most 1000" in refusal(file)
