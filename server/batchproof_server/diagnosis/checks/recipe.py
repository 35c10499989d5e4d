"""What other recipes would have answered."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from batchproof_server.diagnosis.case import Case
from batchproof_server.diagnosis.findings import CheckResult, Level, Threshold

_ANOTHER_CLASS: Final = Threshold(
    0.5, "more than half of the usual mistakes change the class of few pictures that are usual"
)
_UPRIGHT: Final = Threshold(1, "1 is upright, and most pictures without EXIF are")


@dataclass(frozen=True, slots=True)
class RecipeCheck:
    """The declared recipe against the usual mistakes, for this picture."""

    question: str = "What would other recipes have answered?"

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """How many change the class, and what the file itself asks for."""
        return (_mistakes(case), *_orientation(case), *_label(case))


def _mistakes(case: Case) -> CheckResult:
    answered = [each for each in case.tried if each.answers is not None]
    other = [
        each for each in answered if each.answers and case.label_of(each.answers) != case.label
    ]
    if not answered:
        return CheckResult(
            "recipe", "recipe", None, None, Level.FINE, "No other recipe fits this model's input."
        )
    share = len(other) / len(answered)
    named = "; ".join(each.title for each in other[:4]) + (" and others" if len(other) > 4 else "")  # noqa: PLR2004 - so many are read
    told = f": {named}" if other else ""
    return CheckResult(
        "recipe", "recipe", share, _ANOTHER_CLASS, Level.FINE,
        f"{len(other)} of {len(answered)} usual mistakes would change the class of this picture"
        f"{told}.",
    )  # fmt: skip


def _orientation(case: Case) -> Iterator[CheckResult]:
    """A file that asks to be turned, and a recipe that does not, are a mistake by themselves."""
    if case.orientation == 1:
        return
    turned = [each for each in case.tried if each.cause == "orientation:apply"]
    other = next((each.answers for each in turned if each.answers), None)
    if other is None:
        return
    changed = case.label_of(other) != case.label
    yield CheckResult(
        "orientation:ignore", "EXIF orientation ignored", float(case.orientation), _UPRIGHT,
        Level.LIKELY if changed else Level.SUSPICIOUS,
        f"The file has the EXIF orientation {case.orientation} and the recipe ignores it; turned "
        f"upright the answer is {case.label_of(other)} ({other.confidence[0]:.1%}).",
        'Write orientation = "apply" into [recipe] if the model was trained on upright pictures.',
        weight=10.0,
    )  # fmt: skip


def _label(case: Case) -> Iterator[CheckResult]:
    """With the true class at hand, a recipe that finds it is worth a look."""
    truth = case.given.label
    if truth is None or int(case.answers.decided[0]) == truth:
        return
    right = [
        each
        for each in case.tried
        if each.answers is not None and int(each.answers.decided[0]) == truth
    ]
    if not right:
        return
    best = max(right, key=lambda each: float(each.answers.confidence[0]) if each.answers else 0.0)
    confidence = float(best.answers.confidence[0]) if best.answers else 0.0
    yield CheckResult(
        f"declared:{best.cause}", f"the declared recipe may be wrong: {best.title}?", confidence,
        _SURE, Level.SUSPICIOUS if confidence >= _SURE.value else Level.FINE,
        f"The right class ({case.subject.labels[truth]}) is answered by {len(right)} other recipes,"
        f" most surely {best.title} ({confidence:.1%}).",
        "Run `batchproof-server evaluate` with that recipe on labelled pictures before you believe "
        "it: one picture proves nothing.",
    )  # fmt: skip


_SURE: Final = Threshold(0.9, "less sure answers of wrong recipes are right by chance")
