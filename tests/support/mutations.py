"""What a hostile hand does to a file: cuts it, turns bits, goes on with another, writes numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from hypothesis import strategies as st

# Where formats keep sizes, lengths and counts, and the values at which arithmetic goes wrong.
HEADER_BYTES: Final = 64
NUMBERS: Final = (
    0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
)  # fmt: skip

Mutation: TypeAlias = "Truncate | Flip | Splice | Number"


@dataclass(frozen=True)
class Truncate:
    """Keeps a share of the file."""

    share: float

    def apply(self, content: bytes) -> bytes:
        """The mutated file."""
        return content[: int(len(content) * self.share)]


@dataclass(frozen=True)
class Flip:
    """Changes bits of one byte."""

    share: float
    bits: int

    def apply(self, content: bytes) -> bytes:
        """The mutated file."""
        at = int(len(content) * self.share)
        return (
            content[:at]
            + bytes(byte ^ self.bits for byte in content[at : at + 1])
            + content[at + 1 :]
        )


@dataclass(frozen=True)
class Splice:
    """Goes on with the rest of another file."""

    other: bytes
    share: float
    other_share: float

    def apply(self, content: bytes) -> bytes:
        """The mutated file."""
        rest = self.other[int(len(self.other) * self.other_share) :]
        return content[: int(len(content) * self.share)] + rest


@dataclass(frozen=True)
class Number:
    """Writes a number into the header."""

    at: int
    value: int
    width: int
    order: Literal["little", "big"]

    def apply(self, content: bytes) -> bytes:
        """The mutated file."""
        value = (self.value % (1 << 8 * self.width)).to_bytes(self.width, self.order)
        return content[: self.at] + value + content[self.at + self.width :]


def mutations(others: Sequence[bytes]) -> st.SearchStrategy[Mutation]:
    """One of the four; ``others`` are what a splice goes on with."""
    shares = st.floats(0, 0.999)
    return st.one_of(
        st.builds(Truncate, shares),
        st.builds(Flip, shares, st.integers(1, 255)),
        st.builds(Splice, st.sampled_from(others), shares, shares),
        st.builds(
            Number,
            st.integers(0, HEADER_BYTES),
            st.sampled_from(NUMBERS),
            st.sampled_from([1, 2, 4]),
            st.sampled_from(["little", "big"]),
        ),
    )


@st.composite
def mutated(draw: st.DrawFn, bases: Sequence[bytes]) -> bytes:
    """One of the bases after one to three mutations."""
    content = draw(st.sampled_from(bases))
    for mutation in draw(st.lists(mutations(bases), min_size=1, max_size=3)):
        content = mutation.apply(content)
    return content
