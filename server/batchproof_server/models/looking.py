"""Looks at the files of versions: what lies there, and whether it is still being copied."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.discovery import NothingToServe, Place, discover, discover_model
from batchproof_server.models.loader import Loader
from batchproof_server.models.off_loop import off_loop
from batchproof_server.models.policies import RepositorySettings
from batchproof_server.models.served import ServedModel
from batchproof_server.models.weighted_versions import Target

Key: TypeAlias = tuple[str, int]
"""A model's name and a version."""


@dataclass(frozen=True, slots=True)
class Lying:
    """A version as it lies in the repository.

    Attributes:
        stamp: another one when a file came, went, or changed its size or its time.
        partial: a file that a copying program has not finished; empty without one.
    """

    place: Place
    stamp: str
    partial: str = ""


@dataclass(frozen=True, slots=True)
class FoundVersions:
    """What one look found.

    Attributes:
        versions: by name and number.
        unread: why nothing can be said of a model, by its name.
    """

    versions: Mapping[Key, Lying]
    unread: Mapping[str, str] = field(default_factory=dict)


Look: TypeAlias = Callable[[], FoundVersions]
"""Looks; blocks. Raises ValueError or OSError where nothing can be said of any model."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where versions lie and what is wanted of them.

    Attributes:
        look: finds them.
        settings: of the repository.
        labels: model -> label -> what it stands for.
    """

    look: Look
    settings: RepositorySettings = field(default_factory=RepositorySettings)
    labels: Mapping[str, Mapping[str, Target]] = field(default_factory=dict)


def look_at(path: Path) -> FoundVersions:
    """Looks at a bundle, a model's folder or a repository. Blocks.

    Raises:
        NothingToServe: there is no version below the path, or it cannot be read.
        OSError: a file cannot be read.
    """
    return found_at(discover(path))


def look_at_models(paths: Mapping[str, Path]) -> FoundVersions:
    """Looks at models that lie in folders of their own. Blocks.

    Args:
        paths: by the names of the models.

    Raises:
        NothingToServe: there is no version in any of them.
        OSError: a file cannot be read.
    """
    places: list[Place] = []
    unread: dict[str, str] = {}
    for name, path in paths.items():
        try:
            places += discover_model(name, path)
        except NothingToServe as nothing:
            unread[name] = str(nothing)
    if not places:
        raise NothingToServe("\n".join(unread.values()))
    return replace(found_at(tuple(sorted(places))), unread=unread)


def found_at(places: tuple[Place, ...]) -> FoundVersions:
    """Looks at places that are known. Blocks.

    Raises:
        OSError: a file cannot be read.
    """
    return FoundVersions({(place.name, place.version): lying(place) for place in places})


def lying(place: Place) -> Lying:
    """Looks at one version. Blocks.

    Raises:
        OSError: a file cannot be read.
    """
    digest, partial = hashlib.sha256(), ""
    for name, status in sorted(_files(place.directory)):
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
        if _PARTIAL.search(name):
            partial = name
    return Lying(place, digest.hexdigest(), partial)


# Names under which rsync, scp clients, browsers and object store clients keep what they have not
# finished: the file gets its own name when it is whole.
_PARTIAL: Final = re.compile(
    r"(\.part|\.partial|\.tmp|\.temp|\.filepart|\.crdownload|\.gstmp|(^|/)\.[^/]+\.\w{6})$"
)


def _files(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files, by names that can be printed; what is gone meanwhile is passed over."""
    for top, _, names in os.walk(directory):
        for name in names:
            path = Path(top, name)
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield ascii(path.relative_to(directory).as_posix())[1:-1], status


@dataclass(frozen=True, slots=True)
class Seen:
    """Since when a version has lain there as it does.

    Attributes:
        since_s: the first look that found it so.
        is_whole: whether it may be loaded.
    """

    lying: Lying
    since_s: float
    is_whole: bool


def settle(
    before: Mapping[Key, Seen], found: Mapping[Key, Lying], now_s: float, settle_s: float
) -> dict[Key, Seen]:
    """What is known after a look.

    Args:
        before: what was known.
        found: by the look.
        now_s: its instant.
        settle_s: how long a version must have lain there unchanged, over two looks.
    """
    seen: dict[Key, Seen] = {}
    for key, now in found.items():
        was = before.get(key)
        is_same = was is not None and was.lying.stamp == now.stamp
        since_s = was.since_s if was is not None and is_same else now_s
        is_whole = not now.partial and is_same and now_s - since_s >= settle_s
        seen[key] = Seen(now, since_s, is_whole)
    return seen


def as_it_lies(found: Mapping[Key, Lying]) -> dict[Key, Seen]:
    """What is known at the start, when nobody copies: everything is whole unless a name says no."""
    return {key: Seen(now, -1e18, not now.partial) for key, now in found.items()}


# Contract: what answers is what was proven. A version whose files change between the beginning of
# its loading and its end is refused, and may be loaded again as it lies then.
@dataclass(frozen=True, slots=True)
class SteadyLoader:
    """Loads versions that do not change meanwhile.

    Attributes:
        loader: loads them.
    """

    loader: Loader

    async def load(self, place: Place, tell_step: Callable[[str], None]) -> ServedModel:
        """Loads a version; as ``models.loader.Loader`` says."""
        before = await off_loop(lambda: lying(place))
        served = await self.loader.load(place, tell_step)
        try:
            _check_same(before, await off_loop(lambda: lying(place)))
        except BaseException:
            served.close()
            raise
        return served


def _check_same(before: Lying, after: Lying) -> None:
    if after.stamp != before.stamp:
        finding = "its files changed while it was loaded; copy it whole, then rename it"
        raise ModelRefused("the bundle changed while it was loaded", (finding,))
