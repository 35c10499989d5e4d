"""Reads ``.npz`` files with ``images`` and ``labels``; trusts no size and no pickle in them."""

import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from batchproof_server.base.files import reason_of
from batchproof_server.base.signature import Array
from batchproof_server.imaging.encoding import encode_png
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture

MAX_ARRAY_BYTES: Final = 4 << 30
_CHANNELS: Final = (1, 3, 4)
_LABEL_AXES: Final = 2
_MAX_HEADER_BYTES: Final = 10_000
_EXPECTED: Final = "[pictures, height, width] or [pictures, height, width, 1, 3 or 4]"
_GREY_AXES, _COLOUR_AXES = 3, 4
_DAMAGED: Final = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Header:
    """What an array says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_npz(file: Path, labels: Sequence[str], limits: ImageLimits) -> tuple[LabelledPicture, ...]:
    """The pictures in the file's order, each encoded as PNG, without loss, when it is read.

    Args:
        file: holds ``images``, uint8 [pictures, height, width] or [pictures, height, width,
            channels] with 1, 3 or 4 channels, and ``labels``, whole numbers [pictures], or of
            independent labels 0 or 1 [pictures, labels].
        labels: of the classes in their order; empty when the bundle names none.
        limits: on pixels.

    Raises:
        InvalidData: the file is damaged, too large, or holds something else.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            images = _array(archive, "images", limits)
            classes = _array(archive, "labels", limits)
    except InvalidData as invalid:
        raise InvalidData([f"{file}: {fault}" for fault in invalid.faults]) from invalid
    except _DAMAGED as fault:
        raise InvalidData([f"{file}: {_reason(fault)}, expected an .npz file"]) from fault
    if len(images) != len(classes) or not len(images):
        counted = f"{len(images)} images and {len(classes)} labels"
        raise InvalidData([f"{file}: {counted}, expected one label for each of 1 or more"])
    if classes.ndim == _LABEL_AXES:
        return _with_label_sets(file, images, classes, labels)
    _check_labels(file, classes, labels)
    return tuple(
        LabelledPicture(f"image {number}", int(index), partial(encode_png, images[number]))
        for number, index in enumerate(classes)
    )


def _array(archive: zipfile.ZipFile, name: str, limits: ImageLimits) -> Array:
    """Reads one member after its header and its size were judged.

    A member ends at the size that the archive declares, whatever is packed into it.
    """
    member = f"{name}.npy"
    if member not in archive.namelist():
        raise InvalidData([f'holds no array "{name}", expected "images" and "labels"'])
    declared_bytes = archive.getinfo(member).file_size
    if declared_bytes > MAX_ARRAY_BYTES:
        raise InvalidData(
            [f"{name} has {declared_bytes} bytes, expected at most {MAX_ARRAY_BYTES}"]
        )
    with archive.open(member) as stream:
        header = _header(stream, name)
        _check_header(name, header, limits)
        data_bytes = math.prod(header.shape) * header.dtype.itemsize
        if (expected_bytes := stream.tell() + data_bytes) != declared_bytes:
            came = f"{list(header.shape)} and has {declared_bytes} bytes"
            raise InvalidData([f"{name} says {came}, expected {expected_bytes}"])
    with archive.open(member) as stream:
        array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _header(stream: IO[bytes], name: str) -> _Header:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        read = np.lib.format.read_array_header_1_0
    elif version == (2, 0):
        read = np.lib.format.read_array_header_2_0
    else:
        raise InvalidData([f"{name} has the .npy format {version}, expected 1.0 or 2.0"])
    shape, _, dtype = read(stream, max_header_size=_MAX_HEADER_BYTES)
    return _Header(shape, dtype)


def _check_header(name: str, header: _Header, limits: ImageLimits) -> None:
    if header.dtype.hasobject:
        raise InvalidData([f"{name} holds pickled objects, which are never loaded"])
    came = f"{header.dtype.name} {list(header.shape)}"
    if name == "labels":
        kinds = {1: "iu", _LABEL_AXES: "biu"}
        if header.dtype.kind not in kinds.get(len(header.shape), ""):
            expected = "whole numbers [pictures], or 0 and 1 [pictures, labels]"
            raise InvalidData([f"labels are {came}, expected {expected}"])
        return
    if header.dtype != np.uint8 or not _is_pictures(header.shape):
        raise InvalidData([f"images are {came}, expected uint8 {_EXPECTED}"])
    if header.shape[1] * header.shape[2] > limits.max_image_pixels:
        raise InvalidData(
            [f"images are {came}, expected at most {limits.max_image_pixels} pixels each"]
        )


def _is_pictures(shape: tuple[int, ...]) -> bool:
    axes = len(shape) == _GREY_AXES or (len(shape) == _COLOUR_AXES and shape[3] in _CHANNELS)
    return axes and min(shape[1:3]) >= 1


def _with_label_sets(
    file: Path, images: Array, truth: Array, labels: Sequence[str]
) -> tuple[LabelledPicture, ...]:
    if labels and truth.shape[1] != len(labels):
        came = f"{truth.dtype.name} {list(truth.shape)}"
        raise InvalidData([f"{file}: labels are {came}, expected {len(labels)} columns"])
    if ((truth != 0) & (truth != 1)).any():
        raise InvalidData([f"{file}: labels [pictures, labels] hold more than 0 and 1"])
    return tuple(
        LabelledPicture(
            f"image {number}",
            -1,
            partial(encode_png, images[number]),
            tuple(np.flatnonzero(row).tolist()),
        )
        for number, row in enumerate(truth)
    )


def _check_labels(file: Path, classes: Array, labels: Sequence[str]) -> None:
    wrong = classes < 0
    if labels:
        wrong = wrong | (classes >= len(labels))
    expected = f"0 to {len(labels) - 1}" if labels else "0 or more"
    if wrong.any():
        raise InvalidData(
            [
                f"{file}: label {classes[number]} of image {number}, expected {expected}"
                for number in np.flatnonzero(wrong)
            ]
        )


def _reason(fault: BaseException) -> str:
    if isinstance(fault, OSError):
        return f"cannot be read ({reason_of(fault)})"
    return "is damaged or no .npz file"
