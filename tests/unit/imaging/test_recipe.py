import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.imaging.geometry import Size, framing
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.pillow_flavour import PillowDecoder
from unit.imaging.pictures import (
    all_pictures,
    chunk,
    compiled,
    encoded,
    image,
    oriented_exif,
    png,
    scene,
)

PICTURES = all_pictures()
GREY_16 = PICTURES["png 16 bit grey"]


def refusal(file: bytes, table: dict[str, Any] | None = None, **options: Any) -> str:
    recipe = compiled(table or {"preset": "keras-load-img"}, **options)
    with pytest.raises(InvalidInput) as refused:
        recipe.apply(file)
    return str(refused.value)


def torchvision_eval(file: bytes, crop: Size, method: Image.Resampling) -> Array:
    """Resize(256), CenterCrop, ToTensor, Normalize by the formulas of torchvision's documents."""
    picture = Image.open(BytesIO(file)).convert("RGB")
    width, height = picture.size
    short, long = (width, height) if width <= height else (height, width)
    new_long = int(256 * long / short)
    new_size = (256, new_long) if width <= height else (new_long, 256)
    picture = picture.resize(new_size, method)
    top = int(round((picture.height - crop.height) / 2.0))  # noqa: RUF046 - as it is documented
    left = int(round((picture.width - crop.width) / 2.0))  # noqa: RUF046 - as it is documented
    picture = picture.crop((left, top, left + crop.width, top + crop.height))
    tensor = np.asarray(picture).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    tensor -= np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
    tensor /= np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
    return tensor.transpose(1, 2, 0)


@pytest.mark.parametrize("size", [(300, 451), (451, 300), (256, 257), (37, 53), (256, 256)])
@pytest.mark.parametrize("crop", [Size(224, 224), Size(223, 200), Size(256, 256)])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_torchvision_eval_follows_its_documented_formula(
    size: tuple[int, int], crop: Size, method: str
) -> None:
    file = encoded(image(size=size), "JPEG")
    table = {"preset": "torchvision-eval", "resize": {"method": method}}

    row = compiled(table, (crop.height, crop.width, 3)).apply(file)

    expected = torchvision_eval(file, crop, Image.Resampling[method.upper()])
    assert np.array_equal(row, expected)


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_row_is_contiguous_writable_and_of_the_inputs_dtype_and_shape(name: str) -> None:
    for color, dtype in (("rgb", "float32"), ("bgr", "uint8")):
        row = compiled(
            {"preset": "keras-load-img", "color": color, "dtype": dtype}, dtype=dtype
        ).apply(PICTURES[name])

        assert (row.shape, row.dtype) == ((32, 24, 3), np.dtype(dtype))
        assert row.flags.c_contiguous
        assert row.flags.writeable


def test_bgr_is_rgb_backwards() -> None:
    rgb = compiled({"preset": "keras-load-img"}).apply(PICTURES["png RGB"])
    bgr = compiled({"preset": "keras-load-img", "color": "bgr"}).apply(PICTURES["png RGB"])

    assert np.array_equal(bgr, rgb[:, :, ::-1])


def test_alpha_is_dropped_not_composited() -> None:
    transparent = Image.new("RGBA", (24, 32), (200, 100, 50, 0))

    row = compiled({}).apply(encoded(transparent, "PNG"))

    assert row[0, 0].tolist() == [200.0, 100.0, 50.0]


def test_grey_of_16_bits_keeps_its_levels_in_grey_and_is_clipped_to_255_in_rgb() -> None:
    table = {"preset": "keras-load-img", "color": "grayscale"}
    stored = np.asarray(image("I;16"))

    grey = compiled(table, (37, 53, 1)).apply(GREY_16)
    rgb = compiled({}, (37, 53, 3)).apply(GREY_16)

    assert np.array_equal(grey[:, :, 0], stored)
    assert np.array_equal(rgb[:, :, 0], stored.clip(0, 255))


