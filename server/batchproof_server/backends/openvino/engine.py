"""OpenVINO as an engine."""

from typing import Final

from batchproof_server.backends.engine import Engine
from batchproof_server.backends.source import GraphSource
from batchproof_server.base.backend import Backend, EngineSettings


def _compile(
    source: GraphSource, buckets_rows: tuple[int, ...], settings: EngineSettings
) -> Backend:
    from batchproof_server.backends.openvino.execution import compile_buckets  # noqa: PLC0415 - OpenVINO takes a second to import

    return compile_buckets(source, buckets_rows, settings)


ENGINE: Final = Engine(
    name="openvino",
    module="openvino",
    packages=("openvino",),
    takes=GraphSource,
    compile=_compile,
    answers_as="tensorflow",
)
