"""A profile as a few tables for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from batchproof.text import joined
from batchproof_server.commands.per_class import ClassTable, share_text
from batchproof_server.commands.tables import table
from batchproof_server.drift.profile import ClassReference, ReferenceProfile
from batchproof_server.drift.profile_form import profile_digest
from batchproof_server.drift.tta_reference import TtaReference

_SIGNALS: Final = ("signal", "bins", "mean", "stddev", "min", "max")


def profile_report(title: str, profile: ReferenceProfile, *, verbose: bool = False) -> str:
    """What it is of, its figures, its signals and classes; ends without a line break.

    Args:
        title: the first words.
        profile: what is told.
        verbose: names every class, also where there are many.
    """
    classes = _LABELS if profile.is_multi_label else _CLASSES
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
        *classes.lines(profile.classes, verbose=verbose),
    ]
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


def _of_pictures(each: ClassReference) -> tuple[int, int]:
    return each.right, each.pictures


def _of_answers(each: ClassReference) -> tuple[int, int]:
    return each.right, each.answered


def _cells(
    classes: Sequence[ClassReference], counted: Callable[[ClassReference], tuple[int, int]]
) -> tuple[str, ...]:
    right, whole = (sum(counts) for counts in zip(*map(counted, classes), strict=True))
    pictures = sum(each.pictures for each in classes)
    answered = sum(each.answered for each in classes)
    return str(pictures), share_text(right, whole, ".1%"), str(answered)


_CLASSES: Final[ClassTable[ClassReference]] = ClassTable(
    ("class", "pictures", "recall", "answered"), partial(_cells, counted=_of_pictures), _of_pictures
)
# A row is counted for the best label that is answered; how many of these are right.
_LABELS: Final[ClassTable[ClassReference]] = ClassTable(
    ("label", "pictures", "right", "best answer"),
    partial(_cells, counted=_of_answers),
    _of_answers,
    absent="are the best answer to no picture",
)
