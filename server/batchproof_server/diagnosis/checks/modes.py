"""The same picture beside other rows, and what training mode would answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import Case, EngineAnswer, PathAnswer, TrainingModes
from batchproof_server.diagnosis.findings import CheckResult, Level, Threshold

_BITS: Final = Threshold(
    0.0, "inside the buckets that are served a row has one answer, bit for bit"
)
_ROUNDING: Final = Threshold(1e-3, "another engine rounds otherwise, by less than that")
_MODE: Final = Threshold(0.0, "training mode is never served; this says what it would do")


@dataclass(frozen=True, slots=True)
class ModeCheck:
    """Alone, padded, beside other rows; on other engines; in modes that a server must not be in."""

    question: str = "Do co-batched rows, the engine or the mode change the answer?"

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """Co-batched rows first."""
        found = [_path(each) for each in case.paths]
        found += [_engine(case, each) for each in case.engines]
        if case.modes is None:
            found.append(
                CheckResult("mode", "training mode", None, None, Level.FINE, f"{case.no_modes}.")
            )
        else:
            found += _modes(case, case.modes)
        return tuple(found)


def _path(path: PathAnswer) -> CheckResult:
    if path.same_bits:
        text = f"{path.title}: the same answer, bit for bit."
        return CheckResult("path", path.title, 0.0, _BITS, Level.FINE, text)
    level = Level.SUSPICIOUS if path.same_class else Level.LIKELY
    return CheckResult(
        "path:neighbours", "the answer depends on co-batched rows", path.greatest_difference, _BITS,
        level,
        f"{path.title}: the answer differs by up to {path.greatest_difference:.3g}.",
        "Run `batchproof-server certify`: rows that meet, or buckets that round otherwise.",
        weight=80.0,
    )  # fmt: skip


def _engine(case: Case, other: EngineAnswer) -> CheckResult:
    if other.answers is None:
        text = f"{other.engine}: no answer, {other.reason}."
        return CheckResult("path", f"engine {other.engine}", None, None, Level.FINE, text)
    differs = float(abs(other.answers.probabilities - case.answers.probabilities).max())
    is_alike = differs <= _ROUNDING.value and case.label_of(other.answers) == case.label
    return CheckResult(
        "path:engine", f"{other.engine} answers otherwise than {case.subject.engine}", differs,
        _ROUNDING, Level.FINE if is_alike else Level.LIKELY,
        f"{other.engine}: {case.label_of(other.answers)}, probabilities differ by {differs:.2g}.",
        "" if is_alike else "Run `batchproof-server certify`, which compares the engines on many "
        'rows; engine = "tensorflow" in the manifest takes the library of the model.',
        weight=70.0,
    )  # fmt: skip


def _way(case: Case, answers: ClassAnswers, cause: str, way: str) -> CheckResult:
    """Another way to ask the file as it was saved, opened once more."""
    differs = float(abs(answers.probabilities - case.answers.probabilities).max())
    same = case.label_of(answers) == case.label
    return CheckResult(
        cause, f"{way} of the file as it was saved answers otherwise", differs,
        _ROUNDING, Level.FINE if differs <= _ROUNDING.value and same else Level.LIKELY,
        f"Keras, {way}: {case.label_of(answers)}, probabilities differ by {differs:.2g}.",
        "" if same else "Run `batchproof-server evaluate`: it says on how many pictures.",
        weight=60.0,
    )  # fmt: skip


def _modes(case: Case, modes: TrainingModes) -> Iterator[CheckResult]:
    plain = int(case.answers.decided[0])
    yield _way(case, modes.predict, "mode:predict", "model.predict")
    yield _way(case, modes.eager, "mode:eager", "the model called as a function")
    statistics = float(modes.statistics.decided[0] != plain)
    yield CheckResult(
        "mode:statistics", "BatchNorm in training mode", statistics, _MODE, Level.FINE,
        f"BatchNorm in training mode, this picture alone: {case.label_of(modes.statistics)} "
        f"({modes.statistics.confidence[0]:.1%}).",
    )  # fmt: skip
    drawn, both = modes.dropout, modes.both
    other = float((drawn.decided != plain).mean())
    yield CheckResult(
        "mode:dropout", "Dropout switched on", other, _MODE, Level.FINE,
        f"Dropout drawn {len(drawn.decided)} times: another class in {other:.0%} of them.",
    )  # fmt: skip
    changed = float((both.decided != plain).mean())
    yield CheckResult(
        "mode:training", "the model in training mode", changed, _MODE, Level.FINE,
        f"Both, {len(both.decided)} times: another class in {changed:.0%} of them.",
    )  # fmt: skip
