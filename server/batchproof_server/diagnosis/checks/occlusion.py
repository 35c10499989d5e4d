"""Where the model looks."""

from dataclasses import dataclass
from typing import Final

from batchproof_server.diagnosis.case import Case
from batchproof_server.diagnosis.findings import CheckResult, Level, Threshold
from batchproof_server.diagnosis.occlusion import PLACES

_CHANGED: Final = Threshold(
    1.0, "a map shows where the answer comes from, and says of no place that it is the wrong one"
)
_THIRDS: Final = (("top", "middle", "bottom"), ("left", "centre", "right"))


@dataclass(frozen=True, slots=True)
class OcclusionCheck:
    """Covers one part of the model's view after the other; shows, and accuses nobody."""

    question: str = "Where does the model look?"

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """How many covers change the class, and where one costs most."""
        occlusion = case.occlusion
        if occlusion is None:
            return ()
        top, left = occlusion.most
        down, right = (
            names[place * len(names) // PLACES]
            for names, place in zip(_THIRDS, (top, left), strict=True)
        )
        changed = float(1 - occlusion.kept.mean())
        return (
            CheckResult(
                "occlusion", "where the model looks", changed, _CHANGED, Level.FINE,
                f"Most of the answer comes from the {down} {right}: with a quarter of each side "
                f"covered there, {case.label} has {occlusion.left[top, left]:.1%} instead of "
                f"{case.confidence:.1%}. Another class with {changed:.0%} of all covers.",
            ),
        )  # fmt: skip
