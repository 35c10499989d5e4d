"""OpenVINO as an engine."""

from pathlib import Path
from typing import Any, Final

from batchproof_server.backends.engine import Conversion, Engine
from batchproof_server.backends.source import GraphSource, IntermediateSource
from batchproof_server.base.backend import Backend, EngineSettings


def _compile(source: Any, buckets_rows: tuple[int, ...], settings: EngineSettings) -> Backend:
    from batchproof_server.backends.openvino.execution import compile_buckets  # noqa: PLC0415 - OpenVINO takes a second to import

    return compile_buckets(source, buckets_rows, settings)


def _convert(source: Any, buckets_rows: tuple[int, ...]) -> IntermediateSource:
    from batchproof_server.backends.openvino.converting import convert  # noqa: PLC0415 - OpenVINO takes a second to import

    return convert(source, buckets_rows)


def _reopen(directory: Path) -> IntermediateSource:
    from batchproof_server.backends.openvino.intermediate import reopen  # noqa: PLC0415 - OpenVINO takes a second to import

    return reopen(directory)


ENGINE: Final = Engine(
    name="openvino",
    module="openvino",
    packages=("openvino",),
    takes=IntermediateSource,
    compile=_compile,
    conversion=Conversion(GraphSource, _convert, _reopen, answers_as="tensorflow"),
)
