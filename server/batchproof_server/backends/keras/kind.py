"""Files of ``Model.save()``: one zip archive each."""

from pathlib import Path
from typing import Final

from batchproof_server.backends.artefact import LayeredKind
from batchproof_server.backends.source import GraphSource, LayeredSource
from batchproof_server.backends.traced.on_demand import add_flavour, audit_files
from batchproof_server.base.backend import EngineSettings


def _open(artefact: Path, settings: EngineSettings) -> LayeredSource:
    from batchproof_server.backends.keras.source import open_keras  # noqa: PLC0415 - TensorFlow takes seconds to import

    return open_keras(artefact, settings)


KIND: Final = LayeredKind(
    name="keras",
    file="model.keras",
    opens_as=GraphSource,
    audit=audit_files,
    open=_open,
    packages=("keras",),
    module="keras",
    add_flavour=add_flavour,
)
