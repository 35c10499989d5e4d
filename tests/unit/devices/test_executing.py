"""What a device process looks at before it serves."""

from collections.abc import Collection, Iterator

import pytest

from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import Tensors
from batchproof_server.devices.arena import Arena, make_arena
from batchproof_server.devices.executing import SlotExecutor
from support.fakes import ElementwiseBackend

BUCKETS = (1, 8, 32)


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = make_arena()
    yield made
    made.close()


class Keeping(ElementwiseBackend):
    """Takes memory for each bucket that it executes, until it is told which to keep."""

    def __init__(self) -> None:
        super().__init__(4)
        self.filled: set[int] = set()

    def execute(self, inputs: Tensors) -> Tensors:
        """Fills the bucket."""
        self.filled.add(len(next(iter(inputs.values()))))
        return super().execute(inputs)

    def keep_buckets(self, buckets_rows: Collection[int]) -> None:
        """Empties all."""
        assert set(buckets_rows) == self.filled
        self.filled.clear()


class Counting(ElementwiseBackend):
    """Answers otherwise each time."""

    def __init__(self) -> None:
        super().__init__(4)
        self.executions = 0

    def execute(self, inputs: Tensors) -> Tensors:
        """Adds how many executions there were."""
        self.executions += 1
        outputs = super().execute(inputs)
        return {name: each + self.executions for name, each in outputs.items()}


def test_what_the_look_at_the_shared_memory_took_is_given_back(arena: Arena) -> None:
    backend = Keeping()
    SlotExecutor(backend, arena).check(BUCKETS)
    assert not backend.filled


def test_a_backend_whose_bits_are_others_in_shared_memory_is_refused(arena: Arena) -> None:
    with pytest.raises(ModelRefused) as refused:
        SlotExecutor(Counting(), arena).check(BUCKETS)
    assert refused.value.findings == (
        "the bucket of 1 rows answers with other bits in shared memory",
    )
