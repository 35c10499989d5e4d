"""Values of which every request makes some: immutable, by what mypy says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Value = TypeVar("Value")


# Contract: nobody sets a field of such a value once it is made. mypy refuses it as it does of a
# frozen dataclass; at run time nothing does, since a guard costs 0.2 us a field, four times what
# setting it takes, and a request makes a hundred fields.
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def unguarded(*, eq: bool = True) -> Callable[[type[Value]], type[Value]]:
    """Makes a dataclass with slots of a class.

    Args:
        eq: whether two with the same fields are equal and have the same hash; else each is itself
            alone.
    """
    return dataclass(slots=True, eq=eq, unsafe_hash=eq)