def test_grey_of_16_bits_is_refused_where_the_row_is_uint8() -> None:
    table = {"color": "grayscale", "dtype": "uint8"}

    text = refusal(GREY_16, table, row_shape=(37, 53, 1), dtype="uint8")

    assert text == "the picture has 16 bits a pixel, the recipe works in 8 bits"


def test_a_grey_row_may_lack_the_channel_axis() -> None:
    file = encoded(image("L"), "PNG")

    row = compiled({"color": "grayscale"}, (37, 53)).apply(file)

    assert np.array_equal(row, np.asarray(image("L"), np.float32))


def test_without_resize_the_picture_has_the_models_size() -> None:
    text = refusal(PICTURES["png RGB"], {"color": "rgb"}, row_shape=(37, 52, 3))

    assert text == "the picture is 53 x 37 pixels, expected 52 x 37: the recipe does not resize"


def test_without_resize_a_model_of_any_size_takes_any_picture() -> None:
    assert compiled({}, (None, None, 3)).apply(PICTURES["png RGB"]).shape == (37, 53, 3)
    assert "expected any x 36" in refusal(
        PICTURES["png RGB"], {"color": "rgb"}, row_shape=(36, None, 3)
    )


def test_the_applied_orientation_counts_for_the_size() -> None:
    file = encoded(image(), "JPEG", exif=oriented_exif(6))

    assert compiled({"orientation": "apply"}, (53, 37, 3)).apply(file).shape == (53, 37, 3)
    assert "53 x 37" in refusal(file, {"orientation": "ignore"}, row_shape=(53, 37, 3))


@pytest.mark.parametrize(
    ("size", "filled"),
    [((10, 40), (slice(13, 19), slice(0, 24))), ((64, 4), (slice(0, 32), slice(11, 13)))],
)
def test_pad_fits_inside_and_fills_around(
    size: tuple[int, int], filled: tuple[slice, slice]
) -> None:
    resize = {"policy": "pad", "pad_color": [1, 2, 3], "method": "bilinear"}
    file = encoded(Image.new("RGB", size[::-1], (200, 200, 200)), "PNG")

    row = compiled({"preset": "keras-load-img", "resize": resize}).apply(file)

    inside = np.zeros((32, 24), bool)
    inside[filled] = True
    assert (row[inside] == 200).all()
    assert (row[~inside] == [1, 2, 3]).all()


def test_a_picture_thinner_than_a_row_pixel_still_fits_by_one_pixel() -> None:
    plan = compiled({"preset": "keras-load-img", "resize": {"policy": "pad"}}).plan.resize
    assert plan is not None

    assert framing(plan, Size(1, 1000), Size(24, 32)).made == Size(1, 32)
    assert framing(plan, Size(1000, 1), Size(24, 32)).made == Size(24, 1)


def test_the_fill_of_16_bit_grey_is_as_bright_as_that_of_8_bits() -> None:
    resize = {"policy": "pad", "pad_color": [255]}
    table = {"preset": "keras-load-img", "resize": resize, "color": "grayscale"}

    row = compiled(table, (90, 53, 1)).apply(GREY_16)

    assert row[0, 0, 0] == 65_535


def test_a_thin_picture_that_would_grow_beyond_the_limit_is_refused() -> None:
    file = encoded(Image.new("L", (1, 60_000)), "PNG")

    text = refusal(file, {"preset": "torchvision-eval"}, row_shape=(224, 224, 3))

    assert "1 x 60000 pixels, too long: resized it would be 256 x 15360000" in text


def test_the_same_bytes_give_the_same_bits_in_any_thread_and_order() -> None:
    recipe = compiled({"preset": "torchvision-eval"}, (224, 224, 3))
    files = [*PICTURES.values()] * 3
    alone = {file: recipe.apply(file).tobytes() for file in files}

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda file: recipe.apply(file).tobytes(), reversed(files)))

    assert together == [alone[file] for file in reversed(files)]


