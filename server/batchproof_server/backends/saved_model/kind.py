"""SavedModel directories."""

from pathlib import Path
from typing import Final

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.source import GraphSource
from batchproof_server.backends.traced.on_demand import add_flavour, audit_files
from batchproof_server.base.backend import EngineSettings
from batchproof_server.proof.findings import Finding

_REEXPORT: Final = (
    "a SavedModel is never altered; repair the .keras file that it came from, and if the server "
    "must have a SavedModel, export that again: "
    'python -c "import keras; '
    "model = keras.saving.load_model('OUT/model.keras'); model.export('SAVED_MODEL')\""
)


def _audit_program(artefact: Path) -> tuple[Finding, ...]:
    from batchproof_server.proof.graph.before_loading import audit_before_loading  # noqa: PLC0415 - TensorFlow takes seconds to import

    return audit_before_loading(artefact)


def _open(artefact: Path, settings: EngineSettings) -> GraphSource:
    from batchproof_server.backends.saved_model.source import open_saved_model  # noqa: PLC0415 - TensorFlow takes seconds to import

    return open_saved_model(artefact, settings)


KIND: Final = ArtefactKind(
    name="saved_model",
    file="saved_model.pb",
    opens_as=GraphSource,
    audit=audit_files,
    audit_program=_audit_program,
    open=_open,
    module="tensorflow",
    # Everything else in the directory is the bundle's.
    parts=(
        *("saved_model.pb", "fingerprint.pb", "keras_metadata.pb"),
        *("variables/", "assets/", "assets.extra/"),
    ),
    add_flavour=add_flavour,
    unalterable=_REEXPORT,
)
