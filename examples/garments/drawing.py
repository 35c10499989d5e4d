"""Makes photographs that never were: garments of Fashion-MNIST, coloured, on textured grounds.

    python examples/garments/drawing.py --output build/garments --count 300

Writes ``<class>/<number>.jpg`` of the 1,000 test garments that the repository holds. Everything is
drawn from the seed: grounds, cloth, colours, places, sizes, light, noise and how the camera was
held. The same seed gives the same files with the same Pillow.
"""

import argparse
import colorsys
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LABELS: Final = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
ROOT: Final = Path(__file__).resolve().parents[2]
GARMENTS: Final = ROOT / "tests/data/fashion_mnist_1000.npz"

# Of each class: the hue that most of its garments have (0 red, 1/3 green, 2/3 blue), and how many
# threads of its cloth cross a garment in the middle of them.
HUES: Final = (0.0, 0.60, 0.09, 0.92, 0.55, 0.12, 0.66, 0.48, 0.04, 0.30)
THREADS: Final = (34, 22, 13, 40, 18, 28, 26, 36, 11, 16)
HUE_SPREAD: Final = 0.08
ANY_HUE_SHARE: Final = 0.2
THREAD_SPREAD: Final = 0.35
HELD_UPRIGHT_SHARE: Final = 0.65

ASPECT_RATIOS: Final = (1.0, 1.25, 4 / 3, 1.5)
EXIF_ORIENTATION: Final = 0x0112
# The tag -> what was done to the upright picture, so that the tag undoes it.
TURNED: Final = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}

Bytes = NDArray[np.uint8]
Levels = NDArray[np.float32]


@dataclass(frozen=True)
class Studio:
    """What pictures are drawn with.

    Attributes:
        random: every choice.
        grounds: float32 [grounds, 400, 400, 3], 0..1.
    """

    random: np.random.Generator
    grounds: Levels

    def photograph(self, garment: Bytes, label: int) -> bytes:
        """A JPEG file of a garment [28, 28], light on black."""
        random = self.random
        short = int(random.integers(170, 281))
        long = round(short * random.choice(ASPECT_RATIOS))
        width, height = (short, long) if random.random() < 0.5 else (long, short)  # noqa: PLR2004 - a fair coin
        picture = self._ground(width, height)
        self._lay(picture, garment, label, short)
        picture *= random.uniform(0.8, 1.1)
        picture += random.normal(0, 0.08, (height, width, 1)).astype(np.float32)
        levels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        return self._file(Image.fromarray(levels))

    def _ground(self, width: int, height: int) -> Levels:
        ground: Levels = self.grounds[self.random.integers(len(self.grounds))]
        left = int(self.random.integers(0, ground.shape[1] - width + 1))
        top = int(self.random.integers(0, ground.shape[0] - height + 1))
        return ground[top : top + height, left : left + width].copy()

    def _lay(self, picture: Levels, garment: Bytes, label: int, short: int) -> None:
        """Lays the garment near the middle, as large as the short side nearly allows."""
        random = self.random
        side = round(short * random.uniform(0.74, 0.84))
        light = np.asarray(Image.fromarray(garment).resize((side, side), Image.Resampling.BICUBIC))
        shade = light.astype(np.float32)[..., np.newaxis] / 255
        cover = np.clip((shade - 0.06) * 8, 0, 1)
        cloth = self._colour(label) * (0.6 + 0.4 * shade) * self._weave(label, side)
        height, width = picture.shape[:2]
        shift = random.uniform(-0.04, 0.04, 2) * short
        top = int(np.clip((height - side) / 2 + shift[0], 0, height - side))
        left = int(np.clip((width - side) / 2 + shift[1], 0, width - side))
        under = picture[top : top + side, left : left + side]
        under[...] = cover * cloth + (1 - cover) * under

    def _colour(self, label: int) -> Levels:
        random = self.random
        hue = random.normal(HUES[label], HUE_SPREAD)
        if random.random() < ANY_HUE_SHARE:
            hue = random.random()
        rgb = colorsys.hsv_to_rgb(hue % 1, random.uniform(0.45, 0.9), random.uniform(0.6, 1.0))
        return np.array(rgb, np.float32)

    def _weave(self, label: int, side: int) -> Levels:
        """Threads across the cloth, slightly askew: [side, side, 1] about 1."""
        angle = self.random.uniform(0, np.pi)
        y, x = np.mgrid[:side, :side].astype(np.float32) / side
        along = x * np.cos(angle) + y * np.sin(angle)
        phase = self.random.uniform(0, 2 * np.pi)
        threads = THREADS[label] * np.exp(self.random.normal(0, THREAD_SPREAD))
        waves = np.sin(2 * np.pi * threads * along + phase)
        weave: Levels = (1 + 0.1 * waves)[..., np.newaxis].astype(np.float32)
        return weave

    def _file(self, upright: Image.Image) -> bytes:
        file = io.BytesIO()
        quality = int(self.random.integers(85, 96))
        if self.random.random() < HELD_UPRIGHT_SHARE:
            upright.save(file, "JPEG", quality=quality)
            return file.getvalue()
        tag = int(self.random.choice(list(TURNED)))
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = tag
        upright.transpose(TURNED[tag]).save(file, "JPEG", quality=quality, exif=exif)
        return file.getvalue()


