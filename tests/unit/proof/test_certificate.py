"""The certificate as a document: its schema, its digest, and what is not believed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from batchproof_server.proof.artefact.archive import (
    MAX_CERTIFICATE_BYTES,
    Archive,
    write_certificate,
)
from batchproof_server.proof.certificate.certificate import Certificate, parse_certificate
from support.proof_backends import Bench, Good, Mixing, OddOne, candidate

SCHEMA: Any = json.loads(
    (Path(__file__).resolve().parents[3] / "docs/schemas/certificate.schema.json").read_text()
)


@pytest.fixture
def certificate() -> Certificate:
    return Bench().prove(candidate(Good()))


@pytest.mark.parametrize("backend", [Good(), Mixing(), OddOne()])
def test_every_certificate_fits_the_published_schema(backend: Good) -> None:
    document = json.loads(Bench().prove(candidate(backend, buckets_rows=(1, 2, 4))).to_json())
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("digest"),
        lambda document: document.update(extra=1),
        lambda document: document.update(verdict="unproven"),
        lambda document: document["subject"].update(consistency="loose"),
        lambda document: document["measured"].update(greatest_difference=-1),
    ],
)
def test_the_schema_refuses_what_is_no_certificate(
    certificate: Certificate, spoil: Callable[[Any], object]
) -> None:
    document = json.loads(certificate.to_json())
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)


def test_a_certificate_comes_back_as_it_was_written(certificate: Certificate) -> None:
    assert parse_certificate(certificate.to_json()) == certificate


def test_the_document_is_canonical_and_names_its_digest(certificate: Certificate) -> None:
    text = certificate.to_json()
    document = json.loads(text)
    assert text == json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert document["digest"] == certificate.digest


def test_date_and_durations_do_not_change_the_digest_and_everything_else_does(
    certificate: Certificate,
) -> None:
    later = replace(certificate, created="2030-01-01T00:00:00+00:00", durations_s={"probes": 9.0})
    assert later.digest == certificate.digest
    assert replace(certificate, version=4).digest != certificate.digest
    assert replace(certificate, verdict="unproven").digest != certificate.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("[]", "no JSON object"),
        ("{}", "missing"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_what_is_no_certificate_is_not_read(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "certificate.json").write_text(text)
    ((name, fault),) = Archive(tmp_path, None, "m", 1).read()
    assert name == "certificate.json"
    assert isinstance(fault, ValueError)
    assert said in str(fault)


def test_a_certificate_that_was_tampered_with_is_not_read(certificate: Certificate) -> None:
    text = certificate.to_json().replace("strict", "tolerant")
    with pytest.raises(ValueError, match="its digest is not that of its content"):
        parse_certificate(text)


def test_a_file_that_is_too_large_or_unreadable_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "certificate.json").write_text(" " * (MAX_CERTIFICATE_BYTES + 1))
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "m-1.json").write_bytes(b"\xff\xfe")
    faults = dict(Archive(tmp_path, kept, "m", 1).read())
    assert "more than" in str(faults["certificate.json"])
    assert "utf-8" in str(faults["m-1.json"])


def test_an_archive_writes_into_its_directory_and_never_into_the_bundle(
    tmp_path: Path, certificate: Certificate
) -> None:
    bundle, kept = tmp_path / "bundle", tmp_path / "made" / "here"
    bundle.mkdir()
    Archive(bundle, None, "m", 1).write(certificate)
    Archive(bundle, kept, "m", 1).write(certificate)
    assert list(bundle.iterdir()) == []
    assert [path.name for path in kept.iterdir()] == ["m-1.json"]
    assert list(Archive(bundle, kept, "m", 1).read()) == [("m-1.json", certificate)]


def test_a_certificate_is_written_whole_or_not_at_all(
    tmp_path: Path, certificate: Certificate
) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_certificate(certificate, tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