@pytest.mark.parametrize("name", ["jpeg grey", "png RGB", "webp lossy", "bmp RGB", "gif"])
def test_a_truncated_body_is_refused_in_plain_words(name: str) -> None:
    file = PICTURES[name]

    text = refusal(file[: len(file) * 2 // 3])

    kind = name.split(maxsplit=1)[0]
    assert text == f"the {kind} file is corrupt or truncated and cannot be decoded"


def test_a_file_that_contradicts_its_header_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the png file contradicts its own header"):
        PillowDecoder().decode(PICTURES["png RGB"], ImageHeader("png", 5, 5), 3)


def test_a_memory_error_is_not_the_callers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)

    with pytest.raises(MemoryError):
        compiled({"preset": "keras-load-img"}).apply(PICTURES["png RGB"])


def test_compressed_text_and_profiles_of_a_png_are_never_expanded() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    lines = scene(8, 8).reshape(8, 24)
    extra = (chunk(b"zTXt", b"a\0\0" + bomb), chunk(b"iCCP", b"a\0\0" + bomb))
    file = png(lines, 8, 2, *extra, chunk(b"iTXt", b"a\0\x01\0\0\0" + bomb))
    tracemalloc.start()

    row = compiled({}, (8, 8, 3)).apply(file)

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(row, scene(8, 8))
    assert peak_bytes < 2_000_000


def test_a_png_with_a_second_header_is_refused() -> None:
    lines = scene(8, 8).reshape(8, 24)
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))

    assert "more than one IHDR" in refusal(png(lines, 8, 2, second))


def test_a_png_of_endless_chunks_is_refused() -> None:
    extra = chunk(b"teXt", b"") * 20_001

    assert "more than 20000 chunks" in refusal(png(scene(8, 8).reshape(8, 24), 8, 2, extra))


def test_a_png_chunk_longer_than_the_file_is_refused() -> None:
    start = PICTURES["png RGB"][:33]

    assert "ends inside its header" in refusal(start + b"\xff\xff\xff\xfftEXtab")


def test_a_palette_shorter_than_its_indices_gives_a_row() -> None:
    indices = np.full((8, 8), 200, np.uint8)
    file = png(indices, 8, 3, chunk(b"PLTE", b"\x01\x02\x03"))

    assert compiled({}, (8, 8, 3)).apply(file).shape == (8, 8, 3)


def test_a_progressive_jpeg_of_endless_scans_is_refused() -> None:
    file = PICTURES["jpeg progressive"]
    scan = file[file.rindex(b"\xff\xda") : -2]

    text = refusal(file[:-2] + scan * 100 + file[-2:])

    assert "scans, expected at most 100" in text


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_garbage_in_exif_leaves_the_picture_upright(cut: int) -> None:
    table = {"preset": "keras-load-img", "orientation": "apply"}
    exif = oriented_exif(9).tobytes()[:cut] + b"\xff" * 40
    file = encoded(image(), "JPEG", exif=exif)

    row = compiled(table).apply(file)

    assert np.array_equal(row, compiled({"preset": "keras-load-img"}).apply(file))


def test_exif_of_another_type_than_short_leaves_the_picture_upright() -> None:
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 2, 1, 6, 0)
    lines = scene(8, 8).reshape(8, 24)
    file = png(lines, 8, 2, chunk(b"eXIf", tiff))

    assert np.array_equal(compiled({"orientation": "apply"}, (8, 8, 3)).apply(file), scene(8, 8))


def test_an_animation_gives_its_first_frame() -> None:
    for kind, mode in (("GIF", "P"), ("WEBP", "RGB")):
        first = encoded(image(mode), kind, lossless=True)
        moving = encoded(
            image(mode), kind, lossless=True, save_all=True, append_images=[image(mode, seed=5)]
        )
        recipe = compiled({"preset": "keras-load-img"})
        assert np.array_equal(recipe.apply(first), recipe.apply(moving))


def test_a_recipe_warms_itself_up_for_every_format_and_size() -> None:
    for formats in (["jpeg"], ["png"], ["webp"], ["bmp"], ["gif"]):
        for row_shape in ((5, 7, 3), (None, None, 3), (None, 6, 3)):
            recipe = compiled({"formats": formats}, row_shape)

            recipe.warm_up()

            assert recipe.formats == tuple(formats)
