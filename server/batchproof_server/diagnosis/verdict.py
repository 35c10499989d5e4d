"""From the findings of all checks to causes in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batchproof_server.diagnosis.case import Case
from batchproof_server.diagnosis.checks.given import ScoresCheck, TensorCheck
from batchproof_server.diagnosis.checks.modes import ModeCheck
from batchproof_server.diagnosis.checks.occlusion import OcclusionCheck
from batchproof_server.diagnosis.checks.overfitting import OverfittingCheck
from batchproof_server.diagnosis.checks.picture import PictureCheck
from batchproof_server.diagnosis.checks.place import PlaceCheck
from batchproof_server.diagnosis.checks.recipe import RecipeCheck
from batchproof_server.diagnosis.checks.sensitivity import SensitivityCheck
from batchproof_server.diagnosis.findings import NOTHING_UNUSUAL, CheckResult, DiagnosisCheck, Level

CHECKS: Final[tuple[DiagnosisCheck, ...]] = (
    TensorCheck(),
    ScoresCheck(),
    RecipeCheck(),
    PictureCheck(),
    ModeCheck(),
    SensitivityCheck(),
    OcclusionCheck(),
    PlaceCheck(),
    OverfittingCheck(),
)
"""Every check, in the order of the report."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A check and what it found."""

    question: str
    findings: tuple[CheckResult, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """A case with what was found.

    Attributes:
        case: what was measured.
        answered: by the checks.
        causes: what is not fine, the likeliest first; empty when nothing is unusual.
    """

    case: Case
    answered: tuple[CheckReport, ...]
    causes: tuple[CheckResult, ...]

    @property
    def first(self) -> str:
        """The name of the first cause."""
        return self.causes[0].cause if self.causes else NOTHING_UNUSUAL

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        if not self.causes:
            return "nothing unusual"
        first = self.causes[0]
        return f"{first.level.text}: {first.title}"


def diagnose(case: Case) -> Diagnosis:
    """Asks every check."""
    return concluded(case, [answer_of(check, case) for check in CHECKS])


def answer_of(check: DiagnosisCheck, case: Case) -> CheckReport:
    """What one check says."""
    return CheckReport(check.question, check.look(case))


def concluded(case: Case, answered: Sequence[CheckReport]) -> Diagnosis:
    """The causes in order; a check without anything to say is left out."""
    told = tuple(each for each in answered if each.findings)
    return Diagnosis(case, told, ranked([each for one in told for each in one.findings]))


def ranked(findings: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """What is not fine: likely causes before suspicious ones, then by weight; each cause once."""
    causes = sorted(
        (each for each in findings if each.level > Level.FINE),
        key=lambda each: (-each.level, -each.weight),
    )
    seen: dict[str, CheckResult] = {}
    for each in causes:
        seen.setdefault(each.cause, each)
    return tuple(seen.values())
