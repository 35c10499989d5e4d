"""Operations made by hand, for the analysis of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from batchproof_server.proof.rows.layout import Rows, Shape

ROWS = 4


@dataclass(frozen=True)
class FakeNode:
    """An operation made by hand."""

    kind: str
    input_shapes: Sequence[Shape]
    output_shapes: Sequence[Shape]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    statics: Mapping[int, Any] = field(default_factory=dict)
    same: bool | None = None
    count: int = ROWS

    def attr(self, name: str) -> Any:
        """An attribute, or None."""
        return self.attrs.get(name)

    def static(self, index: int) -> np.ndarray[Any, Any] | None:
        """A constant input, or None."""
        value = self.statics.get(index)
        return None if value is None else np.asarray(value)

    def uniform(self, index: int, rows: Rows) -> bool | None:
        """What the test says."""
        assert index >= 0
        assert rows.axis >= 0
        return self.same
