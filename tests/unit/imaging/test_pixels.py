"""Who makes Pillow's pixels: Pillow wherever the others are missing or differ."""

import errno
import importlib
import platform
import sys
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from batchproof_server.base.signature import Array
from batchproof_server.imaging import compiled_flavour, pixels
from batchproof_server.imaging.compiled_flavour import (
    quick_passes,
    width_goes_first,
)
from batchproof_server.imaging.geometry import Framing, Region, Size, as_array, picture_size
from batchproof_server.imaging.pillow_flavour import FILTERS, PillowResizer
from batchproof_server.imaging.resize import ResizeMethod, ResizeSettings, resize_plan
from batchproof_server.imaging.turbo_flavour import turbo_agrees
from unit.imaging.pictures import compiled, encoded, image, scene

PLAN = resize_plan(ResizeSettings(library="pillow", method="bicubic"))


def passes_found_anew() -> object:
    return quick_passes.__wrapped__()


def test_with_the_extra_arrays_are_resized_by_compiled_passes() -> None:
    assert pixels.pillow_resizer(PLAN).quick is not None


def test_without_the_extra_pillow_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "quick", lambda: None)

    assert pixels.accurate_decoder().quick is None
    assert pixels.pillow_resizer(PLAN).quick is None


@pytest.mark.parametrize("preset", ["keras-load-img", "torchvision-eval"])
@pytest.mark.parametrize("size", [(37, 53), (300, 90), (90, 300), (256, 256)])
def test_with_and_without_the_extra_a_row_has_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, preset: str, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = encoded(image(size=size), "JPEG", exif=exif)
    keys = {"preset": preset, "orientation": "apply"}
    quickly = compiled(keys, (224, 224, 3)).apply(file)

    monkeypatch.setattr(pixels, "quick", lambda: None)

    assert compiled(keys, (224, 224, 3)).apply(file).tobytes() == quickly.tobytes()


@pytest.mark.parametrize("missing", ["numba", "simplejpeg"])
def test_one_part_of_the_extra_alone_is_not_used(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr(pixels, "turbo_agrees", turbo_agrees.__wrapped__)
    monkeypatch.setattr(pixels, "quick_passes", passes_found_anew)

    assert pixels.quick.__wrapped__() is None


@pytest.mark.parametrize(("broken", "function"), [("numba", "njit"), ("simplejpeg", "decode_jpeg")])
def test_a_part_that_fails_is_not_used(
    monkeypatch: pytest.MonkeyPatch, broken: str, function: str
) -> None:
    def fails(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(importlib.import_module(broken), function, fails)
    monkeypatch.setattr(pixels, "turbo_agrees", turbo_agrees.__wrapped__)
    monkeypatch.setattr(pixels, "quick_passes", passes_found_anew)

    assert pixels.quick.__wrapped__() is None


def test_on_a_processor_that_may_fuse_pillows_arithmetic_pillow_does_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")

    assert passes_found_anew() is None


def test_filters_that_differ_from_pillow_in_any_order_of_passes_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other: dict[ResizeMethod, Image.Resampling] = {**FILTERS, "bicubic": Image.Resampling.LANCZOS}
    monkeypatch.setattr(compiled_flavour, "FILTERS", other)

    assert passes_found_anew() is None


def test_a_decoder_that_differs_from_pillow_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = simplejpeg.decode_jpeg

    def one_level_brighter(*arguments: Any, **options: Any) -> Array:
        came: Array = decode(*arguments, **options)
        came[0, 0] ^= 1
        return came

    monkeypatch.setattr(simplejpeg, "decode_jpeg", one_level_brighter)

    assert not turbo_agrees.__wrapped__()


def test_pillow_13_begins_with_the_height_where_it_loses_more_than_twice_as_much() -> None:
    tall, wide = Size(100, 300), Size(300, 100)

    assert width_goes_first("width", tall, Size(50, 50))
    assert not width_goes_first("shrunk_height", tall, Size(50, 50))
    assert width_goes_first("shrunk_height", tall, Size(50, 200))
    assert width_goes_first("shrunk_height", wide, Size(50, 50))
    assert width_goes_first("shrunk_height", wide, Size(400, 100))
    assert not width_goes_first("shrunk_height", Size(10, 20), Size(40, 19))


@pytest.mark.parametrize("levels", [scene(90, 40, 1).astype(np.uint16) * 200, image()])
def test_what_is_no_array_of_8_bits_is_resized_by_pillow(levels: Array | Image.Image) -> None:
    made, part = Size(30, 20), Region(4, 2, 11, 9)

    read = Region.whole(picture_size(levels))
    came = as_array(
        pixels.pillow_resizer(PLAN).resize(levels, Framing(read, made, part, part.size))
    )

    everything = Framing(read, made, Region.whole(made), made)
    whole = as_array(PillowResizer(PLAN).resize(levels, everything))
    assert np.array_equal(came, part.of(whole))
