"""Values that are immutable by what mypy says."""

from dataclasses import field, replace

import pytest

from batchproof_server.base.unguarded import unguarded


@unguarded()
class Coordinate:
    """Equal to others with the same x."""

    x: int
    names: list[str] = field(default_factory=list, compare=False)


@unguarded(eq=False)
class Spot:
    """Equal only to itself."""

    x: int


def test_values_with_the_same_fields_are_equal_and_have_one_hash() -> None:
    assert Coordinate(1, ["a"]) == Coordinate(1)
    assert len({Coordinate(1), Coordinate(1), Coordinate(2)}) == 2


def test_without_equality_each_is_itself_alone() -> None:
    assert Spot(1) != Spot(1)
    assert len({Spot(1), Spot(1)}) == 2


def test_another_value_is_made_by_replacing_fields() -> None:
    point = Coordinate(1, ["a"])
    assert replace(point, x=2) == Coordinate(2)
    assert point == Coordinate(1)


def test_a_field_that_is_not_there_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        Coordinate(1).y = 2  # type: ignore[attr-defined] # what is tested


def test_mypy_refuses_to_set_a_field() -> None:
    point = Coordinate(1)
    # An ignore that mypy does not need is an error: this line tests that it needs one.
    point.x = 2  # type: ignore[misc] # what is tested
