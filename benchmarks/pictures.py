"""(h) Encoded pictures, which the server decodes, against tensors of the same pixels."""

import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from batchproof.v1 import prediction_pb2 as pb
from bench import Bench
from measuring import interleaved, medians, ratio
from processes import closed_loop, served
from results import Aim, Outcome, Table
from subjects import KEPT, mobilenet_pictures

_SIZES: Final = ((224, 224), (640, 480), (1920, 1080))
_CONCURRENCY: Final = (1, 16)
_LIMIT: Final = 0.65
_AIMED: Final = ("JPEG 640 x 480", 16)
_SMOOTH_PIXELS: Final = 16


def run(bench: Bench) -> Outcome:
    """Measures JPEG files of three sizes beside the tensor."""
    subject = mobilenet_pictures()
    messages = {
        f"JPEG {width} x {height}": picture_message(width, height) for width, height in _SIZES
    }
    sides = {"tensor": subject.message, **messages}
    rows: list[tuple[str | float, ...]] = []
    aims: list[Aim] = []
    with served(subject) as server:
        for concurrency in bench.steps("(h) concurrency", _CONCURRENCY):
            rounds = interleaved(
                tuple(sides),
                bench.repeats,
                lambda side, c=concurrency: closed_loop(  # type: ignore[misc] # bound here
                    server.grpc, sides[side], c, bench.seconds
                ),
            )
            for side, message in sides.items():
                figures = medians(rounds[side])
                share = ratio(rounds[side], rounds["tensor"], "requests_per_s")
                size_kb = message.stat().st_size / 1000
                row = (side, size_kb, concurrency, figures["requests_per_s"], share)
                rows.append((*row, figures["p50_ms"], figures["p99_ms"]))
                if (side, concurrency) == _AIMED:
                    text = f"MobileNetV2, {side} at concurrency 16: of the tensor's requests/s"
                    aims.append(Aim(text, share, _LIMIT))
    columns = ("request", "kB", "concurrency", "requests/s", "ratio", "p50, ms", "p99, ms")
    return Outcome(
        title="Pictures, against tensors",
        how="MobileNetV2 with the recipe keras-load-img: decoded by Pillow on two threads, resized "
        "to 224 x 224, and answered as the same tensor would be. All on the server's one core.",
        tables=(Table("MobileNetV2", columns, tuple(rows)),),
        aims=tuple(aims),
    )


def picture_message(width: int, height: int) -> Path:
    """A smooth picture with some noise, of about the size of a photograph's file."""
    random = np.random.default_rng(4)
    coarse = random.integers(
        0, 256, (height // _SMOOTH_PIXELS, width // _SMOOTH_PIXELS, 3), np.uint8
    )
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = random.normal(0, 4, (height, width, 3))
    pixels = np.clip(np.asarray(smooth, np.float64) + grain, 0, 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=85)
    file = KEPT / f"picture-{width}x{height}.bin"
    request = pb.PredictRequest(images=pb.EncodedImages(contents=[content.getvalue()]))
    file.write_bytes(request.SerializeToString())
    return file
