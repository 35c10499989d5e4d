"""OpenVINO itself, without its telemetry.

Importing this module imports OpenVINO.
"""

import sys
from functools import cache
from typing import Any

from batchproof_server.base.backend import EngineSettings

# Importing OpenVINO would tell its makers of it, and so would each conversion. Where this package
# cannot be imported, OpenVINO takes a stub that tells nobody.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what Python calls "not to be found"

import openvino as openvino  # noqa: E402 - after its telemetry was shut out

# A version is followed by what it was built from.
VERSION = openvino.get_version().partition("-")[0]
ENGINE_TEXT = f"openvino {VERSION}"


@cache
def openvino_core() -> openvino.Core:
    """The process's one core, which is never given back.

    Its processor plug-in lends the thread that first compiles a stack for signals. When the core
    goes, it takes that memory away, also where it is lent yet: the next Ctrl-C would be a crash.
    """
    return openvino.Core()


def compile_options(settings: EngineSettings) -> dict[str, Any]:
    """How models are compiled: in float32, one micro-batch at a time.

    OpenVINO's own choice is bfloat16 on processors that have it, which is up to a tenth away from
    what the model says. Pinning its threads would put those of several models on the same cores.
    """
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "EXECUTION_MODE_HINT": "ACCURACY",
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    if settings.intra_op_threads:
        options["INFERENCE_NUM_THREADS"] = settings.intra_op_threads
    return options
