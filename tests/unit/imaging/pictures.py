"""Encoded pictures of every kind, made from a seeded generator."""

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.base.validation import parse_settings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import Recipe, RecipeSettings, compile_recipe, pillow_plugs

Bytes = npt.NDArray[np.uint8]

SIZES = ((37, 53), (1, 1), (64, 17), (224, 300))


def scene(height: int, width: int, channels: int = 3, seed: int = 0) -> Bytes:
    """Shades with edges and noise: flat pictures hide what decoders do differently."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [np.sin(x / (3 + c) + y / (7 + c)) * 90 + 128 for c in range(channels)]
    blocks = rng.integers(0, 2, (height // 8 + 1, width // 8 + 1)).repeat(8, 0).repeat(8, 1)
    noisy = np.stack(waves, 2) + 60 * blocks[:height, :width, None] + rng.normal(0, 9, (1,))
    noisy += rng.normal(0, 12, noisy.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def image(mode: str = "RGB", size: tuple[int, int] = (37, 53), seed: int = 0) -> Image.Image:
    """A scene in a mode of Pillow; ``size`` is (height, width)."""
    pixels = scene(*size, channels=4, seed=seed)
    if mode in ("RGBA", "LA"):
        return Image.fromarray(pixels).convert(mode)
    if mode == "I;16":
        wide = pixels[:, :, 0].astype(np.uint16) * 256 + pixels[:, :, 1]
        return Image.fromarray(wide)
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, :3])).convert(mode)


def encoded(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    """The picture as a file."""
    file = BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples: Array, depth: int, color_type: int, *extra: bytes, declared: Any = None) -> bytes:
    """A PNG of whole bytes per line: ``samples`` is [height, bytes of a line] as stored.

    Args:
        samples: uint8 lines.
        depth: bits of a sample.
        color_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        extra: chunks between header and pixels.
        declared: (width, height) of the header; by default what the lines hold.
    """
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color_type]
    height, line_bytes = samples.shape
    width, height = declared or (line_bytes * 8 // (depth * channels), height)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    lines = np.insert(samples, 0, 0, axis=1).tobytes()
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *extra,
            chunk(b"IDAT", zlib.compress(lines)),
            chunk(b"IEND", b""),
        )
    )


def jpegs() -> dict[str, bytes]:
    """JPEGs of every quality, subsampling, colour model and size that matters."""
    found = {
        f"jpeg q{quality} {name}": encoded(
            image(seed=quality), "JPEG", quality=quality, subsampling=subsampling
        )
        for quality in (30, 75, 90, 100)
        for name, subsampling in (("444", 0), ("422", 1), ("420", 2))
    }
    found |= {f"jpeg {h}x{w}": encoded(image(size=(h, w)), "JPEG") for h, w in SIZES}
    found["jpeg grey"] = encoded(image("L"), "JPEG")
    found["jpeg cmyk"] = encoded(image("CMYK"), "JPEG")
    found["jpeg ycck"] = _as_ycck(found["jpeg cmyk"])
    found["jpeg progressive"] = encoded(image(), "JPEG", progressive=True)
    found["jpeg with everything"] = encoded(
        image(), "JPEG", exif=oriented_exif(6), comment=b"hello", icc_profile=b"junk" * 99
    )
    return found


def pngs() -> dict[str, bytes]:
    """PNGs of every colour type and depth, with and without transparency."""
    found = {
        f"png {mode}": encoded(image(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    }
    found |= {f"png {h}x{w}": encoded(image(size=(h, w)), "PNG") for h, w in SIZES}
    found["png 16 bit grey"] = encoded(image("I;16"), "PNG")
    wide = scene(20, 24, 4)
    found["png 16 bit rgb"] = png(wide.reshape(20, -1)[:, : 16 * 6], 16, 2)
    found["png 16 bit rgba"] = png(wide.reshape(20, -1), 16, 6)
    found["png 16 bit grey and alpha"] = png(wide.reshape(20, -1), 16, 4)
    grey = scene(16, 8, 1)[:, :, 0]
    found["png 2 bit grey"] = png(grey, 2, 0)
    found["png 4 bit grey"] = png(grey, 4, 0)
    found["png grey, one transparent"] = png(grey, 8, 0, chunk(b"tRNS", b"\x00\x80"))
    found["png rgb, one transparent"] = png(scene(8, 8).reshape(8, 24), 8, 2, _RGB_TRNS)
    found["png 16 bit grey, one transparent"] = png(grey, 16, 0, chunk(b"tRNS", b"\x12\x34"))
    palette = chunk(b"PLTE", scene(16, 16).tobytes())
    found["png palette, one transparent"] = encoded(image("P"), "PNG", transparency=3)
    found["png palette, many transparent"] = png(
        grey, 8, 3, palette, chunk(b"tRNS", bytes(range(256)))
    )
    found["png 4 bit palette"] = png(grey, 4, 3, chunk(b"PLTE", scene(4, 4).tobytes()))
    found["png 1 bit palette"] = png(grey, 1, 3, chunk(b"PLTE", b"\xff\x00\x10\x01\xfe\x30"))
    found["png gamma and text"] = png(
        grey, 8, 0, chunk(b"gAMA", b"\x00\x00\xb1\x8f"), chunk(b"tEXt", b"a\0b")
    )
    return found


_RGB_TRNS = chunk(b"tRNS", b"\x00\x01\x00\x02\x00\x03")


def others() -> dict[str, bytes]:
    """WebP, BMP and GIF."""
    moving = {"save_all": True, "append_images": [image(seed=1), image(seed=2)]}
    found = {
        "webp lossy": encoded(image(), "WEBP", quality=60),
        "webp lossless": encoded(image(), "WEBP", lossless=True),
        "webp alpha": encoded(image("RGBA"), "WEBP"),
        "webp lossless alpha": encoded(image("RGBA"), "WEBP", lossless=True),
        "webp animated": encoded(image(), "WEBP", **moving),
        "webp exif": encoded(image(), "WEBP", exif=oriented_exif(3)),
        "gif": encoded(image(), "GIF"),
        "gif grey": encoded(image("L"), "GIF"),
        "gif transparent": encoded(image("P"), "GIF", transparency=7),
        "gif animated": encoded(image(), "GIF", comment=b"frames", **moving),
    }
    return found | {
        f"bmp {mode}": encoded(image(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")
    }


def all_pictures() -> dict[str, bytes]:
    """Every picture above."""
    return jpegs() | pngs() | others()


def oriented_exif(orientation: int) -> Image.Exif:
    """An EXIF block with an orientation and a few other tags."""
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif[0x0112] = orientation
    exif[0x0131] = "software, long enough not to fit into the entry itself"
    return exif


def compiled(
    table: dict[str, Any],
    row_shape: tuple[int | None, ...] = (32, 24, 3),
    dtype: str = "float32",
    *,
    plugs: Plugs | None = None,
    limits: ImageLimits | None = None,
) -> Recipe:
    """The recipe of a manifest's table for a model with this input."""
    return compile_recipe(
        parse_settings(RecipeSettings, table),
        TensorSpec("image", np.dtype(dtype), row_shape),
        plugs or pillow_plugs(),
        limits or ImageLimits(),
    )


def _as_ycck(cmyk: bytes) -> bytes:
    """Says in the Adobe segment that the four components are YCCK (transform 2)."""
    flag = cmyk.index(b"Adobe") + 11
    return cmyk[:flag] + b"\x02" + cmyk[flag + 1 :]
