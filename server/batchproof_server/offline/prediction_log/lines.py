"""One line of a log of predictions, checked: nothing in it is believed before."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from batchproof_server.base.errors import cut
from batchproof_server.base.signature import Array
from batchproof_server.base.validation import parser_says, refuse_constant
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.signals import NATURAL_RANGE, NUMERIC_SIGNALS

_SHOWN_DIGEST_CHARACTERS: Final = 12
_SUM_TOLERANCE: Final = 1e-3
_MOST_CHARACTERS: Final = 60

LeftOut: TypeAlias = Literal["no answer", "suspicious sample", "not finite"]
"""Why a line is no observation: the request failed; captures of it are not what the model usually
sees; or the model gave NaN."""


class InvalidLine(ValueError):
    """A line that cannot be used; the text says what came and what was expected."""


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """Whose answers are expected.

    Attributes:
        name: of the model.
        version: of it.
        profile: its reference.
    """

    name: str
    version: int
    profile: ReferenceProfile


@dataclass(frozen=True, slots=True, eq=False)
class LoggedAnswer:
    """What a line says of a row.

    Attributes:
        answered: the class; of independent labels as ``Signals.classes``.
        values: signals that it has, by name.
        probabilities: float64 [classes or labels], where they are there.
        logits: the same.
        chosen: bool [labels], the answer of independent labels.
    """

    answered: int
    values: Mapping[str, float] = field(default_factory=dict)
    probabilities: Array | None = None
    logits: Array | None = None
    chosen: Array | None = None


def parse_line(line: bytes, model: LoggedModel) -> LoggedAnswer | LeftOut:
    """Reads a line as ``batchproof predict --json``, ``to_json_lines`` or a capture write it.

    Args:
        line: not empty.
        model: whose answer it must be.

    Raises:
        InvalidLine: it is no such line, or the answer of another model.
    """
    said = _object(line)
    if "error" in said:
        return "no answer"
    if "answer" in said:
        return _captured(said, model)
    if "classes" in said:
        return _predicted(said, model)
    keys = cut(", ".join(said) or "nothing", _MOST_CHARACTERS)
    raise InvalidLine(
        f"it has {keys}; expected `classes` as `batchproof predict --json` writes them, or `answer`"
        " as the records of a capture have it"
    )


def _object(line: bytes) -> dict[str, Any]:
    try:
        said: Any = json.loads(line.decode(), parse_constant=refuse_constant)
    except UnicodeDecodeError as fault:
        raise InvalidLine(f"it is no UTF-8 text at byte {fault.start}") from fault
    except (ValueError, RecursionError) as fault:
        raise InvalidLine(f"it is no JSON: {parser_says(fault)}") from fault
    if not isinstance(said, dict):
        raise InvalidLine(f"it is a {type(said).__name__}, expected an object")
    return said


def _predicted(said: Mapping[str, Any], model: LoggedModel) -> LoggedAnswer | LeftOut:
    profile = model.profile
    _check_provenance(said.get("provenance"), model)
    if said.get("entropy") is None:
        return "not finite"
    values = {"entropy": _number(said["entropy"], "entropy", NATURAL_RANGE["entropy"])}
    probabilities = _scores(said.get("probabilities"), "probabilities", model)
    logits = _scores(said.get("logits"), "logits", model)
    if probabilities is not None:
        _check_probabilities(probabilities, profile)
    if profile.is_multi_label:
        listed = _list(said.get("labels"), "labels")
        named = [_class(each, profile, len(profile.classes) - 1) for each in listed]
        chosen = np.zeros(len(profile.classes) - 1, bool)
        chosen[named] = True
        values |= {
            "labels": float(len(named)),
            "margin": _number(said.get("margin"), "margin", NATURAL_RANGE["margin"]),
        }
        best = named[0] if named else len(profile.classes) - 1
        return LoggedAnswer(best, values, probabilities, logits, chosen)
    classes = _list(said["classes"], "classes")
    if not classes:
        raise InvalidLine("classes is empty: it was asked with top_k 0, expected 1 or more")
    best = _class(classes[0], profile, len(profile.classes))
    return LoggedAnswer(best, values, probabilities, logits)


def _captured(said: Mapping[str, Any], model: LoggedModel) -> LoggedAnswer | LeftOut:
    if (said.get("model"), said.get("version")) != (model.name, model.version):
        came = cut(f"{said.get('model')} version {said.get('version')}", _MOST_CHARACTERS)
        raise InvalidLine(f"it is of {came}, expected {model.name} version {model.version}")
    if said.get("sample") != "random":
        return "suspicious sample"
    answer, signals = said["answer"], said.get("signals")
    if not isinstance(answer, dict) or not isinstance(signals, dict):
        raise InvalidLine("answer and signals are not both objects, as a capture writes them")
    if answer.get("class") is None:
        return "not finite"
    values = {
        name: _number(signals[name], f"signals.{name}", NATURAL_RANGE.get(name))
        for name in NUMERIC_SIGNALS
        if name in signals
    }
    profile = model.profile
    index = {"index": answer["class"], "label": answer.get("label")}
    if profile.is_multi_label and answer["class"] == len(profile.classes) - 1:
        del index["label"]  # no label is answered, and every place has its own word for that
    return LoggedAnswer(_class(index, profile, len(profile.classes)), values)


def _check_provenance(given: Any, model: LoggedModel) -> None:
    """Returns when it names the artefact and the recipe of the profile, or nothing."""
    if given is None:
        return
    if not isinstance(given, dict):
        raise InvalidLine(f"provenance is a {type(given).__name__}, expected an object")
    profile = model.profile
    for key, expected in (
        ("model_digest", profile.model_digest),
        ("recipe_digest", profile.recipe_digest),
    ):
        came = given.get(key)
        if came != expected:
            shown = cut(str(came), _SHOWN_DIGEST_CHARACTERS)
            raise InvalidLine(
                f"{key} is {shown}, the profile's is {expected[:_SHOWN_DIGEST_CHARACTERS]}: it is"
                " the answer of another model or recipe; compare it with the profile of that one"
            )


def _class(given: Any, profile: ReferenceProfile, known: int) -> int:
    if not isinstance(given, dict):
        raise InvalidLine(f"a class is a {type(given).__name__}, expected an object")
    index, label = given.get("index"), given.get("label")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < known:
        came = cut(str(index), _MOST_CHARACTERS)
        raise InvalidLine(f"the class is {came}, expected a whole number from 0 to {known - 1}")
    expected = profile.classes[index].label
    if label is not None and label != expected:
        came = cut(str(label), _MOST_CHARACTERS)
        raise InvalidLine(
            f'class {index} is called "{came}", in the profile "{expected}": it is the answer of'
            " another model"
        )
    return index


def _list(given: Any, name: str) -> list[Any]:
    if not isinstance(given, list):
        raise InvalidLine(f"{name} is a {type(given).__name__}, expected a list")
    return given


def _number(given: Any, name: str, bounds: tuple[float, float] | None = None) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise InvalidLine(f"{name} is a {type(given).__name__}, expected a number")
    try:
        value = float(given)
    except OverflowError:  # a whole number of hundreds of digits
        value = math.inf
    low, high = (-math.inf, math.inf) if bounds is None else bounds
    if not math.isfinite(value) or not low <= value <= high:
        limits = f"{low:g} to {high:g}" if bounds is not None else "a finite number"
        raise InvalidLine(f"{name} is {value:g}, expected {limits}")
    return value


def _scores(given: Any, name: str, model: LoggedModel) -> Array | None:
    if given is None:
        return None
    profile = model.profile
    expected = len(profile.classes) - profile.is_multi_label
    numbers = _list(given, name)
    if len(numbers) != expected:
        raise InvalidLine(f"{len(numbers)} {name}, expected {expected}, one for each class")
    return np.array([_number(each, f"{name}[{place}]") for place, each in enumerate(numbers)])


def _check_probabilities(probabilities: Array, profile: ReferenceProfile) -> None:
    total = float(probabilities.sum())
    if probabilities.min() < 0 or probabilities.max() > 1 + _SUM_TOLERANCE:
        raise InvalidLine("probabilities are not all from 0 to 1")
    if not profile.is_multi_label and abs(total - 1) > _SUM_TOLERANCE:
        raise InvalidLine(f"the sum of the probabilities is {total:g}, expected 1")
