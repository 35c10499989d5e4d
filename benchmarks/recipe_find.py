"""Plants twelve mistakes in the manifest of the colour bundle, and looks for the true recipe.

    python benchmarks/recipe_find.py [--pictures 300] [--seed 300] [--only NAME] [--json FILE]

The pictures are drawn by ``examples/garments/drawing.py`` from a seed that training never saw. For
each mistake: whether the true recipe is among the tied ones, whether the planted one is beaten, and
whether a recipe is tied that has another scaling, colour order or orientation than the true one, or
that stretches or pads. Exits with 1 when the true recipe is missing, or such a one is tied.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.signature import Array
from batchproof_server.commands.certify.command import only_bundle
from batchproof_server.commands.serving import Serving, serve_version
from batchproof_server.imaging.mistakes import Part, changes, differing_parts, name_in
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.imaging.settings import RecipePlan
from batchproof_server.offline.datasets.pictures import LabelledPicture, truth_of
from batchproof_server.offline.datasets.reading import read_labelled
from batchproof_server.offline.evaluation.evaluating import subject_of
from batchproof_server.offline.recipe_search.answering import ManyRecipes
from batchproof_server.offline.recipe_search.candidates import RecipeInput
from batchproof_server.offline.recipe_search.result import FoundRecipes, found_recipes
from batchproof_server.offline.recipe_search.searching import RecipeSearch, mixed

ROOT: Final = Path(__file__).resolve().parents[1]
GARMENTS: Final = ROOT / "examples/garments"
BUNDLE: Final = GARMENTS / "models/garments/1"
SEED: Final = 300

# The mistake -> the part, and what the manifest then has there.
MISTAKES: Final[Mapping[str, tuple[Part, str]]] = MappingProxyType(
    {
        "no scaling": ("scaling", "0..255"),
        "x / 255": ("scaling", "x / 255"),
        "x / 127.5 - 1": ("scaling", "x / 127.5 - 1"),
        "caffe": ("scaling", "minus the mean of ImageNet, as caffe"),
        "bgr": ("colour order", "bgr, scaled as rgb"),
        "EXIF ignored": ("orientation", "EXIF orientation ignored"),
        "stretched": ("policy", "stretch"),
        "padded": ("policy", "pad with 0"),
        "another short side": ("policy", "short side 96, centre crop"),
        "nearest": ("filter", "pillow nearest"),
        "no antialias": ("filter", "tensorflow bilinear"),
        "fast decoder": ("decoder", "decoder tensorflow-fast"),
    }
)
NEVER_TIED: Final[tuple[Part, ...]] = ("scaling", "colour order", "orientation")
NEVER_POLICIES: Final = ("stretch", "pad", "pad_to_aspect_ratio", "resize_with_pad")


@dataclass(frozen=True)
class Found:
    """What came of one planted mistake.

    Attributes:
        mistake: by name.
        is_truth_tied: whether the true recipe may be the best.
        is_planted_beaten: whether the planted one cannot be.
        is_truth_written: whether the true recipe is what the command says to write.
        tied: recipes that may be the best.
        wrong: tied recipes that never may be, in words.
        tried: recipes.
        behind: of the planted one, nats a picture.
    """

    mistake: str
    is_truth_tied: bool
    is_planted_beaten: bool
    is_truth_written: bool
    tied: int
    wrong: tuple[str, ...]
    tried: int
    behind: float

    @property
    def is_good(self) -> bool:
        """Whether the promise is kept."""
        return self.is_truth_tied and not self.wrong


@dataclass(slots=True)
class RememberingRecipes(ManyRecipes):
    """Asks the same only once over all searches: an answer depends on its row alone.

    Attributes:
        remembered: by the place of the picture and the digest of the recipe.
    """

    remembered: dict[tuple[int, str], Array] = field(default_factory=dict)

    async def probabilities(self, place: int, recipes: Sequence[Recipe]) -> Array:
        """As ``ManyRecipes``."""
        fresh = [each for each in recipes if (place, each.digest) not in self.remembered]
        if fresh:
            answers = await ManyRecipes.probabilities(self, place, fresh)
            for recipe, answer in zip(fresh, answers, strict=True):
                self.remembered[place, recipe.digest] = answer
        return np.stack([self.remembered[place, each.digest] for each in recipes])


def planted(true: RecipePlan, model: RecipeInput, mistake: str) -> RecipePlan:
    """The recipe with a mistake in it."""
    part, name = MISTAKES[mistake]
    (plan,) = [
        each.plan for each in changes(true, model.plugs) if (each.part, each.name) == (part, name)
    ]
    return plan


def never_tied(found: FoundRecipes, true: RecipePlan) -> Iterator[str]:
    """Tied recipes that cost answers, in words."""
    for each in found.tied:
        parts = differing_parts(true, each.plan)
        policy = each.plan.resize.policy if each.plan.resize is not None else ""
        if set(parts) & set(NEVER_TIED) or policy in NEVER_POLICIES:
            yield ", ".join(name_in(part, each.plan) for part in parts)


async def search_all(
    config: Config, pictures: tuple[LabelledPicture, ...], mistakes: list[str]
) -> list[Found]:
    """One search for each mistake, of one model that is loaded once."""
    async with serve_version(config, only_bundle(BUNDLE)) as serving:
        loaded = serving.model.loaded
        plugs = loading_plugs(config).imaging(loaded.bundle.kind)
        model = RecipeInput(loaded.backend.signature.inputs[0], plugs, config.images)
        asker = RememberingRecipes(serving.model, serving.core.predict, mixed(pictures))
        found = []
        for mistake in mistakes:
            found.append(await search_one(serving, model, asker, mistake))
            print(f"  {mistake}: {'good' if found[-1].is_good else 'BAD'}", file=sys.stderr)
        return found


async def search_one(
    serving: Serving, model: RecipeInput, asker: ManyRecipes, mistake: str
) -> Found:
    """Searches from the recipe with the mistake in it."""
    loaded = serving.model.loaded
    assert loaded.recipe is not None  # noqa: S101 - of the bundle that is committed
    true = loaded.recipe.plan
    own = model.compiled(planted(true, model, mistake))
    assert own is not None  # noqa: S101 - every change of it can be compiled
    search = RecipeSearch(
        asker=asker,
        truth=truth_of(asker.pictures, loaded.classes),
        meaning=loaded.output.meaning,
        model=model,
        begin=lambda _title, _total: lambda _done: None,
    )
    best = await search.run(own)
    subject = subject_of(loaded, "", len(asker.pictures), len(asker.pictures), loaded.classes)
    found = found_recipes(search, best, search.tried[own.digest], subject, has_recipe=True)
    (planted_one,) = [each for each in found.standings if each.is_manifests]
    return Found(
        mistake=mistake,
        is_truth_tied=any(each.digest == loaded.recipe.digest for each in found.tied),
        is_planted_beaten=found.is_own_beaten,
        is_truth_written=found.to_write.digest == loaded.recipe.digest,
        tied=len(found.tied),
        wrong=tuple(never_tied(found, true)),
        tried=len(search.tried),
        behind=planted_one.behind,
    )


def draw(folder: Path, count: int, seed: int) -> None:
    """Has the pictures drawn, in a folder for each class."""
    script = GARMENTS / "drawing.py"
    command = [sys.executable, script, "--output", folder, "--count", count, "--seed", seed]
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)


def table(found: list[Found]) -> Iterator[str]:
    """In Markdown."""
    yield (
        "| planted | truth tied | planted beaten | truth to write | behind, nats | tied "
        "| never tied | tried |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for each in found:
        yield (
            f"| {each.mistake} | {'yes' if each.is_truth_tied else '**no**'} "
            f"| {'yes' if each.is_planted_beaten else 'no'} "
            f"| {'yes' if each.is_truth_written else 'no'} | {each.behind:.4f} | {each.tied} "
            f"| {'; '.join(each.wrong) or 'kept'} | {each.tried} |"
        )


def main() -> int:
    """Draws, searches, prints; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=300, help="labelled pictures (300)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the pictures ({SEED})")
    parser.add_argument("--only", choices=tuple(MISTAKES), help="one mistake alone")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    arguments = parser.parse_args()
    config = read_config(None, {})
    folder = Path(tempfile.mkdtemp())
    try:
        draw(folder, arguments.pictures, arguments.seed)
        labels = (BUNDLE / "labels.txt").read_text().splitlines()
        pictures = read_labelled(folder, labels, config.images)
        prepare_engines()
        mistakes = [arguments.only] if arguments.only else list(MISTAKES)
        found = asyncio.run(search_all(config, pictures, mistakes))
    finally:
        shutil.rmtree(folder)
    print("\n".join(table(found)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in found], indent=2) + "\n")
    return 0 if all(each.is_good for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
