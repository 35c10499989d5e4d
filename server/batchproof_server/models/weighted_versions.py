"""What a version label stands for: one version, or several that share its callers. Pure."""

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, TypeAlias

from batchproof_server.base.errors import cut

MOST_MEMBERS: Final = 16
MOST_WEIGHT: Final = 1_000_000
MOST_VERSION: Final = (1 << 63) - 1


# Contract
#
# Which member a key meets depends on the key, the model, the label, the versions and the ratios of
# their weights, and on nothing else: every replica and every restart agree, and a caller that keeps
# its key keeps its version. Weights are shares of keys, whatever the keys look like. A weight that
# grows draws keys to its version from all others and moves no other key; a member that may not be
# chosen gives its keys to the others by their weights, and moves no other key.
@dataclass(frozen=True, slots=True)
class WeightedVersions:
    """Versions that share the callers of a label.

    Attributes:
        weights: version and weight, ascending by version; weights are 0 or more, one is above.
    """

    weights: tuple[tuple[int, int], ...]

    def choose(self, model: str, label: str, key: str, able: Container[int]) -> int:
        """The version that a key meets.

        It is weighted rendezvous hashing, by the logarithmic method (Schindelhauer and Schomaker,
        "Weighted distributed hash tables", 2005): -ln(u) / weight is least, where u is uniform in
        (0, 1) and comes from the BLAKE2b of model, label, version and key.

        Args:
            model: its name.
            label: its name.
            key: of the caller.
            able: the versions that may be chosen.

        Raises:
            ValueError: none of them has a weight.
        """
        waits = [
            (-math.log(_uniform(model, label, version, key)) / weight, version)
            for version, weight in self.weights
            if weight and version in able
        ]
        return min(waits)[1]


Target: TypeAlias = int | WeightedVersions
"""What a label stands for."""

# 16 bytes: other uses of the hash are others.
_PERSON: Final = b"batchproof-label"
_BITS: Final = 53


def _uniform(model: str, label: str, version: int, key: str) -> float:
    """From 0 to 1, without both, as exact as a float64 is."""
    text = f"{model}\0{label}\0{version}\0{key}".encode()
    number = int.from_bytes(blake2b(text, digest_size=8, person=_PERSON).digest(), "big")
    return ((number >> (64 - _BITS)) + 0.5) / (1 << _BITS)


def target_of(weights: Mapping[int, int]) -> Target:
    """What stands for these versions with these weights; for a single one, itself.

    Raises:
        ValueError: there is none or are too many, a version or a weight is out of its range, or
            all weights are 0.
    """
    if not 1 <= len(weights) <= MOST_MEMBERS:
        raise ValueError(f"{len(weights)} versions, expected 1 to {MOST_MEMBERS}")
    for version, weight in weights.items():
        if not 1 <= version <= MOST_VERSION:
            raise ValueError(f"a version is {version}, expected 1 or more")
        if not 0 <= weight <= MOST_WEIGHT:
            raise ValueError(
                f"the weight of version {version} is {weight}, expected 0 to {MOST_WEIGHT}"
            )
    if not any(weights.values()):
        raise ValueError("all weights are 0, expected one above it")
    if len(weights) == 1:
        return next(iter(weights))
    return WeightedVersions(tuple(sorted(weights.items())))


def read_target(value: object) -> Target:
    """What a value of the configuration stands for: a version, or weights by their versions.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, Mapping):
        return target_of({_version(key): _weight(key, each) for key, each in value.items()})
    return target_of({_version(value): 1})


def _version(value: object) -> int:
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) <= _MOST_DIGITS
    ):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(
        f'"{cut(str(value))}" is no version, expected a number, or weights by versions such as '
        "{ 7 = 95, 8 = 5 }"
    )


_MOST_DIGITS: Final = 19


def _weight(version: object, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(
        f'the weight of version {cut(str(version))} is "{cut(str(value))}", expected a whole number'
    )


def weights_of(target: Target) -> dict[int, int]:
    """The weights of what a label stands for, by versions; a single one has 1."""
    return dict(target.weights) if isinstance(target, WeightedVersions) else {target: 1}


def versions_in(targets: Iterable[Target]) -> frozenset[int]:
    """All versions that labels stand for."""
    return frozenset(version for target in targets for version in weights_of(target))


def replaced(target: Target, old: int, new: int) -> Target:
    """What is left when a version takes the place, and the weight, of another."""
    weights = weights_of(target)
    if old in weights:
        weights[new] = min(MOST_WEIGHT, weights.get(new, 0) + weights.pop(old))
    return target_of(weights)


def without(target: Target, version: int) -> Target | None:
    """What is left when a version is gone; None where that is nothing, or without a weight."""
    left = {each: weight for each, weight in weights_of(target).items() if each != version}
    return target_of(left) if any(left.values()) else None
