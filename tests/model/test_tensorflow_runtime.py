"""What the TensorFlow backends share: tracing once per bucket, threads, findings without paths."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from batchproof_server.backends.foreign_faults import finding
from batchproof_server.backends.tensorflow.execution import TensorFlowBackend, compile_functions
from batchproof_server.backends.traced.source import TracedSource
from batchproof_server.backends.traced.threads import configure_threads
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused

VECTOR = {"vector": tf.TensorSpec((None, 3), tf.float32)}


class Counting:
    """Doubles its input and counts how often it was traced."""

    def __init__(self) -> None:
        self.traced_rows: list[int] = []

    def double(self, tensors: Sequence[Any]) -> Mapping[str, Any]:
        """The model."""
        self.traced_rows.append(tensors[0].shape[0])
        return {"doubled": tensors[0] * 2}


def compiled(call: Any, buckets_rows: tuple[int, ...] = (2,)) -> TensorFlowBackend:
    return compile_functions(TracedSource(VECTOR, call, None), buckets_rows, EngineSettings())


def refused(call: Any, buckets_rows: tuple[int, ...] = (2,), inputs: Any = VECTOR) -> str:
    with pytest.raises(ModelRefused) as raised:
        compile_functions(TracedSource(inputs, call, None), buckets_rows, EngineSettings())
    return "\n".join(raised.value.findings)


def test_every_bucket_is_traced_once_at_load_and_never_again() -> None:
    call = Counting()
    backend = compiled(call.double, (2, 4, 8))
    assert call.traced_rows == [2, 4, 8]
    for rows in (8, 2, 4, 2) * 50:
        outputs = backend.execute({"vector": np.full((rows, 3), rows, np.float32)})
        np.testing.assert_array_equal(outputs["doubled"], np.full((rows, 3), 2 * rows))
    assert call.traced_rows == [2, 4, 8]


def test_a_backend_loaded_on_one_thread_executes_on_another() -> None:
    with ThreadPoolExecutor(1) as loading, ThreadPoolExecutor(1) as device:
        backend = loading.submit(compiled, Counting().double).result()
        ones = np.ones((2, 3), np.float32)
        outputs = device.submit(backend.execute, {"vector": ones}).result()
    np.testing.assert_array_equal(outputs["doubled"], ones * 2)


def test_a_model_that_cannot_be_traced_is_refused_with_the_reason() -> None:
    def broken(tensors: Sequence[Any]) -> Mapping[str, Any]:
        return {"out": tf.reshape(tensors[0], (7, 7))}

    assert refused(broken).startswith("function of 2 rows: ")

    def silent(_: Sequence[Any]) -> Mapping[str, Any]:
        raise AssertionError

    assert refused(silent) == "function of 2 rows: AssertionError"


def test_outputs_whose_shape_follows_the_row_count_are_refused() -> None:
    def crossed(tensors: Sequence[Any]) -> Mapping[str, Any]:
        return {"gram": tf.linalg.matmul(tensors[0], tensors[0], transpose_b=True)}

    text = refused(crossed, (2, 4))
    assert '"gram" float32 [rows, 4] for 4 rows' in text


def test_a_model_without_inputs_or_outputs_is_refused() -> None:
    assert refused(Counting().double, inputs={}) == "inputs: there are none"
    assert refused(lambda _: {}) == "outputs: there are none"


def test_a_finding_is_one_line_without_the_path() -> None:
    artefact = Path("/somewhere/secret/model.keras")
    fault = OSError(f"cannot open {artefact}/variables\nand more")
    assert finding(artefact, fault) == "model.keras: cannot open model.keras/variables"
    assert finding(artefact, KeyError()) == "model.keras: KeyError"
    assert len(finding(artefact, ValueError("x" * 10_000))) < 400


def test_other_threads_than_those_that_run_are_refused() -> None:
    configure_threads(EngineSettings())
    compiled(Counting().double)  # TensorFlow runs from here on
    configure_threads(EngineSettings())
    with pytest.raises(ModelRefused) as raised:
        configure_threads(EngineSettings(intra_op_threads=3))
    assert "asked for intra_op_threads = 3 and inter_op_threads = 0" in raised.value.findings[0]
    assert "runs with 0 and 0" in raised.value.findings[0]


THREADS_OF_A_NEW_PROCESS = """
import tensorflow as tf
from batchproof_server.backends.keras.kind import KIND
from batchproof_server.base.backend import EngineSettings
from batchproof_server.backends.traced.threads import configure_threads
from batchproof_server.base.errors import ModelRefused
from pathlib import Path

settings = EngineSettings(intra_op_threads=1, inter_op_threads=2)
try:
    KIND.open(Path("missing.keras"), settings)
except ModelRefused:
    pass
tf.constant(1) + 1
configure_threads(settings)
pools = tf.config.threading
print(pools.get_intra_op_parallelism_threads(), pools.get_inter_op_parallelism_threads())
"""


def test_a_new_process_gets_the_threads_of_its_first_load() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", THREADS_OF_A_NEW_PROCESS], check=True, capture_output=True, text=True
    )
    assert finished.stdout.split() == ["1", "2"]
