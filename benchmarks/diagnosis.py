"""Plants faults and counts what ``batchproof-server diagnose`` makes of them.

    python benchmarks/diagnosis.py BUNDLE --data PATH [--part tuned|kept] [--cases 20] [--clean 200]

Thresholds were tuned by the first half of each class (``tuned``); the other half (``kept``) was not
looked at for that. Pictures that are among the bundle's samples take part in neither. The bundle's
reference pictures are all taken, up to ``--references``: the command itself takes as many as the
machine executes in two seconds, which is another number on every machine.
"""

import argparse
import asyncio
import io
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.base.clock import MonotonicClock
from batchproof_server.base.errors import ServingError
from batchproof_server.commands.certify.command import only_bundle
from batchproof_server.commands.evaluate.command import open_keras
from batchproof_server.commands.serving import serve_version
from batchproof_server.diagnosis.case import Given
from batchproof_server.diagnosis.verdict import Diagnosis, diagnose
from batchproof_server.offline.datasets.reading import read_labelled
from batchproof_server.offline.diagnosing.asking import asker_of_core
from batchproof_server.offline.diagnosing.measuring import Measurer
from batchproof_server.offline.diagnosing.modes import ModeAsker
from batchproof_server.offline.diagnosing.opening import open_measurer
from batchproof_server.offline.diagnosing.reference_pictures import MOST_REFERENCE_PICTURES
from planting import KINDS, NOTHING, Field, Plant, Planted, encoded, right, thumbnail


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One labelled picture, decoded."""

    image: Image.Image
    label: int


def read_pictures(
    data: Path, labels: Sequence[str], config: Config, mode: str
) -> dict[str, list[Picture]]:
    """The pictures of both parts, mixed by a fixed seed."""
    by_class: dict[int, list[Picture]] = {}
    for each in read_labelled(data, labels, config.images):
        # Upright: the planted faults save pictures without the orientation that the file had.
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(each.read()))).convert(mode)
        by_class.setdefault(each.class_index, []).append(Picture(image, each.class_index))
    parts: dict[str, list[Picture]] = {"tuned": [], "kept": []}
    for pictures in by_class.values():
        half = (len(pictures) + 1) // 2
        parts["tuned"] += pictures[:half]
        parts["kept"] += pictures[half:]
    random = np.random.default_rng(16)
    return {
        name: [pictures[place] for place in random.permutation(len(pictures))]
        for name, pictures in parts.items()
    }


def without_samples(pictures: list[Picture], bundle: Path, mode: str) -> list[Picture]:
    """Those that are not among the samples."""
    folder = bundle / "samples"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    known = {Image.open(file).convert(mode).tobytes() for file in files}
    return [each for each in pictures if each.image.tobytes() not in known]


def centroids(pictures: Sequence[Picture], classes: int) -> np.ndarray:
    """The other model."""
    looks = [[thumbnail(each.image) for each in pictures if each.label == place]
             for place in range(classes)]  # fmt: skip
    return np.stack([np.mean(each, axis=0) for each in looks])


@dataclass(slots=True)
class Tally:
    """What became of one kind."""

    name: str
    first: Counter[str]
    cases: int = 0
    in_first: int = 0
    in_three: int = 0

    def add(self, planted: Planted, found: Diagnosis) -> None:
        """Counts one case."""
        causes = [each.cause for each in found.causes] or [NOTHING]
        self.cases += 1
        self.first[causes[0]] += 1
        self.in_first += causes[0].startswith(planted.expected)
        self.in_three += any(each.startswith(planted.expected) for each in causes[:3])

    def line(self) -> str:
        """For the table."""
        if not self.cases:
            return f"{self.name:20} does not apply"
        firsts = ", ".join(f"{cause} {count}" for cause, count in self.first.most_common())
        return f"{self.name:20} {self.cases:5} {self.in_first:5} {self.in_three:7}  {firsts}"


async def try_kind(
    measurer: Measurer, field: Field, name: str, plant: Plant, pictures: Sequence[Picture]
) -> Tally:
    """Plants one fault in some pictures."""
    tally = Tally(name, Counter())
    for number, picture in enumerate(pictures):
        planted = plant(field, picture.image)
        if planted is not None:
            # Where no scores are given, modes are shown and accuse nobody: they take most time.
            modes = measurer.modes if planted.given.scores is not None else "not asked"
            case = await replace(measurer, modes=modes).measure(
                f"{name} {number}", planted.encoded, planted.given
            )
            tally.add(planted, diagnose(case))
    return tally


def clean(_field: Field, image: Image.Image) -> Planted:
    """No fault."""
    return Planted(encoded(image), Given(), NOTHING)


async def run(arguments: argparse.Namespace, config: Config) -> None:
    """Measures and prints."""
    place = only_bundle(arguments.bundle)
    async with serve_version(config, place) as serving:
        model = serving.model
        source, reason = open_keras(model.loaded.bundle, config)
        modes = reason if source is None else ModeAsker(model.loaded, source, MonotonicClock())
        asker = asker_of_core(model, serving.core.predict)
        measurer = await open_measurer(asker, place.directory, modes, arguments.references)
        print(f"{len(measurer.reference.pictures)} reference pictures")
        recipe, spec = measurer.perturber.expansion.recipe, model.loaded.backend.signature.inputs[0]
        mode = "L" if recipe.plan.color == "grayscale" else "RGB"
        parts = read_pictures(arguments.data, measurer.subject.labels, config, mode)
        height, width = recipe.row_shape[:2]
        for part in [arguments.part] if arguments.part else ["tuned", "kept"]:
            pictures = without_samples(parts[part], place.directory, mode)
            field = Field(
                plan=recipe.plan, height=height or 0, width=width or 0, source=source,
                input_name=spec.name, output_name=model.loaded.output.name or "",
                centroids=centroids(parts["tuned"], len(measurer.subject.labels)),
                random=np.random.default_rng(2026),
            )  # fmt: skip
            await print_part(measurer, field, part, pictures, arguments)


async def print_part(
    measurer: Measurer, field: Field, part: str, pictures: list[Picture],
    arguments: argparse.Namespace,
) -> None:  # fmt: skip
    """The table of one part."""
    print(f"\npart {part}: {len(pictures)} pictures")
    print(f"{'planted':20} {'cases':>5} {'first':>5} {'in 3':>7}  first cause")
    tallies: list[Tally] = []
    count, began_s = arguments.cases, time.monotonic()
    for number, (name, plant) in enumerate(KINDS):
        if not _is_wanted(name, arguments.kinds):
            continue
        start = number * count % max(1, len(pictures) - count)
        tally = await try_kind(measurer, field, name, plant, pictures[start : start + count])
        tallies.append(tally)
        print(tally.line(), flush=True)
    for name, plant, cases in (("clean", clean, arguments.clean), ("right tensor", right, count)):
        if not _is_wanted(name, arguments.kinds):
            continue
        tally = await try_kind(measurer, field, name, plant, pictures[:cases])
        print(tally.line(), flush=True)
    cases = sum(each.cases for each in tallies)
    first, three = (sum(getattr(each, key) for each in tallies) for key in ("in_first", "in_three"))
    if cases:
        print(f"planted cause first {first / cases:.1%}, in the first three {three / cases:.1%}")
    print(f"took {time.monotonic() - began_s:.0f} s")


def _is_wanted(name: str, words: str) -> bool:
    return any(word in name for word in words.split(","))


def main() -> None:
    """Reads the arguments and runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path, help="the directory of one version")
    parser.add_argument("--data", type=Path, required=True, help="labelled pictures")
    parser.add_argument("--part", choices=["tuned", "kept"], help="one part only")
    parser.add_argument("--cases", type=int, default=20, help="of each kind")
    parser.add_argument(
        "--clean", type=int, default=200, help="pictures of each part without any fault"
    )
    parser.add_argument(
        "--kinds",
        default="",
        help="those whose name holds one of these words: turned,unknown,clean",
    )
    parser.add_argument(
        "--references", type=int, default=MOST_REFERENCE_PICTURES, help="the most that are taken"
    )
    arguments = parser.parse_args()
    config = read_config(None, {})
    prepare_engines()
    try:
        asyncio.run(run(arguments, config))
    except ServingError as failed:
        raise SystemExit(str(failed)) from failed


if __name__ == "__main__":
    main()
