"""The side of a device process: it executes what lies in the shared memory."""

import socket
from collections.abc import Callable

import numpy as np

from batchproof_server.base.backend import Backend, Shrinking
from batchproof_server.base.errors import BackendFailed, ModelRaised, ModelRefused
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.devices.arena import Arena
from batchproof_server.devices.records import (
    MOST_RECORD_BYTES,
    Shapes,
    Tag,
    aligned,
    pack,
    slots_of,
    unpack,
)


class SlotExecutor:
    """Executes micro-batches in place.

    Args:
        backend: loaded for every bucket that will be executed.
        arena: holds the inputs, and gets the outputs behind them.
    """

    def __init__(self, backend: Backend, arena: Arena) -> None:
        self._backend = backend
        self._arena = arena
        self._inputs = Shapes(backend.signature.inputs)
        self._outputs = Shapes(backend.signature.outputs)

    def serve(self, channel: socket.socket) -> None:
        """Answers every record; returns when the front hangs up."""
        answer_records(channel, self.answer)

    def answer(self, record: bytes) -> bytes:
        """The record that answers a record: what became of the execution."""
        _, number, rest = unpack(record)
        try:
            return pack(Tag.DONE, number, self.execute(rest))
        except ModelRaised as failure:
            return pack(Tag.RAISED, number, _sentence(failure))
        except Exception as failure:  # noqa: BLE001 - whatever it is, the callers must hear of it
            return pack(Tag.FAILED, number, _sentence(failure))

    def execute(self, shapes: bytes) -> bytes:
        """Executes what lies in the arena.

        Args:
            shapes: of the inputs, as ``Shapes`` writes them.

        Returns:
            The shapes of the outputs, which lie behind the inputs.

        Raises:
            BackendFailed: the model failed, or gave what its signature does not say.
        """
        signature = self._backend.signature
        slots = slots_of(signature.inputs, self._inputs.unpack(shapes))
        inputs = {slot.name: self._arena.array(slot) for slot in slots}
        outputs = self._backend.execute(inputs)
        _check_outputs(signature, outputs, slots[0].shape[0])
        forms = [outputs[spec.name].shape for spec in signature.outputs]
        places = slots_of(signature.outputs, forms, aligned(slots[-1].end))
        self._arena.reserve(places[-1].end)
        for place in places:
            self._arena.array(place)[...] = outputs[place.name]
        return self._outputs.pack(forms)

    def check(self, buckets_rows: tuple[int, ...]) -> None:
        """Returns when the shared memory changes no bit of any bucket's answer.

        What the executions took is given back, for callers may never fill the largest buckets.

        Raises:
            ModelRefused: it does.
        """
        for rows in buckets_rows:
            inputs = _noise(self._backend.signature, rows)
            alone = {name: each.copy() for name, each in self._backend.execute(inputs).items()}
            shared = self._execute_shared(inputs)
            if any(alone[name].tobytes() != each.tobytes() for name, each in shared.items()):
                sentence = f"the bucket of {rows} rows answers with other bits in shared memory"
                raise ModelRefused("a device process answers otherwise", (sentence,))
        if isinstance(self._backend, Shrinking):
            self._backend.keep_buckets(buckets_rows)

    def _execute_shared(self, inputs: Tensors) -> Tensors:
        signature = self._backend.signature
        shapes = [inputs[spec.name].shape for spec in signature.inputs]
        slots = slots_of(signature.inputs, shapes)
        self._arena.reserve(slots[-1].end)
        for slot in slots:
            self._arena.array(slot)[...] = inputs[slot.name]
        forms = self._outputs.unpack(self.execute(self._inputs.pack(shapes)))
        places = slots_of(signature.outputs, forms, aligned(slots[-1].end))
        return {place.name: self._arena.array(place) for place in places}


def answer_records(channel: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    """Answers every record that comes; returns when the front hangs up."""
    while record := _received(channel):
        try:
            channel.send(answer(record))
        except OSError:
            return


def _received(channel: socket.socket) -> bytes:
    try:
        return channel.recv(MOST_RECORD_BYTES)
    except ConnectionError:  # the front died with unread records
        return b""


def _check_outputs(signature: Signature, outputs: Tensors, rows: int) -> None:
    names = [spec.name for spec in signature.outputs]
    if sorted(outputs) != sorted(names):
        raise BackendFailed(f"outputs are {sorted(outputs)}, expected {sorted(names)}")
    for spec in signature.outputs:
        array = outputs[spec.name]
        if not spec.admits(array) or array.shape[0] != rows:
            came = f"{array.dtype.name} {list(array.shape)}"
            raise BackendFailed(f'output "{spec.name}" is {came}, expected {rows} rows of {spec}')


def _sentence(failure: Exception) -> bytes:
    cause = failure.__cause__
    text = f"{failure}: {cause!r}" if cause is not None else f"{failure}"
    return (text if isinstance(failure, BackendFailed) else repr(failure)).encode(errors="replace")


def _noise(signature: Signature, rows: int) -> Tensors:
    numbers = np.random.default_rng(rows)
    shapes = {
        spec.name: (rows, *(size or _ANY_SIZE for size in spec.row_shape))
        for spec in signature.inputs
    }
    return {
        spec.name: (
            numbers.random(shapes[spec.name])
            if spec.dtype.kind == "f"
            else numbers.integers(0, 2, shapes[spec.name])
        ).astype(spec.dtype)
        for spec in signature.inputs
    }


# What a dimension of any size is taken to be.
_ANY_SIZE = 64
