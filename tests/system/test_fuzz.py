"""Mutated pictures against a running server: OK or INVALID_ARGUMENT, and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from system.bundles import IMAGE_MANIFEST, encoded, write_affine, write_image_model
from system.process import ServerProcess, started
from system.traffic import code_of, images

# 100 examples of 20 pictures: 2,000, one stream for each example.
EXAMPLES = 100
PICTURES = 20

BASES = [
    encoded("JPEG", quality=60),
    encoded("JPEG", progressive=True),
    encoded("PNG"),
    encoded("PNG", 9, optimize=True),
    encoded("WEBP", quality=50),
    encoded("WEBP", lossless=True),
    encoded("BMP", 12),
    encoded("GIF"),
]
# Where formats keep sizes, lengths and counts, and the values at which arithmetic goes wrong.
HEADER_BYTES = 64
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]

COLOUR_MANIFEST = IMAGE_MANIFEST.replace('"grayscale"', '"rgb"') + 'orientation = "apply"\n'

pytestmark = pytest.mark.xdist_group("fuzz")

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
    order: Any

    def apply(self, content: bytes) -> bytes:
        """The mutated file."""
        value = (self.value % (1 << 8 * self.width)).to_bytes(self.width, self.order)
        return content[: self.at] + value + content[self.at + self.width :]


def _mutations() -> st.SearchStrategy[Mutation]:
    shares = st.floats(0, 0.999)
    return st.one_of(
        st.builds(Truncate, shares),
        st.builds(Flip, shares, st.integers(1, 255)),
        st.builds(Splice, st.sampled_from(BASES), shares, shares),
        st.builds(
            Number,
            st.integers(0, HEADER_BYTES),
            st.sampled_from(NUMBERS),
            st.sampled_from([1, 2, 4]),
            st.sampled_from(["little", "big"]),
        ),
    )


@st.composite
def _pictures(draw: st.DrawFn) -> bytes:
    content = draw(st.sampled_from(BASES))
    for mutation in draw(st.lists(_mutations(), min_size=1, max_size=3)):
        content = mutation.apply(content)
    return content


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A grey and a colour model; pictures large enough to fill the decode budget are refused."""
    path = tmp_path_factory.mktemp("repository")
    write_image_model(path / "grey" / "1")
    write_affine(path / "colour" / "1", (28, 28, 3), COLOUR_MANIFEST)
    limit = {"BATCHPROOF_IMAGES__MAX_IMAGE_PIXELS": "1_000_000"}
    with started(path, variables=limit) as running:
        yield running.wait_serving()


@pytest.fixture(scope="module")
def stub(server: ServerProcess) -> Iterator[Any]:
    """One connection for all examples."""
    with grpc.insecure_channel(server.grpc) as channel:
        yield pb_grpc.PredictionServiceStub(channel)


@settings(max_examples=EXAMPLES)
@given(st.lists(_pictures(), min_size=PICTURES, max_size=PICTURES))
def test_mutated_pictures_are_answered_or_refused(stub: Any, pictures: list[bytes]) -> None:
    requests = [
        pb.PredictStreamRequest(request=images([picture], f"{model} {number}", model))
        for number, picture in enumerate(pictures)
        for model in ("grey", "colour")
    ]
    codes = {answer.request_id: code_of(answer) for answer in stub.PredictStream(iter(requests))}
    assert len(codes) == len(requests)
    assert set(codes.values()) <= {"OK", "INVALID_ARGUMENT"}


def test_afterwards_the_server_lives_and_logged_nothing_unforeseen(
    server: ServerProcess, stub: Any
) -> None:
    answers = stub.PredictStream(
        iter(
            pb.PredictStreamRequest(request=images([picture], str(number), model="colour"))
            for number, picture in enumerate(BASES)
        )
    )
    assert {code_of(answer) for answer in answers} == {"OK"}
    assert server.process.poll() is None
    assert server.records("unforeseen failure") == []
    assert {record["code"] for record in server.finished(len(BASES))} <= {"OK", "INVALID_ARGUMENT"}
    assert not [line for line in server.err if "Traceback" in line]
