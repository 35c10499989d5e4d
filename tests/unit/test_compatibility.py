"""What version 0.1.0 wrote is read by every later version."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import read_config
from batchproof_server.backends.affine.kind import KIND as AFFINE
from batchproof_server.models.bundle import Bundle, read_bundle
from batchproof_server.models.profiles import read_profile
from batchproof_server.proof.certificate.certificate import Certificate
from batchproof_server.proof.certificate.document import parse_certificate
from batchproof_server.proof.certificate.reuse import reason_to_prove_anew
from batchproof_server.proof.examination import Candidate, Examined
from batchproof_server.proof.probing.rows import probe_rows
from batchproof_server.tta.weights import mismatches
from support.plugs import load

WRITTEN = Path(__file__).resolve().parents[1] / "data" / "0.1.0"
BUNDLES = ("affine/1", "keras/3", "saved-model/2")
WIRE = sorted((WRITTEN / "wire").glob("*.bin"))


def bundle(place: str) -> Bundle:
    name, _, version = place.partition("/")
    return read_bundle(name, int(version), WRITTEN / "models" / place)


def certificate(place: str) -> Certificate:
    return parse_certificate(
        (WRITTEN / "models" / place / "certificate.json").read_text()
    ).certificate


def leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its path; sequences and paths as TOML has them."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield path + key, list(value) if isinstance(value, tuple) else value


def test_every_key_of_a_configuration_is_taken() -> None:
    file = WRITTEN / "server.toml"
    written = dict(leaves(tomllib.loads(file.read_text())))
    config = dict(leaves(asdict(read_config(file, {}))))
    tls = {path: str(config[path]) for path in written if path.startswith("rpc.tls.")}

    assert len(written) == 41
    assert written.items() <= (config | tls).items()


@pytest.mark.parametrize("place", BUNDLES)
def test_a_bundle_is_read_and_has_the_digest_it_had(place: str) -> None:
    known = bundle(place)

    assert known.labels == ("boot", "shirt", "trouser")
    assert known.model_digest == certificate(place).subject.model_digest


def test_the_policies_of_a_manifest_are_read() -> None:
    tta = bundle("keras/3").manifest.tta

    assert set(tta.policies) == {"tilt", "fitted"}
    assert tta.policies["tilt"].early_exit == 0.999
    assert tta.policies["fitted"].weights == (3.0, 1.0, 1.0)


@pytest.mark.parametrize("place", BUNDLES)
def test_a_profile_is_read_and_is_of_its_model(place: str) -> None:
    profile = read_profile(WRITTEN / "models" / place / "profile.json")

    assert profile.model_digest == bundle(place).model_digest
    assert sum(each.pictures for each in profile.classes) == 120
    assert (profile.tta is not None) == (place == "keras/3")


def test_fitted_weights_are_read_and_fit_their_model() -> None:
    known = bundle("keras/3")
    weights = known.tta_weights

    assert weights is not None
    assert weights.policy == "flip"
    recipe_digest = certificate("keras/3").subject.recipe_digest
    assert mismatches(weights, known.model_digest, recipe_digest, ("identity", "hflip")) == ()


@pytest.mark.parametrize("place", BUNDLES)
def test_a_certificate_is_read_and_its_digest_is_that_of_its_content(place: str) -> None:
    kept = certificate(place)  # checks the digest

    assert (f"{kept.model}/{kept.version}", kept.verdict) == (place, "proven")


def test_a_certificate_of_before_row_counts_were_compared_is_understood_and_proves_too_little() -> (
    None
):
    # For exact arithmetic every machine is its own: nothing else of it has changed.
    kept = certificate("affine/1")

    reason = reason_to_prove_anew(*_affine(kept), kept)
    assert reason == "it was made without comparing row counts"


def _affine(kept: Certificate) -> tuple[Any, Any, Any]:
    """The candidate, its subject as it was recorded, and its probe rows."""
    known = bundle("affine/1")
    backend = load(AFFINE, known.artefact, (2, 4))
    candidate = Candidate(
        model="affine",
        version=1,
        directory=known.artefact.parent,
        model_digest=known.model_digest,
        recipe_digest=kept.subject.recipe_digest,
        buckets_rows=(2, 4),
        examined=Examined(backend),
    )
    return candidate, kept.subject, probe_rows(backend.signature)


@pytest.mark.parametrize("file", WIRE, ids=lambda file: file.name)
def test_a_message_keeps_every_field(file: Path) -> None:
    kind = pb.PredictRequest if ".request." in file.name else pb.PredictResponse
    content = file.read_bytes()
    message = kind.FromString(content)
    again = kind.FromString(message.SerializeToString())

    assert message.request_id == file.name.partition(".")[0]
    assert again.SerializeToString(deterministic=True) == content


def test_there_are_messages_of_every_kind_of_model() -> None:
    assert len(WIRE) == 16
