"""Turns a model that Keras 2 saved as HDF5 into a ``.keras`` file; a program of its own.

``python -m batchproof_server.backends.keras.converting FROM TO`` judges the file first: where its
values lie, how large they claim to be, whether its configuration brings code. Then Keras loads it
in safe mode, without its optimizer, and saves it. Whatever a parser of HDF5 may be made to do, it
does in a process that ends with it. Standard output is one JSON object: what is wrong, or nothing.
"""

import json
import sys
from pathlib import Path
from typing import Any

from batchproof_server.proof.findings import beyond_repair


def main(argv: list[str]) -> int:
    """Converts; returns 0, or 1 with ``findings`` on standard output."""
    source, target = Path(argv[0]), Path(argv[1])
    findings = _judge(source) or _convert(source, target)
    sys.stdout.write(json.dumps({"findings": findings}) + "\n")
    return 1 if findings else 0


def _judge(source: Path) -> list[str]:
    from batchproof_server.proof.artefact.hdf5_claims import audit_hdf5, model_config  # noqa: PLC0415 - h5py comes with Keras
    from batchproof_server.proof.keras.config import audit_config  # noqa: PLC0415 - likewise

    with source.open("rb") as file:
        if findings := beyond_repair(audit_hdf5(file, source.name)):
            return [each.sentence for each in findings]
        file.seek(0)
        config = model_config(file)
    if config is None:
        return [f"{source.name}: holds no model, only weights or something else; save the model"]
    return [each.sentence for each in beyond_repair(audit_config(config))]


def _convert(source: Path, target: Path) -> list[str]:
    import keras  # noqa: PLC0415 - nothing is imported for a file that is refused

    try:
        model: Any = keras.saving.load_model(source, compile=False, safe_mode=True)
        model.save(target)
    except Exception as fault:  # noqa: BLE001 - Keras and h5py raise what they like
        text = str(fault).replace(str(source), source.name).strip() or type(fault).__name__
        return [f"{source.name}: Keras 3 cannot load it: {text.splitlines()[0][:300]}"]
    return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
