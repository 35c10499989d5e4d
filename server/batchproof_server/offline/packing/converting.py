"""Models that Keras 2 saved: converted in a process of its own, or refused with the way out."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

from batchproof_server.base.errors import ModelRefused

_PROGRAM: Final = "batchproof_server.backends.keras.converting"
_LIMIT_S: Final = 900
_METADATA: Final = "metadata.json"
_METADATA_BYTES: Final = 1 << 16


def convert_hdf5(source: Path, target: Path) -> None:
    """Writes a ``.keras`` file of a model in HDF5; nothing of the file is read in this process.

    Args:
        source: the file.
        target: is written.

    Raises:
        ModelRefused: it is not safe to load, Keras 3 cannot load it, or it takes too long.
    """
    command = [sys.executable, "-m", _PROGRAM, str(source), str(target)]
    try:
        ended = subprocess.run(  # noqa: S603 - our own program; the paths are arguments, no shell
            command, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as late:
        sentence = f"{source.name}: not converted within {_LIMIT_S} s"
        raise ModelRefused(f"{source.name} cannot be converted", (sentence,)) from late
    findings = _findings(ended.stdout)
    if ended.returncode == 0 and not findings and target.is_file():
        return
    if not findings:
        findings = (f"{source.name}: its conversion ended with {ended.returncode}",)
    raise ModelRefused(f"{source.name} cannot be converted", (*findings, *_lines(source)))


def _findings(answer: str) -> tuple[str, ...]:
    """What the program found; nothing where it broke before it could say."""
    try:
        values: Any = json.loads(answer.splitlines()[-1])
        return tuple(map(str, values["findings"]))
    except (ValueError, IndexError, KeyError, TypeError):
        return ()


def _lines(source: Path) -> tuple[str, ...]:
    """How to convert by hand what is trusted and cannot be converted here."""
    return (
        "if you trust it, convert it where the model was trained, its own classes imported first:",
        *_typed(
            f"import keras; keras.saving.load_model({source.name!r}, compile=False)"
            f".save({source.stem + '.keras'!r})"
        ),
    )


def _typed(program: str) -> tuple[str, ...]:
    return (f'    python -c "{program}"',)


def by_keras_2(file: Path) -> str | None:
    """The version of Keras 2 that saved a ``.keras`` file; None where another did.

    Reads one small member of the archive; a file that cannot be read has no version.
    """
    try:
        with zipfile.ZipFile(file) as archive, archive.open(_METADATA) as member:
            values: Any = json.loads(member.read(_METADATA_BYTES))
        version = str(values["keras_version"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, RuntimeError):
        return None
    return version if version.startswith("2.") else None


def explained(refused: ModelRefused, file: Path) -> ModelRefused:
    """The refusal of a file, with how to convert it where Keras 2 saved it."""
    version = by_keras_2(file) if file.suffix == ".keras" else None
    if version is None:
        return refused
    hdf5 = file.stem + ".h5"
    said = "; ".join(refused.findings) or refused
    return ModelRefused(
        f"{file.name} was saved by Keras 2",
        (
            f"{file.name}: Keras {version} saved it, and Keras 3 cannot read it: {said}",
            "if you trust it, convert it to HDF5, which `batchproof-server pack` takes:",
            "    pip install tf_keras",
            *_typed(
                f"import tf_keras; tf_keras.models.load_model({file.name!r}, compile=False, "
                f"safe_mode=True).save({hdf5!r})"
            ),
            f"    batchproof-server pack {hdf5}",
        ),
    )
