"""``batchproof-server certify``: proves one bundle and prints its certificate."""

import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.backends import plug_list
from batchproof_server.base.clock import MonotonicClock
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import reason_of
from batchproof_server.commands.report import field, report
from batchproof_server.commands.terminal import ProgressLine, write, write_error
from batchproof_server.models.bundle import read_bundle
from batchproof_server.models.discovery import Place, discover
from batchproof_server.models.limited_loading import load_within
from batchproof_server.models.loading import load_version
from batchproof_server.models.stall import LoadingHangs
from batchproof_server.proof.artefact.converted import CONVERTED_NAME, Converted
from batchproof_server.proof.artefact.key_files import read_signing_key
from batchproof_server.proof.certificate.certificate import CERTIFICATE_NAME, Certificate
from batchproof_server.proof.certificate.ed25519 import SigningKey
from batchproof_server.proof.certificate.kept import converted_in, write_certificate
from batchproof_server.proof.certificate.signing import KeySignature
from batchproof_server.proof.settings import ProofSettings

OK, FINDINGS, USAGE = 0, 1, 2


def certify(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 with a certificate, 1 with findings, 2 for wrong usage.
    """
    try:
        config = read_config(arguments.config, _flags(arguments))
        place = only_bundle(arguments.bundle)
        key = None if arguments.sign is None else read_signing_key(arguments.sign)
    except ValueError as fault:  # settings, a path that is no bundle, or a file that is no key
        write_error(str(fault))
        return USAGE
    prepare_engines()
    try:
        with tempfile.TemporaryDirectory(prefix="certify-") as scratch:
            return _certify(arguments, config, place, key, Path(scratch))
    except LoadingHangs as hangs:
        _write_refused(place, hangs, "failed", as_json=arguments.json)
        return FINDINGS


def _certify(
    arguments: Namespace, config: Config, place: Place, key: SigningKey | None, scratch: Path
) -> int:
    try:
        if fault_text := _engine_fault(place, arguments.engine):
            write_error(fault_text)
            return USAGE
        proof = prove(place, config, scratch)
    except LoadingHangs:
        raise
    except ModelRefused as refused:
        _write_refused(place, refused, "refused", as_json=arguments.json)
        return FINDINGS
    certificate = proof.certificate
    fails = certificate.verdict in _refused(config.proof)
    signature = None if key is None or fails else key.sign(certificate.digest)
    if arguments.json:
        write(certificate.to_json(signature))
    else:
        write(report(certificate, signature, verbose=arguments.verbose))
    if arguments.measure and not arguments.json:
        for line in field("buckets take", _measure(place, config, proof)):
            write(line)
    if fails:
        return FINDINGS
    return _keep(proof, place, signature) if arguments.write or signature else OK


def _refused(settings: ProofSettings) -> tuple[str, ...]:
    """The verdicts that `serve` would refuse under these settings, if nothing were waived."""
    return ("unproven",) if settings.allow_probed else ("unproven", "probed")


def only_bundle(path: Path) -> Place:
    """The one model version at ``path``.

    Raises:
        ValueError: there is none, or there are several.
    """
    places = discover(path)
    if len(places) > 1:
        listed = ", ".join(f"{place.name}/{place.version}" for place in places)
        raise ValueError(f"{path}: holds {listed}; expected the directory of one version")
    return places[0]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof leaves.

    Attributes:
        took_s: what each bucket that is served took alone on this machine.
        scratch: holds what the engine made of the artefact, unless it executes that as it is.
    """

    certificate: Certificate
    took_s: Mapping[int, float]
    scratch: Path

    def keep(self, bundle: Path, signature: KeySignature | None = None) -> None:
        """Writes the certificate into a bundle, and what it is of.

        Raises:
            OSError: they cannot be written.
        """
        if digest := self.certificate.subject.converted_digest:
            model, version = self.certificate.model, self.certificate.version
            lying = converted_in(self.scratch, model, version)
            Converted.lying_in(lying, digest).keep(bundle / CONVERTED_NAME)
        write_certificate(self.certificate, bundle / CERTIFICATE_NAME, signature)


def prove(place: Place, config: Config, scratch: Path) -> Proof:
    """Proves a bundle anew, whatever certificates there are.

    Args:
        place: of the bundle, in which nothing is written.
        config: as the server has it.
        scratch: an empty directory that lasts as long as the proof is used.

    Raises:
        ModelRefused: it could not be loaded.
        LoadingHangs: it makes no progress, as for ``load_within``.
    """
    proof = replace(
        config.proof,
        allow_unproven=True,
        reuse_certificates=False,
        certificate_directory=str(scratch),
    )
    settings, line = replace(config, proof=proof), ProgressLine(sys.stderr)
    max_step_s = config.execution.max_load_step_s
    loaded = load_within(
        lambda tell: load_version(place, loading_plugs(settings, tell)),
        max_step_s,
        line,
        MonotonicClock(),
    )
    loaded.backend.close()
    if loaded.certificate is None:
        raise ModelRefused("no proof was made")  # unreachable: the plugs prove
    took_s = dict(zip(loaded.batching.buckets_rows, loaded.execution_s, strict=True))
    return Proof(loaded.certificate, took_s, scratch)


def _engines_of(place: Place) -> list[str]:
    kind = read_bundle(place.name, place.version, place.directory).kind
    return [each.name for each in plug_list.engines() if each.executes(kind)]


def _measure(place: Place, config: Config, proof: Proof) -> Iterator[str]:
    """A line for each engine; ``auto`` never chooses by what they say."""
    chosen = proof.certificate.subject.environment.engine
    for name in _engines_of(place):
        measured = proof
        if not chosen.startswith(f"{name} "):
            engine = replace(config.engine, name=name)
            try:
                measured = prove(place, replace(config, engine=engine), proof.scratch / name)
            except LoadingHangs:
                raise
            except ModelRefused as refused:
                yield f"{name}: does not execute it: {'; '.join(refused.findings)}"
                continue
        times = ", ".join(f"{rows}: {1e3 * took:.3g} ms" for rows, took in measured.took_s.items())
        yield f"{name} ({measured.certificate.verdict}): {times}"
    yield 'choose by engine = "NAME" in batchproof.toml, or [engine] name of the server'


def _engine_fault(place: Place, engine: str | None) -> str | None:
    known = _engines_of(place)
    if engine is None or engine in known:
        return None
    return f'--engine: "{engine}" does not execute this artefact, expected {", ".join(known)}'


def _write_refused(place: Place, refused: ModelRefused, verdict: str, *, as_json: bool) -> None:
    findings = refused.findings or (str(refused),)
    if as_json:
        values = {"model": place.name, "version": place.version, "verdict": verdict}
        write(json.dumps({**values, "findings": findings}, sort_keys=True))
        return
    write(f"{place.name} version {place.version}: {verdict.upper()}, {refused}")
    for finding in findings:
        write(f"  {finding}")


def _keep(proof: Proof, place: Place, signature: KeySignature | None) -> int:
    try:
        proof.keep(place.directory, signature)
    except OSError as fault:
        reason = reason_of(fault)
        write_error(f"{place.directory / CERTIFICATE_NAME}: cannot be written ({reason})")
        return USAGE
    return OK


def _flags(arguments: Namespace) -> dict[str, dict[str, str]]:
    given = {
        "proof": {"consistency": arguments.consistency},
        "engine": {"name": arguments.engine},
    }
    return {section: values for section, values in given.items() if None not in values.values()}
