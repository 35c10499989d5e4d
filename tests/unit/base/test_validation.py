"""Settings from plain values: every fault at once, each with its path."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS, InvalidSettings, parse_settings


@dataclass(frozen=True, slots=True)
class Inner:
    """Nested settings."""

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    method: Literal["bilinear", "bicubic"] = "bilinear"
    size: int = 1

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}, expected 1 or more")


@dataclass(frozen=True, slots=True)
class Outer:
    """Settings."""

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    name: str
    inner: Inner = field(default_factory=Inner)
    sizes: tuple[int, ...] = ()


def faults(values: Any) -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as invalid:
        parse_settings(Outer, values)
    assert str(invalid.value) == "\n".join(invalid.value.faults)
    return invalid.value.faults


def test_nested_settings_are_built_from_plain_values() -> None:
    values = {"name": "x", "inner": {"size": 3}, "sizes": [1, 2]}
    assert parse_settings(Outer, values) == Outer("x", Inner(size=3), (1, 2))


def test_every_fault_is_named_with_its_path() -> None:
    values = {
        "inner": {"method": "bilinera", "size": "big", "colour": 1},
        "sizes": [1, "two"],
        "nonsense": {},
    }
    assert set(faults(values)) == {
        "name: missing",
        "inner.method: unknown \"bilinera\", one of 'bilinear' or 'bicubic'",
        (
            "inner.size: Input should be a valid integer, unable to parse string as an integer, "
            'not "big"'
        ),
        "inner.colour: unknown key",
        'sizes.1: Input should be a valid integer, unable to parse string as an integer, not "two"',
        "nonsense: unknown key",
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "a", "sises": []}, 'sises: unknown key; the nearest known one is "sizes"'),
        (
            {"name": "a", "inner": {"methods": "bilinear"}},
            'inner.methods: unknown key; the nearest known one is "method"',
        ),
        ({"name": "a", "qqqq": 1}, "qqqq: unknown key"),
    ],
)
def test_an_unknown_key_is_told_the_nearest_known_one(values: dict[str, Any], said: str) -> None:
    assert said in faults(values)


def test_a_setting_that_checks_itself_is_quoted_with_its_path() -> None:
    assert faults({"name": "x", "inner": {"size": 0}}) == ("inner: size is 0, expected 1 or more",)


def test_a_long_value_is_cut() -> None:
    (fault,) = faults({"name": "x", "inner": {"size": "y" * 500}})
    assert fault.endswith("yyy...")
    assert len(fault) < 200


def test_what_is_no_table_at_all_is_a_fault_of_the_root() -> None:
    (fault,) = faults(7)
    assert fault.startswith("(root): ")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("name", "inner", "sizes", "method", "size", "other")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(plain)
def test_anything_is_either_settings_or_a_list_of_faults(values: Any) -> None:
    found: tuple[str, ...] = ()
    built: object = None
    try:
        built = parse_settings(Outer, values)
    except InvalidSettings as invalid:
        found = invalid.faults
    assert isinstance(built, Outer) or found
    assert all(": " in fault for fault in found)
