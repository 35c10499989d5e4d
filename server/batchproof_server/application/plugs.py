"""What a bundle may name, plugged together: engines, decoders, resizers; and the prover."""

from pathlib import Path

from batchproof_server.application.config import Config, onednn_setting
from batchproof_server.backends import plug_list
from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.base.clock import MonotonicClock, utc_now
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import pillow_plugs
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.proof.artefact.key_files import read_trusted_keys
from batchproof_server.proof.certificate.kept import KeptCertificates
from batchproof_server.proof.certificate.machine import installed_versions, this_machine
from batchproof_server.proof.proving import Prover
from batchproof_server.proof.settings import Tell, silent
from batchproof_server.rpc.tensorflow_serving.warm_up import read_warm_up


def loading_plugs(config: Config, tell: Tell = silent) -> LoadingPlugs:
    """Artefact kinds, engines, decoders and resizers that bundles may need, and the prover.

    Args:
        config: what the user set.
        tell: learns of the progress of a proof.
    """
    return LoadingPlugs(
        kinds=plug_list.artefact_kinds(),
        engines=plug_list.engines(),
        imaging=_imaging,
        batching=config.batching,
        engine=config.engine,
        image_limits=config.images,
        clock=MonotonicClock(),
        prove=_prover(config, tell),
        allow_unproven=config.proof.allow_unproven,
        allow_probed=config.proof.allow_probed,
        drift=config.drift,
        tell=tell,
        recorded=read_warm_up,
    )


def _prover(config: Config, tell: Tell) -> Prover:
    return Prover(
        settings=config.proof,
        engine=config.engine,
        machine=this_machine(),
        versions=installed_versions(plug_list.packages()),
        onednn=onednn_setting(),
        clock=MonotonicClock(),
        utc_now=utc_now,
        tell=tell,
        kept=KeptCertificates(
            Path(directory) if (directory := config.proof.certificate_directory) else None,
            read_trusted_keys(config.proof.trusted_keys),
        ),
    )


def _imaging(kind: ArtefactKind) -> Plugs:
    """Pillow always, and what is there because the model is."""
    plugs = pillow_plugs()
    kind.add_flavour(plugs)
    return plugs
