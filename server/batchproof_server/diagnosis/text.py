"""A diagnosis as lines for people, and as one line."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from batchproof.text import joined
from batchproof_server.diagnosis.case import Case
from batchproof_server.diagnosis.findings import CheckResult, Level
from batchproof_server.diagnosis.verdict import Diagnosis

_MARKS: Final = {Level.FINE: " ", Level.SUSPICIOUS: "?", Level.LIKELY: "!"}


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Verdict, causes with evidence and advice, then every check; ends without a line break."""
    return joined(_lines(diagnosis))


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    case = diagnosis.case
    yield f"{case.name}: {case.label} ({case.confidence:.1%}){_truth(case)}"
    yield f"  verdict: {diagnosis.sentence}"
    yield f"  executed by {case.subject.engine}"
    for place, cause in enumerate(diagnosis.causes, start=1):
        yield f"  {place}. {cause.title} ({cause.level.text})"
        yield f"     {cause.evidence}"
        if cause.advice:
            yield f"     What to do: {cause.advice}"
    for answered in diagnosis.answered:
        yield ""
        yield f"  {answered.question}"
        for finding in answered.findings:
            yield f"  {_MARKS[finding.level]} {finding.evidence}{measured(finding)}"


def measured(finding: CheckResult) -> str:
    """Number and threshold in brackets, where both are there."""
    if finding.number is None or finding.threshold is None:
        return ""
    return f" [{finding.number:.3g}, limit {finding.threshold.value:.3g}]"


def _truth(case: Case) -> str:
    label = case.given.label
    if label is None:
        return ""
    right = label == int(case.answers.decided[0])
    return ", which is right" if right else f", but it is {case.subject.labels[label]}"


def one_line(diagnosis: Diagnosis) -> str:
    """Picture, answer and verdict."""
    case = diagnosis.case
    told = f"{case.label} ({case.confidence:.1%}){_truth(case)}"
    return joined([f"{case.name}: {told}: {diagnosis.sentence}"])


def summary_text(diagnoses: Sequence[Diagnosis], refused: Sequence[str]) -> str:
    """What several pictures have in common."""
    counted = Counter(each.causes[0].title if each.causes else "" for each in diagnoses)
    usual = counted.pop("", 0)
    lines = [f"{len(diagnoses)} pictures: nothing unusual with {usual}"]
    lines += [f"  {count} x {title}" for title, count in counted.most_common()]
    lines += [f"  {len(refused)} x could not be diagnosed"] if refused else []
    return joined(lines)
