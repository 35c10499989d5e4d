"""What happens to one micro-batch on the device thread: assemble, execute, split; never raises."""

from collections.abc import Sequence
from dataclasses import dataclass

from batchproof_server.base.backend import Backend
from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.signature import Tensors
from batchproof_server.devices.assembly import assemble, split


@dataclass(frozen=True, slots=True)
class Executed:
    """What became of one micro-batch.

    Attributes:
        parts: the outputs of each part, in order; empty when it failed.
        execution_s: from the start of assembly to the end of the split.
        failure: what was raised; None on success.
    """

    parts: tuple[Tensors, ...]
    execution_s: float
    failure: BaseException | None = None


def execute(parts: Sequence[Tensors], bucket_rows: int, backend: Backend, clock: Clock) -> Executed:
    """Executes ``parts`` together, padded to ``bucket_rows``.

    Args:
        parts: inputs as the backend's signature names them, each with 1 or more rows.
        bucket_rows: a bucket that the backend was loaded for, at least the rows of all parts.
        backend: blocks until it has the outputs.
        clock: measures.
    """
    started_s = clock.now_s()
    try:
        outputs = _outputs(parts, bucket_rows, backend)
    except BaseException as failure:  # noqa: BLE001 - whatever it is, the members must hear of it
        return Executed((), clock.now_s() - started_s, failure)
    return Executed(outputs, clock.now_s() - started_s)


def _outputs(parts: Sequence[Tensors], bucket_rows: int, backend: Backend) -> tuple[Tensors, ...]:
    rows_of_parts = [next(iter(part.values())).shape[0] for part in parts]
    outputs = backend.execute(assemble(parts, bucket_rows))
    expected = {spec.name for spec in backend.signature.outputs}
    if outputs.keys() != expected:
        raise BackendFailed(f"outputs are {sorted(outputs)}, expected {sorted(expected)}")
    return split(outputs, rows_of_parts, bucket_rows)
