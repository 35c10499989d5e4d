"""Rows of tensors so far from the reference that they were made in another way. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.drift.profile import ReferenceProfile


@dataclass(frozen=True, slots=True)
class FarRows:
    """Rows of one request that are far from the reference.

    Attributes:
        rows: how many.
        first: the place of the first one.
        mean: of the first one.
        usual: the least and the greatest mean of a row of the reference.
    """

    rows: int
    first: int
    mean: float
    usual: tuple[float, float]

    def __str__(self) -> str:
        least, greatest = self.usual
        return (
            f"{self.rows} row(s) of the input are far from the reference pictures, the first is "
            f"row {self.first}: its mean is {self.mean:.4g}, theirs are {least:.4g} to "
            f"{greatest:.4g}; scale it as the model's recipe does, or send pictures"
        )


@dataclass(frozen=True, slots=True)
class UsualMeans:
    """The means of the rows of the reference, with as much room again on either side.

    Row means of ordinary pictures, dark and bright ones, do not come so far: the span of a
    reference of 100 pictures is about five standard deviations wide, so the limit is seven or more
    from its middle. Rows in another unit do: those of 0 to 255 lie 50 spans away where -1 to 1 was
    trained. It is a rule for mistakes; drift is for what is slightly different.

    Attributes:
        least: of the reference.
        greatest: of the reference.
        limits: beyond which a row is far.
    """

    least: float
    greatest: float
    limits: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        room = self.greatest - self.least
        object.__setattr__(self, "limits", (self.least - room, self.greatest + room))

    @classmethod
    def of(cls, profile: ReferenceProfile) -> "UsualMeans | None":
        """Those of a profile; None where it does not know any, or all are the same."""
        known = profile.signals.get("tensor_mean")
        if known is None or known.min == known.max:
            return None
        return cls(known.min, known.max)

    def far(self, means: Array | Sequence[float]) -> FarRows | None:
        """Which of some rows are far away; None where none is.

        Args:
            means: of the rows; NaN is nowhere.
        """
        lowest, highest = self.limits
        values = np.asarray(means)
        is_far = (values < lowest) | (values > highest)
        if not is_far.any():
            return None
        first = int(is_far.argmax())
        usual = (self.least, self.greatest)
        return FarRows(int(is_far.sum()), first, float(values[first]), usual)
