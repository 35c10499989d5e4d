"""Which versions of a model are loaded: what may be set about the repository. Pure."""

import math
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import ClassVar, Final

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Which of the versions that lie in the repository are loaded; without any key, all.

    Attributes:
        latest: so many of the newest that can be loaded.
        specific: these and no others.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    latest: int | None = None
    specific: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.latest is not None and self.specific is not None:
            raise ValueError("latest and specific exclude each other, expected one of them")
        if self.latest is not None and self.latest < 1:
            raise ValueError(f"latest is {self.latest}, expected 1 or more")

    def choose(self, candidates: Iterable[int], failed: AbstractSet[int]) -> frozenset[int]:
        """The versions to load.

        Args:
            candidates: those that could be.
            failed: those among them that cannot be loaded as they are; ``latest`` takes older ones
                in their place, so that a server that starts beside a bad version answers.
        """
        if self.specific is not None:
            return frozenset(self.specific).intersection(candidates)
        if self.latest is None:
            return frozenset(candidates)
        good = sorted(set(candidates) - failed, reverse=True)
        return frozenset(good[: self.latest])


NOTHING: Final = VersionPolicy(specific=())
"""The policy of a model that is not to be served."""


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """How the versions of the repository come and go.

    Attributes:
        poll_s: between two looks; 0 looks when it is asked to.
        settle_s: the files of a new version must have been the same for this long, over two looks.
        policy: of models without one of their own.
        policies: by the names of models.
        model_config_file: TensorFlow Serving's, which names models, paths, policies and labels in
            place of a path on the command line; empty without one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    poll_s: float = 0.0
    settle_s: float = 1.0
    policy: VersionPolicy = field(default_factory=VersionPolicy)
    policies: dict[str, VersionPolicy] = field(default_factory=dict)
    model_config_file: str = ""

    def __post_init__(self) -> None:
        for name in ("poll_s", "settle_s"):
            duration_s = getattr(self, name)
            if not 0 <= duration_s < math.inf:
                raise ValueError(f"{name} is {duration_s}, expected 0 or more, and finite")

    def policy_of(self, model: str) -> VersionPolicy:
        """The policy that holds for a model."""
        return self.policies.get(model, self.policy)
