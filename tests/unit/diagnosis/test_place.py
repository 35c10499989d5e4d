"""Where a picture's signals lie in the reference profile, and which of them are accused."""

from dataclasses import replace
from pathlib import Path

import pytest

from batchproof_server.diagnosis.checks.place import PlaceCheck, is_beyond
from batchproof_server.diagnosis.findings import CheckResult, Level
from batchproof_server.drift.profile import ReferenceProfile, SignalReference
from batchproof_server.drift.signals import INPUT_SIGNALS, LATER_SIGNALS
from batchproof_server.models.profiles import read_profile
from support.diagnosed import case, subject

BUNDLE = Path(__file__).resolve().parents[3] / "examples/fashion_mnist/models/fashion-mnist/1"
SHIPPED = read_profile(BUNDLE / "profile.json")
OLD = replace(
    SHIPPED,
    signals={name: signal for name, signal in SHIPPED.signals.items() if name not in LATER_SIGNALS},
)
"""Of a time that knew nothing of colour and compression."""


def reference(pictures: int) -> SignalReference:
    """From 0 to 1, with a standard deviation of 0.25."""
    return SignalReference((0.5,), (pictures // 2, pictures // 2), 0.5, 0.25, 0.0, 1.0)


NEW = replace(OLD, signals=OLD.signals | dict.fromkeys(INPUT_SIGNALS, reference(OLD.pictures)))


def accused(profile: ReferenceProfile, signals: dict[str, float]) -> list[CheckResult]:
    found = PlaceCheck().look(case(subject=subject(profile), signals=signals))
    return [each for each in found if each.level > Level.FINE]


@pytest.mark.parametrize("name", INPUT_SIGNALS)
def test_every_signal_of_a_picture_is_accused_where_the_reference_has_nothing_like_it(
    name: str,
) -> None:
    (found,) = accused(NEW, {name: 1.2})
    assert (found.cause, found.level) == (f"signal:{name}", Level.SUSPICIOUS)
    assert found.advice
    assert accused(NEW, {name: 0.999}) == []


@pytest.mark.parametrize("name", LATER_SIGNALS)
def test_colour_and_compression_say_what_to_do(name: str) -> None:
    (found,) = accused(NEW, {name: 1.2})
    (other,) = accused(NEW, {"brightness": 1.2})
    assert found.advice != other.advice


def test_a_profile_without_them_says_nothing_of_colour_and_compression() -> None:
    signals = dict.fromkeys(LATER_SIGNALS, 1e6)
    found = PlaceCheck().look(case(subject=subject(OLD), signals=signals))
    assert not [each for each in found if each.cause.startswith("signal:")]


def test_the_edge_of_few_pictures_is_left_by_more_before_it_is_accused() -> None:
    assert [is_beyond(reference(pictures), 1.2) for pictures in (60, 1000)] == [False, True]
    assert is_beyond(reference(60), 1.5)


def test_a_signal_that_the_picture_does_not_have_is_left_out() -> None:
    found = PlaceCheck().look(case(subject=subject(NEW), signals={"tint": float("nan")}))
    assert "signal:tint" not in {each.cause for each in found}
