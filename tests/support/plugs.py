"""Artefact kinds and engines as tests need them: real ones in one call, and scripted ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from batchproof_server.backends import plug_list
from batchproof_server.backends.affine import kind as affine
from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.engine import Engine
from batchproof_server.backends.examining import engines_for
from batchproof_server.backends.source import Source
from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.base.signature import Signature

Load: TypeAlias = Callable[[Path, tuple[int, ...], EngineSettings], Backend]


def load(
    kind: ArtefactKind,
    artefact: Path,
    buckets_rows: tuple[int, ...] = (2,),
    settings: EngineSettings = EngineSettings(),  # noqa: B008 - immutable
    engines: tuple[Engine, ...] = (),
) -> Backend:
    """Opens an artefact and compiles it, by default with its own library; judges nothing."""
    source = kind.open(artefact, settings)
    engine = engines_for(source, engines or plug_list.engines())[-1]
    return engine.compile(engine.own(source, buckets_rows), buckets_rows, settings)


@dataclass
class _Path(Source):
    """Stands for an artefact that was not opened."""

    artefact: Path

    def signature(self, buckets_rows: tuple[int, ...]) -> Signature:
        """Nobody asks."""
        raise NotImplementedError


def scripted(load: Load) -> tuple[tuple[ArtefactKind, ...], tuple[Engine, ...]]:
    """A kind for affine bundles that opens nothing, and an engine that calls ``load`` instead."""

    def compile_source(
        source: _Path, buckets_rows: tuple[int, ...], settings: EngineSettings
    ) -> Backend:
        return load(source.artefact, buckets_rows, settings)

    kind = replace(affine.KIND, opens_as=_Path, open=lambda artefact, _settings: _Path(artefact))
    return (kind,), (Engine("scripted", "numpy", (), _Path, compile_source),)
