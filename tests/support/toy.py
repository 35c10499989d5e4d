"""An artefact kind and an engine of nobody's: a number in a file, and what adds it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.engine import Engine
from batchproof_server.backends.source import Source
from batchproof_server.base.backend import EngineSettings, batch_rows
from batchproof_server.base.signature import Signature, Tensors, TensorSpec
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.rules import found

FLOAT32: Final = np.dtype(np.float32)
SIGNATURE: Final = Signature((TensorSpec("x", FLOAT32, (3,)),), (TensorSpec("y", FLOAT32, (3,)),))


@dataclass
class ToySource(Source):
    """The number."""

    addend: float

    def signature(self, buckets_rows: tuple[int, ...]) -> Signature:
        """Three numbers to three numbers."""
        del buckets_rows
        return SIGNATURE


@dataclass
class ToyBackend:
    """Adds the number to every element."""

    addend: float
    buckets_rows: tuple[int, ...]
    signature: Signature = SIGNATURE
    engine: str = "toy 1"

    def execute(self, inputs: Tensors) -> Tensors:
        """Adds."""
        batch_rows(self.signature, inputs, self.buckets_rows)
        return {"y": inputs["x"] + np.float32(self.addend)}

    def close(self) -> None:
        """Holds nothing."""


def write_toy(directory: Path, addend: float = 0.5) -> Path:
    """A bundle of this kind."""
    directory.mkdir(parents=True)
    (directory / "toy.txt").write_text(str(addend))
    (directory / "batchproof.toml").write_text('format = 1\noutput = { kind = "logits" }\n')
    return directory


def _audit(artefact: Path) -> tuple[Finding, ...]:
    unreadable = not artefact.read_text().strip()
    return (found("BP001", artefact.name, "is empty"),) if unreadable else ()


def _open(artefact: Path, settings: EngineSettings) -> ToySource:
    del settings
    return ToySource(float(artefact.read_text()))


def _compile(
    source: ToySource, buckets_rows: tuple[int, ...], settings: EngineSettings
) -> ToyBackend:
    del settings
    return ToyBackend(source.addend, buckets_rows)


KIND: Final = ArtefactKind(
    name="toy", file="toy.txt", opens_as=ToySource, audit=_audit, open=_open, packages=("pytest",)
)
ENGINE: Final = Engine(
    name="toy", module="numpy", packages=("numpy",), takes=ToySource, compile=_compile
)
