"""A profile as a few tables for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from batchproof.text import joined
from batchproof_server.commands.tables import table
from batchproof_server.drift.profile import ClassReference, ReferenceProfile
from batchproof_server.drift.profile_form import profile_digest
from batchproof_server.drift.tta_reference import TtaReference

_SIGNALS: Final = ("signal", "bins", "mean", "stddev", "min", "max")
_CLASSES: Final = ("class", "pictures", "recall", "answered")
# A row is counted for the best label that is answered; how many of these are right.
_LABELS: Final = ("label", "pictures", "right", "best answer")
_SHOWN_CLASSES: Final = 25


def profile_report(title: str, profile: ReferenceProfile) -> str:
    """What it is of, its figures, its signals and classes; ends without a line break."""
    calibration, temperature = profile.calibration, profile.calibration.temperature
    lines = [
        f"{title}: PROFILE of {profile.pictures:,} pictures",
        f"  profile       {profile_digest(profile)}",
        f"  model         {profile.model_digest}",
        f"  recipe        {profile.recipe_digest}",
        *_library_lines(profile.libraries),
        f"  accuracy      {profile.accuracy_ratio:.2%}",
        f"  calibration   ECE {calibration.ece_ratio:.4f}, temperature {temperature:.3f}",
        f"  ATC           negative entropy at or above {profile.atc.threshold:.6g}",
        *_tta_lines(profile.tta),
        "",
        *table([_SIGNALS, *_signal_rows(profile)]),
        "",
        *table([_LABELS if profile.is_multi_label else _CLASSES, *_class_rows(profile)]),
    ]
    if len(profile.classes) > _SHOWN_CLASSES:
        lines.append("  The classes with the most wrong answers first.")
    return joined(lines)


def _library_lines(libraries: Mapping[str, str]) -> Iterator[str]:
    if libraries:
        named = ", ".join(f"{name} {version}" for name, version in libraries.items())
        yield f"  pixels by     {named}"


def _tta_lines(tta: TtaReference | None) -> Iterator[str]:
    if tta is None:
        return
    early_exit = "" if tta.early_exit is None else f", early exit at {tta.early_exit:g}"
    yield f"  TTA           {tta.policy}: {', '.join(tta.views)}; {tta.aggregation}{early_exit}"


def _signal_rows(profile: ReferenceProfile) -> Iterator[tuple[str, ...]]:
    groups = profile.class_groups()
    yield groups.signal, str(len(groups.counts)), "", "", "", ""
    for name, signal in profile.signals.items():
        figures = (signal.mean, signal.stddev, signal.min, signal.max)
        yield name, str(len(signal.counts)), *(f"{figure:.4g}" for figure in figures)


def _class_rows(profile: ReferenceProfile) -> Iterator[tuple[str, ...]]:
    """Every class; of many those that are wrong most often, and the others together."""
    classes = profile.classes
    if len(classes) <= _SHOWN_CLASSES:
        yield from (_cells(profile, each.label, [each]) for each in classes)
        return
    by_errors = sorted(classes, key=lambda each: each.right - _whole(profile, each))
    yield from (_cells(profile, each.label, [each]) for each in by_errors[:_SHOWN_CLASSES])
    others = by_errors[_SHOWN_CLASSES:]
    yield _cells(profile, f"the {len(others):,} others", others)


def _whole(profile: ReferenceProfile, each: ClassReference) -> int:
    """Of how many pictures ``right`` is a part."""
    return each.answered if profile.is_multi_label else each.pictures


def _cells(
    profile: ReferenceProfile, label: str, classes: Sequence[ClassReference]
) -> tuple[str, ...]:
    whole = sum(_whole(profile, each) for each in classes)
    right = sum(each.right for each in classes)
    pictures, answered = (
        str(sum(counts))
        for counts in zip(*((each.pictures, each.answered) for each in classes), strict=True)
    )
    return label, pictures, f"{right / whole:.1%}" if whole else "-", answered
