"""Finds the model versions below a path; reads directory names only."""

from dataclasses import dataclass, replace
from pathlib import Path

from batchproof_server.models.bundle import has_artefact


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where one model version lies."""

    name: str
    version: int
    directory: Path


class NothingToServe(ValueError):
    """The path is no bundle and no repository; the text says what was found."""


def discover(path: Path) -> tuple[Place, ...]:
    """Finds every version: ``path`` is a bundle, a model's folder of versions, or a repository.

    A bundle is named after its folder, or after the folder above when its own name is a version
    number. Hidden entries and entries that are neither models nor versions are passed over.

    Raises:
        NothingToServe: there is no version below ``path``.
    """
    path = path.resolve()
    if path.is_file():
        raise NothingToServe(
            f"{path}: is a file, expected the folder that holds it: put it into "
            f"{path.stem}/1/ and give {path.stem}/1 (`batchproof-server inspect` looks at a file)"
        )
    if not path.is_dir():
        raise NothingToServe(f"{path}: no such directory")
    try:
        places = (_bundle_place(path),) if has_artefact(path) else _repository_places(path)
    except OSError as fault:
        raise NothingToServe(f"{fault.filename}: cannot be read") from fault
    if not places:
        raise NothingToServe(
            f"{path}: found no model; expected a bundle, or <model>/<integer version>/ folders"
        )
    _check_unique(places)
    return tuple(sorted(places))


def discover_model(name: str, path: Path) -> tuple[Place, ...]:
    """Finds every version in a folder of versions, whatever its own name is.

    Raises:
        NothingToServe: there is none.
    """
    try:
        places = _versions(path.resolve()) if path.is_dir() else ()
    except OSError as fault:
        raise NothingToServe(f"{fault.filename}: cannot be read") from fault
    if not places:
        raise NothingToServe(f'{path}: found no version of model "{name}"')
    _check_unique(places)
    return tuple(sorted(replace(place, name=name) for place in places))


def _bundle_place(path: Path) -> Place:
    version = _version_number(path)
    return Place(path.name, 1, path) if version is None else Place(path.parent.name, version, path)


def _repository_places(path: Path) -> tuple[Place, ...]:
    return _versions(path) or tuple(
        place for model in path.iterdir() if _visible(model) for place in _versions(model)
    )


def _check_unique(places: tuple[Place, ...]) -> None:
    seen: dict[tuple[str, int], Path] = {}
    for place in places:
        other = seen.setdefault((place.name, place.version), place.directory)
        if other != place.directory:
            raise NothingToServe(
                f"{place.directory}: the same version as {other.name}, expected one folder each"
            )


def _versions(model: Path) -> tuple[Place, ...]:
    return tuple(
        Place(model.name, version, directory)
        for directory in model.iterdir()
        if _visible(directory) and (version := _version_number(directory)) is not None
    )


def _visible(path: Path) -> bool:
    # A name that is not UTF-8 is not printable either; no caller could ask for it.
    return path.is_dir() and not path.name.startswith(".") and path.name.isprintable()


def _version_number(path: Path) -> int | None:
    """The version that a folder's name gives: decimal digits, 1 or more."""
    digits = path.name.isascii() and path.name.isdigit()
    return int(path.name) if digits and 1 <= int(path.name) < _MAX_VERSION else None


_MAX_VERSION = 1 << 63
