"""How little it takes to change the answer, compared with reference pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from batchproof_server.diagnosis.case import Case, Curve
from batchproof_server.diagnosis.findings import CheckResult, Level, Threshold

_USUAL: Final = Threshold(
    0.05, "one change of many is rare by chance alone; only what is rarer than that is worth a look"
)
_FRAGILE: Final = Threshold(
    0.3, "fewer than one usual picture in a hundred keeps its class in less of them"
)


@dataclass(frozen=True, slots=True)
class SensitivityCheck:
    """Curves, and the agreement of mild views."""

    question: str = "How little changes the answer?"

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """One finding for each curve, then the views."""
        return (*(_curve(each) for each in case.curves), *_views(case))


def _curve(curve: Curve) -> CheckResult:
    step = curve.flips_at
    if step is None:
        text = f"{curve.family}: the class stays over the whole range."
        return CheckResult("sensitivity", curve.family, 1.0, _USUAL, Level.FINE, text)
    strength = _first_flip(curve)
    others = [each for each in curve.reference_flips if each is not None and each <= step]
    count = len(curve.reference_kept)
    where = f"{curve.family}: the class changes at {strength:g} {curve.unit}".rstrip()
    if not count:
        return CheckResult("sensitivity", curve.family, None, None, Level.FINE, f"{where}.")
    share = len(others) / count
    return CheckResult(
        "sensitivity", curve.family, share, _USUAL, Level.FINE,
        f"{where}; so soon with {share:.0%} of {count} reference pictures.",
    )  # fmt: skip


def _first_flip(curve: Curve) -> float:
    flipped = [place for place, kept in enumerate(curve.kept) if not kept]
    return curve.strengths[min(flipped, key=lambda place: curve.away[place])]


def _views(case: Case) -> Iterator[CheckResult]:
    if case.agreement != case.agreement:
        return
    fragile = case.agreement < _FRAGILE.value
    yield CheckResult(
        "fragile", "a fragile answer", case.agreement, _FRAGILE,
        Level.SUSPICIOUS if fragile else Level.FINE,
        f"{case.agreement:.0%} of the mildly changed pictures keep the class.",
        "Ask with test-time augmentation (see docs/tta.md), or treat the answer as unsure."
        if fragile else "", weight=0.5 / max(case.agreement, 0.05),
    )  # fmt: skip