GROUND_PIXELS: Final = 420


def open_studio(seed: int, grounds: int = 60) -> Studio:
    """Draws the grounds; the same seed gives the same pictures."""
    random = np.random.default_rng(seed)
    return Studio(random, np.stack([_draw_ground(random) for _ in range(grounds)]))


def _draw_ground(random: np.random.Generator) -> Levels:
    """Two colours, mixed by noise whose power falls with the frequency, and boards or tiles."""
    side = GROUND_PIXELS
    frequency = np.hypot(np.fft.fftfreq(side)[:, np.newaxis], np.fft.rfftfreq(side))
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(random.normal(size=(side, side))) / frequency ** random.uniform(0.8, 2)
    noise = np.fft.irfft2(spectrum, (side, side))
    mixed = 0.5 + 0.22 * (noise - noise.mean()) / noise.std()
    y, x = np.mgrid[:side, :side]
    period = int(random.integers(24, 70))
    kind = random.integers(3)
    if kind:
        mixed = mixed * np.where(x % period < 2, 0.4, 1)  # noqa: PLR2004 - the joint, in pixels
    if kind > 1:
        mixed = mixed * np.where(y % period < 2, 0.4, 1)  # noqa: PLR2004 - the joint, in pixels
    dark, bright = random.uniform(0, 0.5, 3), random.uniform(0.4, 1, 3)
    ground: Levels = (dark + np.clip(mixed, 0, 1)[..., np.newaxis] * (bright - dark)).astype("f4")
    return ground


def folder_of(label: int) -> str:
    """A class as a folder can be called."""
    return f"{label:02d}-" + re.sub(r"[^a-z]+", "-", LABELS[label].lower())


def main() -> int:
    """Writes the pictures; 2 when there are no garments."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--garments", type=Path, default=GARMENTS, help=".npz of images, labels")
    parser.add_argument("--output", type=Path, required=True, help="folder of the classes")
    parser.add_argument("--count", type=int, default=300, help="pictures, evenly of all classes")
    parser.add_argument("--seed", type=int, default=300, help="of everything that is drawn")
    arguments = parser.parse_args()
    try:
        with np.load(arguments.garments) as garments:
            images, labels = garments["images"], garments["labels"]
    except (OSError, KeyError, ValueError) as fault:
        sys.exit(f"{arguments.garments}: no garments ({fault})")
    write_pictures(arguments.output, images, labels, (arguments.count, arguments.seed))
    print(f"wrote {arguments.count} pictures to {arguments.output}")
    return 0


def write_pictures(
    output: Path, images: Bytes, labels: Bytes, count_and_seed: tuple[int, int]
) -> None:
    """Writes ``<label>/<number>.jpg``, the classes in turn; each garment is taken once."""
    count, seed = count_and_seed
    studio = open_studio(seed)
    of_class = [np.flatnonzero(labels == label) for label in range(len(LABELS))]
    for number in range(count):
        label, turn = number % len(LABELS), number // len(LABELS)
        row = of_class[label][turn % len(of_class[label])]
        folder = output / folder_of(label)[3:]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:04d}.jpg").write_bytes(studio.photograph(images[row], label))


if __name__ == "__main__":
    sys.exit(main())
