"""The most memory that work on one picture takes, each in a process of its own, and its bound.

    python benchmarks/decode_memory.py [--megapixels 8] [--tensorflow]

Prints a table of docs/measurements/decoding.md: bytes a pixel from the file to the row, without and
with views, flat and noisy. What is measured is the growth of the resident set (VmHWM, Linux), after
a small picture of the same kind has gone through.
"""

import argparse
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from PIL import Image

from batchproof_server.backends.traced.on_demand import add_flavour
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import TensorSpec
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import Recipe, RecipeSettings, compile_recipe, pillow_plugs
from batchproof_server.imaging.resize import ResizeSettings
from batchproof_server.tta.expansion import Expansion
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.views import parse_view

# Name -> mode, format and options of Pillow.
KINDS: Final[Mapping[str, tuple[str, str, dict[str, Any]]]] = {
    "jpeg, 4:2:0": ("RGB", "JPEG", {}),
    "jpeg, 4:4:4": ("RGB", "JPEG", {"subsampling": 0}),
    "jpeg, progressive 4:4:4": ("RGB", "JPEG", {"subsampling": 0, "progressive": True}),
    "jpeg, grey": ("L", "JPEG", {}),
    "jpeg, progressive grey": ("L", "JPEG", {"progressive": True}),
    "jpeg, CMYK": ("CMYK", "JPEG", {}),
    "jpeg, progressive CMYK": ("CMYK", "JPEG", {"progressive": True}),
    "png, RGB": ("RGB", "PNG", {"compress_level": 1}),
    "png, RGBA": ("RGBA", "PNG", {"compress_level": 1}),
    "png, palette": ("P", "PNG", {"compress_level": 1}),
    "png, grey": ("L", "PNG", {"compress_level": 1}),
    "png, grey with alpha": ("LA", "PNG", {"compress_level": 1}),
    "png, 16 bits of grey": ("I;16", "PNG", {"compress_level": 1}),
    "webp, lossy": ("RGB", "WEBP", {"method": 0}),
    "webp, lossy with alpha": ("RGBA", "WEBP", {"method": 0}),
    "webp, lossless": ("RGB", "WEBP", {"lossless": True, "method": 0, "quality": 0}),
    "webp, lossless with alpha": ("RGBA", "WEBP", {"lossless": True, "method": 0, "quality": 0}),
    "webp, animated": ("RGBA", "WEBP", {"method": 0, "save_all": True}),
    "gif": ("P", "GIF", {}),
    "gif, animated": ("P", "GIF", {"save_all": True}),
    "bmp, RGB": ("RGB", "BMP", {}),
    "bmp, RGBA": ("RGBA", "BMP", {}),
    "bmp, palette": ("P", "BMP", {}),
}
VIEWS: Final = ("hflip", "rotate(10)", "scale(0.8)", "scale(1.2)", "contrast(0.8)", "noise(0.02)")
ACCURATE: Final = ResizeSettings(library="pillow", method="bilinear")
FAST: Final = ResizeSettings(library="tensorflow", method="bilinear", antialias=True)
_SMALL_SIDE: Final = (32, 16)


def file_of(kind: str, side: tuple[int, int], *, noisy: bool) -> bytes:
    """A picture of one kind, flat or as hard to compress as can be."""
    mode, file_format, options = KINDS[kind]
    image = _image(mode, side, noisy=noisy)
    if "save_all" in options:
        second = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        options = {**options, "append_images": [second]}
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def _image(mode: str, side: tuple[int, int], *, noisy: bool) -> Image.Image:
    if not noisy:
        levels = {"P": 1, "L": 1, "I;16": 1}.get(mode, (1, 2, 3, 4)[: len(mode)])
        return Image.new(mode, side, levels)
    kind, axes = (np.uint16, ()) if mode == "I;16" else (np.uint8, (4,))
    shape = (side[1], side[0], *axes)
    pixels = np.random.default_rng(1).integers(0, np.iinfo(kind).max, shape, kind)
    if mode == "P":
        return Image.fromarray(pixels[:, :, 0]).convert("P")
    return Image.fromarray(pixels) if mode == "I;16" else Image.fromarray(pixels).convert(mode)


def recipe_of(*, tensorflow: bool, grey: bool) -> Recipe:
    """For rows of 224 x 224."""
    plugs = pillow_plugs()
    if tensorflow:
        add_flavour(plugs)
    settings = RecipeSettings(
        decoder="tensorflow-fast" if tensorflow else "accurate",
        color="grayscale" if grey else "rgb",
        resize=FAST if tensorflow else ACCURATE,
    )
    spec = TensorSpec("image", np.dtype(np.float32), (224, 224, 1 if grey else 3))
    return compile_recipe(settings, spec, plugs, ImageLimits(max_image_bytes=1 << 30))


def measure(small: bytes, large: bytes, *, tensorflow: bool, grey: bool, views: bool) -> None:
    """Prints what was taken and the bound, in bytes; or null where the decoder has none of it."""
    recipe = recipe_of(tensorflow=tensorflow, grey=grey)
    plan = Plan("all", tuple(map(parse_view, VIEWS if views else ("identity",))))
    expansion = Expansion.of(recipe)
    try:
        expansion.rows(recipe.picture(small), plan)
    except InvalidInput:
        print("null")
        return
    Path("/proc/self/clear_refs").write_text("5")
    before_bytes = _status_bytes("VmRSS")
    header = recipe.header(large)
    rows = recipe.row if not views else lambda picture: expansion.rows(picture, plan)
    rows(recipe.picture(large, header))
    bound_bytes = recipe.decoding_bytes(large, header, len(VIEWS) if views else 0)
    # The file itself is in the measured process before the picture is read.
    print(json.dumps([_status_bytes("VmHWM") - before_bytes + len(large), bound_bytes]))


def _status_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def in_process(folder: Path, *options: str) -> tuple[int, int] | None:
    """What ``measure`` says in a process of its own."""
    ended = subprocess.run(
        [sys.executable, __file__, "--measure", folder, *options],
        capture_output=True,
        text=True,
        check=True,
    )
    found: tuple[int, int] | None = json.loads(ended.stdout)
    return found


def cell(folder: Path, pixels: int, *options: str) -> str:
    """Bytes a pixel of the worse of colours and grey: measured / bound."""
    both = [in_process(folder, *options), in_process(folder, *options, "--grey")]
    found = [each for each in both if each is not None]
    if not found:
        return "not read"
    worst = max(found, key=lambda each: each[0] / each[1])
    return " / ".join(f"{size_bytes / pixels:.1f}" for size_bytes in worst)


def main() -> None:
    """Measures all kinds and prints, or measures one in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=int, default=8)
    parser.add_argument("--tensorflow", action="store_true", help="tensorflow-fast, not accurate")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--views", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--grey", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        small, large = ((given.measure / name).read_bytes() for name in ("small", "large"))
        measure(small, large, tensorflow=given.tensorflow, grey=given.grey, views=given.views)
        return
    side = (1000 * given.megapixels // 2, 2000)
    options = ["--tensorflow"] if given.tensorflow else []
    print("| file | flat | noisy | flat, with views | noisy, with views |\n|---|--:|--:|--:|--:|")
    for kind in KINDS:
        cells = []
        for views in ((), ("--views",)):
            for noisy in (False, True):
                with TemporaryDirectory() as folder:
                    small, large = Path(folder, "small"), Path(folder, "large")
                    small.write_bytes(file_of(kind, _SMALL_SIDE, noisy=noisy))
                    large.write_bytes(file_of(kind, side, noisy=noisy))
                    cells.append(cell(Path(folder), side[0] * side[1], *options, *views))
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
