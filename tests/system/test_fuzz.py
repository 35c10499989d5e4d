"""Mutated pictures and requests against a running server: answered or refused, and nothing else.

``make fuzz`` runs the same for as long as it is told to, with other examples each time.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from support.corpus import kept_if_it_fails, short_or_long, stored
from support.fuzzed_messages import METHODS, NUMBERS_MODEL, calls, codes_within
from support.mutations import mutated
from system.bundles import IMAGE_MANIFEST, encoded, write_affine, write_image_model
from system.process import PATIENCE_S, ServerProcess, started
from system.traffic import code_of, images

# Of each example, which are 100 in `make test`: one stream, or so many calls.
PICTURES: Final = 20
CALLS: Final = 8
GROWTH_BYTES: Final = 256 << 20

BASES: Final = [
    encoded("JPEG", quality=60),
    encoded("JPEG", progressive=True),
    encoded("PNG"),
    encoded("PNG", 9, optimize=True),
    encoded("WEBP", quality=50),
    encoded("WEBP", lossless=True),
    encoded("BMP", 12),
    encoded("GIF"),
]
COLOUR_MANIFEST: Final = IMAGE_MANIFEST.replace('"grayscale"', '"rgb"') + 'orientation = "apply"\n'
STORED_PICTURES: Final = stored("pictures")
STORED_CALLS: Final = stored("calls")
# What says that the server did not foresee it, or is gone.
UNFORESEEN: Final = {
    "INTERNAL",
    "UNKNOWN",
    "UNAVAILABLE",
    "DATA_LOSS",
    "CANCELLED",
    "DEADLINE_EXCEEDED",
}
INTERNALS: Final = ("Traceback", "site-packages", ".py", "object at 0x", "<class")


@dataclass
class Fuzzed:
    """A server that is started again when it has died, so that the search may go on.

    Attributes:
        repository: what it serves.
    """

    repository: Path
    stack: ExitStack
    running: list[tuple[ServerProcess, grpc.Channel]] = field(default_factory=list)
    before_bytes: int = 0

    def channel(self) -> grpc.Channel:
        """A connection to the server that lives."""
        if not self.running or self.process.process.poll() is not None:
            self._start()
        return self.running[-1][1]

    @property
    def process(self) -> ServerProcess:
        """The one that was started last."""
        return self.running[-1][0]

    def _start(self) -> None:
        limit = {"BATCHPROOF_IMAGES__MAX_IMAGE_PIXELS": "1_000_000"}
        server = self.stack.enter_context(started(self.repository, variables=limit))
        server.wait_serving()
        channel = self.stack.enter_context(grpc.insecure_channel(server.grpc))
        self.running.append((server, channel))
        self.check_good()
        self.before_bytes = self.resident_bytes()

    def resident_bytes(self) -> int:
        """Its memory."""
        return int(psutil.Process(self.process.process.pid).memory_info().rss)

    def check_good(self) -> None:
        """A good request of every kind of picture is answered."""
        requests = (
            pb.PredictStreamRequest(request=images([picture], str(number), model="colour"))
            for number, picture in enumerate(BASES)
        )
        answers = pb_grpc.PredictionServiceStub(self.channel()).PredictStream(requests)
        assert [code_of(answer) for answer in answers] == ["OK"] * len(BASES)

    def check_alive(self) -> None:
        """It lives, answers, has no more memory than it may, and met nothing unforeseen."""
        assert self.process.process.poll() is None, "the server died"
        assert not [line for line in tuple(self.process.err) if "Traceback" in line]
        assert self.process.records("unforeseen failure") == []
        assert self.resident_bytes() - self.before_bytes < GROWTH_BYTES


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """Grey, colour and numbers; pictures large enough to fill the decode budget are refused."""
    path = tmp_path_factory.mktemp("repository")
    write_image_model(path / "grey" / "1")
    write_affine(path / "colour" / "1", (28, 28, 3), COLOUR_MANIFEST)
    write_affine(path / NUMBERS_MODEL / "1")
    with ExitStack() as stack:
        yield Fuzzed(path, stack)


def check_pictures(fuzzed: Fuzzed, pictures: Sequence[bytes]) -> None:
    """Both models answer each, or refuse it for what it is."""
    requests = [
        pb.PredictStreamRequest(request=images([picture], f"{model} {number}", model))
        for number, picture in enumerate(pictures)
        for model in ("grey", "colour")
    ]
    stub = pb_grpc.PredictionServiceStub(fuzzed.channel())
    codes = {answer.request_id: code_of(answer) for answer in stub.PredictStream(iter(requests))}
    assert len(codes) == len(requests)
    assert set(codes.values()) <= {"OK", "INVALID_ARGUMENT"}


@pytest.mark.parametrize("name", STORED_PICTURES)
def test_a_stored_picture_is_answered_or_refused(fuzzed: Fuzzed, name: str) -> None:
    check_pictures(fuzzed, [STORED_PICTURES[name]])
    fuzzed.check_alive()


@short_or_long()
@given(st.lists(mutated([*BASES, *STORED_PICTURES.values()]), min_size=1, max_size=PICTURES))
def test_mutated_pictures_are_answered_or_refused(fuzzed: Fuzzed, pictures: list[bytes]) -> None:
    with kept_if_it_fails("pictures", pictures[-1]):
        check_pictures(fuzzed, pictures)


def outcomes(channel: grpc.Channel, path: str, content: bytes) -> list[tuple[str, str]]:
    """Code and text of a call of one message, or of each answer of a stream."""
    method = METHODS[path]
    if path == "/grpc.health.v1.Health/Watch":
        return _first(channel, path, content)
    shape = ("unary", "stream")
    ways = f"{shape[method.client_streaming]}_{shape[method.server_streaming]}"
    asked: Any = iter((content,)) if method.client_streaming else content
    try:
        answered = getattr(channel, ways)(path)(asked, timeout=PATIENCE_S)
        answers = list(answered) if method.server_streaming else [answered]
    except grpc.RpcError as error:
        return [_ended(error)]
    return codes_within(path, answers)


def _first(channel: grpc.Channel, path: str, content: bytes) -> list[tuple[str, str]]:
    """Of a stream that never ends by itself."""
    watched: Any = channel.unary_stream(path)
    stream = watched(content, timeout=PATIENCE_S)
    try:
        next(stream)
    except grpc.RpcError as error:
        return [_ended(error)]
    stream.cancel()
    return [("OK", "")]


def _ended(error: Any) -> tuple[str, str]:
    return error.code().name, error.details() or ""


def check_call(fuzzed: Fuzzed, path: str, content: bytes) -> None:
    """It ends with something that the server foresaw, told in words for its caller."""
    for code, text in outcomes(fuzzed.channel(), path, content):
        assert code not in UNFORESEEN, f"{path}: {code}: {text}"
        assert not [word for word in INTERNALS if word in text], f"{path}: {text}"


def stored_calls() -> dict[str, list[bytes]]:
    """By method, in folders of which each has the method's path without its first slash."""
    by_path: dict[str, list[bytes]] = {}
    for name, content in STORED_CALLS.items():
        by_path.setdefault("/" + name.rpartition("/")[0], []).append(content)
    return by_path


@pytest.mark.parametrize("path", METHODS)
def test_stored_calls_end_as_the_server_foresaw(fuzzed: Fuzzed, path: str) -> None:
    for content in (b"", *stored_calls().get(path, ())):
        check_call(fuzzed, path, content)
    fuzzed.check_alive()


@short_or_long()
@given(st.lists(calls(BASES, stored_calls()), min_size=1, max_size=CALLS))
def test_any_call_ends_as_the_server_foresaw(fuzzed: Fuzzed, made: list[tuple[str, bytes]]) -> None:
    for path, content in made:
        with kept_if_it_fails(f"calls{path}", content):
            check_call(fuzzed, path, content)
            fuzzed.check_alive()


def test_stored_calls_are_of_methods_that_there_are() -> None:
    assert set(stored_calls()) <= set(METHODS)


def test_afterwards_the_server_lives_and_logged_nothing_unforeseen(fuzzed: Fuzzed) -> None:
    fuzzed.channel()
    fuzzed.check_good()
    fuzzed.check_alive()
    assert len(fuzzed.running) == 1
