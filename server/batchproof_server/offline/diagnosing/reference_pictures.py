"""The reference pictures of a bundle, read for a comparison."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.files import read_start
from batchproof_server.base.spread import spread
from batchproof_server.imaging.geometry import Picture
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.models.samples import SAMPLES_NAME
from batchproof_server.offline.reference_profile.samples import REFERENCE_NAME

MOST_REFERENCE_PICTURES: Final = 60
_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


@dataclass(frozen=True, slots=True, eq=False)
class ReferencePicture:
    """One picture of the bundle.

    Attributes:
        name: of its file.
        picture: as ``Recipe.picture`` gave it.
    """

    name: str
    picture: Picture


def reference_pictures(bundle: Path, recipe: Recipe, limit: int) -> tuple[ReferencePicture, ...]:
    """Those of ``samples/``, and the thumbnails that ``profile --samples`` wrote, evenly spread.

    What the recipe refuses is left out: the proof names it.
    """
    files = [file for name in (SAMPLES_NAME, REFERENCE_NAME) for file in _files(bundle / name)]
    return tuple(_read(spread(files, limit), recipe))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in _SUFFIXES)


def _read(files: tuple[Path, ...], recipe: Recipe) -> Iterator[ReferencePicture]:
    for file in files:
        try:
            content = read_start(file, recipe.limits.max_image_bytes)
            yield ReferencePicture(file.name, recipe.picture(content))
        except (InvalidInput, OSError):
            continue
