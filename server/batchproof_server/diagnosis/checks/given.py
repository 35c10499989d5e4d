"""What the caller's own tensor and scores say: in reverse, which mistake makes them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import Case, Framed
from batchproof_server.diagnosis.findings import CheckResult, Level, Threshold
from batchproof_server.diagnosis.matching import (
    FramingMatch,
    GivenScores,
    is_standardised,
    nearest_framing,
    scaling_distance,
)
from batchproof_server.diagnosis.scalings import TOLD_APART
from batchproof_server.imaging.channel_fit import ChannelFit

_RESIDUAL: Final = Threshold(
    1e-4,
    "rounding to whole levels leaves about 1e-5 of the variance of a picture with ordinary"
    " contrast, another geometry a hundred times as much",
)
_UNEXPLAINED: Final = Threshold(
    0.02, "a mistake that is on the list leaves less, also when the decoder differs"
)
_SCALING: Final = Threshold(
    TOLD_APART, "the least difference between two scalings on the list is 3 % of the span"
)
_SCORES: Final = Threshold(
    0.02, "other kernels and rounding leave less than 0.001 nats, mistakes mostly more than 0.1"
)
_NEARER: Final = 2.0
"""How many times less a mistake must leave than the recipe, to be the likely cause all the same."""
_WEIGHT: Final = 100.0  # what the caller brought speaks louder than what a picture looks like


@dataclass(frozen=True, slots=True)
class TensorCheck:
    """The caller's tensor against what the declared recipe makes, and what mistakes make."""

    question: str = "Which recipe makes your tensor?"

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """Geometry and colour first, then scaling."""
        tensor = case.given.tensor
        if tensor is None:
            return ()
        declared, best = nearest_framing(case.framed, case.scalings, tensor, _RESIDUAL.value)
        return tuple(_tensor_findings(case, tensor, declared, best))


def _tensor_findings(
    case: Case, tensor: Array, declared: FramingMatch, best: FramingMatch
) -> Iterator[CheckResult]:
    left, least = declared.match.residual_ratio, best.match.residual_ratio
    if least > _UNEXPLAINED.value and left < _NEARER * least:
        yield _foreign(case, best)
        return
    if best is declared:
        yield CheckResult(
            "geometry", "geometry and colour", left, _RESIDUAL, Level.FINE,
            f"Size, cut, filter and colour of your tensor are those of the recipe ({left:.2g} of "
            "its variance is left).",
        )  # fmt: skip
        yield _scaling(case, tensor, declared.match)
        return
    yield CheckResult(
        best.framed.cause, best.framed.title, left, _RESIDUAL, Level.LIKELY,
        f"Your tensor is this picture with {best.framed.title}: that leaves {least:.2g} of its "
        f"variance, the declared recipe {left:.2g}.{_answer(case)}",
        _advice(best.framed), weight=_WEIGHT + min(50.0, left / max(least, 1e-6)),
    )  # fmt: skip
    yield _scaling(case, tensor, best.match)


def _foreign(case: Case, best: FramingMatch) -> CheckResult:
    least = best.match.residual_ratio
    return CheckResult(
        "tensor:other", "your tensor is made in a way that is not on the list", least,
        _UNEXPLAINED, Level.LIKELY,
        f"No recipe that was tried makes your tensor: the nearest ({_named(best.framed)}) leaves "
        f"{least:.2g} of its variance.{_answer(case)}",
        "Check that the tensor is of this very picture, then compare it with the recipe step by "
        "step: decode, colour, orientation, size, scaling.", weight=_WEIGHT,
    )  # fmt: skip


def _named(framed: Framed) -> str:
    return framed.title if framed.cause else "the declared one"


def _scaling(case: Case, tensor: Array, match: ChannelFit) -> CheckResult:
    own = scaling_distance(match, case.scalings[0])
    # What geometry leaves unexplained flattens the fitted line.
    limit = Threshold(_SCALING.value + match.residual_ratio**0.5, _SCALING.reason)
    if own <= limit.value:
        return CheckResult(
            "scaling", "scaling", own, limit, Level.FINE,
            f"Black and white of your tensor are those of the recipe, but for {own:.2g} of the "
            "span.",
        )  # fmt: skip
    others = [(scaling_distance(match, each), each) for each in case.scalings[1:] if each.black]
    distance, nearest = min(others, key=lambda pair: pair[0], default=(np.inf, case.scalings[0]))
    cause, title = "scaling:other", "another scaling, or another mean and std"
    if distance <= limit.value:
        cause, title = nearest.cause, nearest.title
    elif is_standardised(tensor):
        cause, title = "scaling:per_image", "each picture brought to mean 0 and deviation 1"
    declared = case.scalings[0]
    return CheckResult(
        cause, title, own, limit, Level.LIKELY,
        f"In your tensor black is {_values(match.black)} and white {_values(match.white)}; the "
        f"recipe makes them {_values(np.array(declared.black))} and "
        f"{_values(np.array(declared.white))}.{_answer(case)}",
        "Scale as the recipe's [recipe.normalize] says, or send the encoded picture and let the "
        "server do it.", weight=_WEIGHT + min(50.0, own),
    )  # fmt: skip


def _values(values: Array) -> str:
    return " ".join(f"{value:.3g}" for value in values)


def _answer(case: Case) -> str:
    answers = case.given.tensor_answers
    if answers is None:
        return ""
    said = f"{case.label_of(answers)} ({answers.confidence[0]:.1%})"
    return f" The model says {said} to it, and {case.label} ({case.confidence:.1%}) by the recipe."


def _advice(framed: Framed) -> str:
    kind = framed.cause.split(":")[0]
    return _ADVICE.get(kind, "Make the tensor as the recipe says.")


