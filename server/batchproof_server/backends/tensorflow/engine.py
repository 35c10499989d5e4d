"""TensorFlow as an engine."""

from typing import Final

from batchproof_server.backends.engine import Engine
from batchproof_server.backends.source import GraphSource
from batchproof_server.base.backend import Backend, EngineSettings


def _compile(
    source: GraphSource, buckets_rows: tuple[int, ...], settings: EngineSettings
) -> Backend:
    from batchproof_server.backends.tensorflow.execution import compile_functions  # noqa: PLC0415 - TensorFlow takes seconds to import

    return compile_functions(source, buckets_rows, settings)


ENGINE: Final = Engine(
    name="tensorflow",
    module="tensorflow",
    packages=("tensorflow", "tensorflow-cpu"),
    takes=GraphSource,
    compile=_compile,
)
