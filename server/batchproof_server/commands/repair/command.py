"""``batchproof-server repair``: writes a bundle whose Keras model is in inference mode for good."""

import shutil
import tempfile
from argparse import Namespace
from pathlib import Path

from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.backends.artefact import LayeredKind
from batchproof_server.backends.examining import check_safe
from batchproof_server.backends.source import LayeredSource
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import reason_of
from batchproof_server.commands.certify.command import FINDINGS, OK, USAGE, only_bundle, prove
from batchproof_server.commands.opening import open_within
from batchproof_server.commands.report import report
from batchproof_server.commands.terminal import write, write_error
from batchproof_server.drift.profile_form import PROFILE_NAME
from batchproof_server.models.bundle import read_bundle
from batchproof_server.models.discovery import Place
from batchproof_server.proof.artefact.converted import CONVERTED_NAME
from batchproof_server.proof.certificate.certificate import CERTIFICATE_NAME


def repair(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 with a mended and proven bundle, 1 with findings, 2 for wrong usage.
    """
    out: Path = arguments.out
    try:
        config = read_config(arguments.config, {})
        place = only_bundle(arguments.bundle)
        if out.exists() or out.is_symlink():
            raise ValueError(f"{out}: exists already, expected a new directory")  # noqa: TRY301 - one place reports usage
    except ValueError as fault:
        write_error(str(fault))
        return USAGE
    prepare_engines()
    try:
        return _repair(place, out, config)
    except ModelRefused as refused:
        for finding in refused.findings or (str(refused),):
            write_error(finding)
        return FINDINGS
    except OSError as fault:
        write_error(f"{out}: cannot be written ({reason_of(fault)})")
        return USAGE


def _repair(place: Place, out: Path, config: Config) -> int:
    bundle = read_bundle(place.name, place.version, place.directory)
    if not isinstance(bundle.kind, LayeredKind):
        reasons = (bundle.kind.unalterable,) if bundle.kind.unalterable else ()
        raise ModelRefused(f"{bundle.artefact.name} has nothing to repair", reasons)
    check_safe(bundle.kind, bundle.artefact)
    kind, file = bundle.kind, bundle.artefact
    source = open_within(config, file.name, lambda: kind.open(file, config.engine))
    repairs = open_within(config, file.name, source.repair)
    _write_bundle(source, bundle.artefact.name, place.directory, out)
    for each in repairs:
        write(f"repaired  {each.where}: {each.change}")
    mended = only_bundle(out)
    with tempfile.TemporaryDirectory(prefix="certify-") as scratch:
        proof = prove(mended, config, Path(scratch))
        write(report(proof.certificate))
        if proof.certificate.verdict == "unproven":
            return FINDINGS
        proof.keep(out)
    return OK


def _write_bundle(source: LayeredSource, artefact: str, directory: Path, out: Path) -> None:
    """Writes the mended bundle whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".repair-") as scratch:
        fresh = Path(scratch) / "bundle"
        shutil.copytree(
            directory,
            fresh,
            ignore=lambda folder, _: _not_copied(Path(folder) == directory, artefact),
        )
        source.save(fresh / artefact)
        fresh.replace(out)


def _not_copied(top: bool, artefact: str) -> set[str]:  # noqa: FBT001 - said at the only call
    # These are of the model as it was: the mended one answers otherwise.
    return {artefact, CERTIFICATE_NAME, CONVERTED_NAME, PROFILE_NAME} if top else set()