_ADVICE: Final = {
    "color": "Give the channels the order of the recipe's color: OpenCV reads BGR, Pillow RGB.",
    "policy": "Cut or stretch as recipe.resize.policy says.",
    "filter": "Resize with the library, method and antialias of recipe.resize.",
    "orientation": "Treat the EXIF orientation as recipe.orientation says.",
    "decoder": "Decode as recipe.decoder says.",
    "axes": "Tensors are [height, width, channels], and sizes in Pillow are (width, height).",
}


@dataclass(frozen=True, slots=True)
class ScoresCheck:
    """The caller's scores against those of mistakes, and of a model in training mode."""

    question: str = "What makes your scores?"

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """The one thing that reproduces them, or that nothing does."""
        if case.given.scores is None:
            return ()
        given = GivenScores.of(case.given.scores)
        plain = float(given.distances(case.answers)[0])
        if plain <= _SCORES.value:
            return (_same(plain),)
        found = tuple(_recipes(case, given, plain)) or tuple(_reordered(case, given))
        return found or (*_modes(case, given, plain), _other_model(case, given, plain))


def _same(distance: float) -> CheckResult:
    return CheckResult(
        "scores", "your scores", distance, _SCORES, Level.FINE,
        f"Your scores are those of this model for this picture, but for {distance:.2g} nats.",
    )  # fmt: skip


def _recipes(case: Case, given: GivenScores, plain: float) -> Iterator[CheckResult]:
    tried = [
        (float(given.distances(each.answers)[0]), each)
        for each in case.tried
        if each.answers is not None
    ]
    alike = sorted((pair for pair in tried if pair[0] <= _SCORES.value), key=lambda pair: pair[0])
    for rank, (distance, each) in enumerate(alike[:3]):
        also = "" if len(alike) == 1 else f" ({len(alike)} mistakes give these scores)"
        yield CheckResult(
            each.cause, each.title, plain, _SCORES, Level.LIKELY,
            f"The model gives your scores to this picture with {each.title}: {distance:.2g} nats "
            f"away, and {plain:.2g} by the declared recipe{also}.",
            "Make the tensor as the recipe says, or send the encoded picture.",
            weight=_WEIGHT - rank,
        )  # fmt: skip


def _reordered(case: Case, given: GivenScores) -> Iterator[CheckResult]:
    ours = case.answers.logarithms[0]
    theirs = np.log(np.maximum(given.probabilities, 1e-7))
    distance = float(np.sqrt(((np.sort(ours) - np.sort(theirs)) ** 2).mean()))
    classes_that_tell = 3
    if distance <= _SCORES.value and len(ours) >= classes_that_tell:
        yield CheckResult(
            "labels:order", "classes in another order", distance, _SCORES, Level.LIKELY,
            f"Your scores are those of this model in another order ({distance:.2g} nats apart when "
            "both are sorted).",
            "Take the labels in the order of labels.txt; folders of a training set are sorted by "
            "name.", weight=_WEIGHT,
        )  # fmt: skip


def _modes(case: Case, given: GivenScores, plain: float) -> Iterator[CheckResult]:
    modes = case.modes
    if modes is None:
        return
    exact = float(given.distances(modes.statistics)[0])
    if exact <= _SCORES.value:
        yield CheckResult(
            "mode:statistics", "BatchNorm in training mode", exact, _SCORES, Level.LIKELY,
            f"Your scores are those of BatchNorm in training mode: {exact:.2g} nats away, and "
            f"{plain:.2g} in inference mode.", _INFERENCE, weight=_WEIGHT + 1,
        )  # fmt: skip
        return
    yield _drawn("mode:dropout", "Dropout switched on", modes.dropout, case, given)
    yield _drawn("mode:training", _TRAINING, modes.both, case, given)


def _drawn(
    cause: str, title: str, drawn: ClassAnswers, case: Case, given: GivenScores
) -> CheckResult:
    """What draws by chance, against another model, which can give any scores."""
    nats = given.evidence(drawn, case.answers)
    bounded = max(-50.0, min(nats, 50.0))
    level = Level.FINE
    if nats > _NOT_EXCLUDED_NATS:
        level = Level.LIKELY if nats > _EVIDENCE.value else Level.SUSPICIOUS
    return CheckResult(
        cause, title, nats, _EVIDENCE, level,
        f"As another draw of {title} your scores are {math.exp(bounded):.2g} times as likely as "
        f"from another model ({nats:+.1f} nats; {len(drawn.decided)} were drawn).",
        _INFERENCE, weight=_WEIGHT + 1 + max(0.0, bounded),
    )  # fmt: skip


_TRAINING: Final = "the model in training mode (BatchNorm and Dropout)"
_EVIDENCE: Final = Threshold(
    0.0,
    "the logarithm of how many times likelier the scores are as a draw than as another model's; at"
    " 0 both are as likely",
)
_NOT_EXCLUDED_NATS: Final = -5.0
_INFERENCE: Final = "Call the model with training=False, or model.predict."


def _other_model(case: Case, given: GivenScores, plain: float) -> CheckResult:
    """Never excluded: another model can give any scores, those of training mode too."""
    said = case.subject.labels[int(given.probabilities.argmax())]
    untried = "" if case.modes is not None else f" Training mode was not tried: {case.no_modes}."
    return CheckResult(
        "model:other", "another model, or other weights", plain, _SCORES, Level.LIKELY,
        f"No mistake of the recipe gives your scores ({said} {given.probabilities.max():.1%}): "
        f"{plain:.2g} nats from this model's ({case.label} {case.confidence:.1%}).{untried}",
        "Compare the SHA-256 of the model file that gave them with the model_digest of this "
        "bundle.", weight=_WEIGHT,
    )  # fmt: skip
