"""What a bundle may name, plugged together: engines, decoders, resizers; and the prover."""

import importlib
from dataclasses import dataclass
from pathlib import Path

from batchproof_server.application.config import Config, onednn_setting
from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.base.clock import MonotonicClock, utc_now
from batchproof_server.base.registry import Registry
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import pillow_plugs
from batchproof_server.models.bundle import ARTEFACTS
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.proof.certificate.machine import installed_versions, this_machine
from batchproof_server.proof.examination import Examined, ExaminedLoader, without_audit
from batchproof_server.proof.proving import Prover
from batchproof_server.proof.settings import Tell, silent


def loading_plugs(config: Config, tell: Tell = silent) -> LoadingPlugs:
    """Backends, decoders and resizers that bundles may name, and the prover.

    Args:
        config: what the user set.
        tell: learns of the progress of a proof.
    """
    backends: Registry[ExaminedLoader] = Registry("backend")
    for name in sorted(set(ARTEFACTS.values())):
        audited = name in _TENSORFLOW_BACKENDS
        backends.register(name, _AuditedLoader(name) if audited else without_audit(_Loader(name)))
    return LoadingPlugs(
        backends=backends,
        imaging=_imaging,
        batching=config.batching,
        engine=config.engine,
        image_limits=config.images,
        clock=MonotonicClock(),
        prove=_prover(config, tell),
        allow_unproven=config.proof.allow_unproven,
        drift=config.drift,
    )


def _prover(config: Config, tell: Tell) -> Prover:
    return Prover(
        settings=config.proof,
        engine=config.engine,
        machine=this_machine(),
        versions=installed_versions(),
        onednn=onednn_setting(),
        clock=MonotonicClock(),
        utc_now=utc_now,
        tell=tell,
    )


def _imaging(backend: str) -> Plugs:
    """Pillow always; TensorFlow's flavour where its runtime is there for the model anyway."""
    plugs = pillow_plugs()
    if backend in _TENSORFLOW_BACKENDS:
        importlib.import_module("batchproof_server.imaging.tensorflow_flavour").register(plugs)
    return plugs


_TENSORFLOW_BACKENDS = ("keras", "saved_model")


@dataclass(frozen=True, slots=True)
class _Loader:
    """Imports a backend when the first model needs it."""

    name: str

    def __call__(
        self, artefact: Path, *, buckets_rows: tuple[int, ...], settings: EngineSettings
    ) -> Backend:
        module = importlib.import_module(f"batchproof_server.backends.{self.name}")
        backend: Backend = module.load(artefact, buckets_rows=buckets_rows, settings=settings)
        return backend


@dataclass(frozen=True, slots=True)
class _AuditedLoader:
    """The same with the audit; TensorFlow takes seconds to import."""

    name: str

    def __call__(
        self, artefact: Path, *, buckets_rows: tuple[int, ...], settings: EngineSettings
    ) -> Examined:
        audited = importlib.import_module("batchproof_server.backends.audited")
        load: ExaminedLoader = audited.LOADERS[self.name]
        return load(artefact, buckets_rows=buckets_rows, settings=settings)
