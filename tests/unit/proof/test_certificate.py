"""The certificate as a document: its schema, its digest, and what is not believed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from batchproof_server.proof.artefact.converted import Converted, digest_directory
from batchproof_server.proof.certificate.certificate import Certificate, FindingRecord
from batchproof_server.proof.certificate.document import CertificateDocument, parse_certificate
from batchproof_server.proof.certificate.kept import (
    MAX_CERTIFICATE_BYTES,
    KeptCertificates,
    read_certificate,
    write_certificate,
)
from batchproof_server.proof.certificate.signing import KeySignature
from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.settings import Consistency, ProofSettings
from support.proof_backends import (
    Bench,
    Counting,
    Good,
    Mixing,
    OddOne,
    Picky,
    UnevenTwo,
    candidate,
)

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


def test_probed_and_signed_certificates_fit_the_schema_and_probed_needs_a_reason(
    certificate: Certificate,
) -> None:
    undecided = Finding("BP305", Severity.WARN, "node", "why", "mend")
    probed = Bench().prove(candidate(Good(), findings=(undecided,)))
    signed = certificate.to_json(KeySignature("ab" * 32, "cd" * 64))
    for text in (probed.to_json(), signed):
        jsonschema.validate(json.loads(text), SCHEMA, jsonschema.Draft202012Validator)
    assert parse_certificate(signed).signature == KeySignature("ab" * 32, "cd" * 64)
    document = json.loads(replace(certificate, verdict="probed").to_json())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("backend", "consistency", "is_given"),
    [
        (Good(), "strict", True),
        (Good(), "tolerant", True),
        (OddOne(), "strict", True),  # the odd bucket is not served
        (OddOne(), "tolerant", False),
        (Mixing(), "strict", False),
    ],
)
def test_it_says_whether_all_buckets_that_are_served_give_one_answer(
    backend: Good, consistency: Consistency, *, is_given: bool
) -> None:
    bench = Bench(ProofSettings(consistency=consistency))
    certificate = bench.prove(candidate(backend, buckets_rows=(1, 2, 4)))
    assert certificate.gives_one_answer is is_given


def test_a_certificate_comes_back_as_it_was_written(certificate: Certificate) -> None:
    assert parse_certificate(certificate.to_json()) == CertificateDocument(certificate)


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
        ("[" * 100_000, "nested too deep"),
        ('{"format": ' + "9" * 5_000 + "}", "a number has too many digits"),
    ],
)
def test_what_is_no_certificate_is_not_read(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m-1.json").write_text(text)
    fault = read_certificate(tmp_path / "m-1.json")
    assert isinstance(fault, ValueError)
    assert said in str(fault)


def test_a_certificate_that_was_tampered_with_is_not_read(certificate: Certificate) -> None:
    text = certificate.to_json().replace("strict", "tolerant")
    with pytest.raises(ValueError, match="its digest is not that of its content"):
        parse_certificate(text)


@pytest.mark.parametrize(
    ("content", "said"), [(b" " * (MAX_CERTIFICATE_BYTES + 1), "more than"), (b"\xff\xfe", "UTF-8")]
)
def test_a_file_that_is_too_large_or_unreadable_is_not_read(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "m-1.json").write_bytes(content)
    assert said in str(read_certificate(tmp_path / "m-1.json"))


def test_what_was_kept_is_found_with_what_was_converted_and_without_a_directory_nothing_is(
    tmp_path: Path, certificate: Certificate
) -> None:
    directory = tmp_path / "made" / "here"
    name, number = certificate.model, certificate.version
    kept, bundle = KeptCertificates(directory), tmp_path / "bundle"
    assert list(kept.find(name, number, bundle)) == []
    for content in ("old", "new"):

        def write(into: Path, content: str = content) -> None:
            (into / content).write_text(content)

        kept.keep(certificate, Converted.of(write))
    (found,) = kept.find(name, number, bundle)
    assert (found.certificate, found.doubt) == (certificate, "")
    assert [path.name for path in found.converted.iterdir()] == ["new"]
    assert len(list(directory.iterdir())) == 2
    KeptCertificates(None).keep(certificate, None)
    assert list(KeptCertificates(None).find(name, number, bundle)) == []


def test_what_was_converted_has_the_digest_of_its_names_and_contents(tmp_path: Path) -> None:
    def writing(name: str, content: str) -> Converted:
        def write(into: Path) -> None:
            (into / name).write_text(content)

        return Converted.of(write)

    one = writing("a", "x")
    assert one.digest == writing("a", "x").digest
    assert one.digest not in (writing("b", "x").digest, writing("a", "y").digest)
    one.keep(tmp_path / "kept")
    assert digest_directory(tmp_path / "kept") == one.digest


def other_digest(certificate: Certificate) -> Certificate:
    """One bucket of a class has other answers than the rest."""
    first, *rest = certificate.measured.answers
    answers = (replace(first, digest="0" * 64), *rest)
    return replace(certificate, measured=replace(certificate.measured, answers=answers))


def measuring(**changes: Any) -> Callable[[Certificate], Certificate]:
    return lambda certificate: replace(
        certificate, measured=replace(certificate.measured, **changes)
    )


FAILED = FindingRecord("BP501", Severity.FAIL, "bucket 2", "", "why", "mend")


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (other_digest, "its classes are not those of its digests"),
        (measuring(classes=((2, 4), (8,))), "its classes are not those of its digests"),
        (measuring(answers=(), classes=()), "it says proven without an answer"),
        (measuring(served_buckets_rows=(4, 8)), "not what is served under strict"),
        (measuring(greatest_difference=0.5), "its buckets differ in one class"),
        (lambda known: replace(known, findings=(FAILED,)), "proven with 1 findings that fail"),
        (lambda known: replace(known, verdict="unproven"), "unproven with 0 findings that fail"),
        (lambda known: replace(known, verdict="probed"), "probed with nothing undecided"),
        (
            lambda known: replace(known, subject=replace(known.subject, buckets_rows=(2, 4))),
            "buckets that were not asked for",
        ),
    ],
)
def test_a_certificate_that_contradicts_itself_is_refused(
    certificate: Certificate, forge: Callable[[Certificate], Certificate], said: str
) -> None:
    with pytest.raises(ValueError, match=f"it contradicts itself: .*{said}"):
        parse_certificate(forge(certificate).to_json())


@pytest.mark.parametrize(
    "backend",
    [Good(), Mixing(), OddOne(), UnevenTwo(), Counting(0.5), Picky(lambda _x: True)],
    ids=lambda backend: type(backend).__name__,
)
@pytest.mark.parametrize("consistency", ["strict", "tolerant"])
def test_no_certificate_that_was_made_contradicts_itself(
    backend: Good, consistency: Consistency
) -> None:
    bench = Bench(ProofSettings(consistency=consistency))
    made = bench.prove(candidate(backend, buckets_rows=(1, 2, 4)))
    assert parse_certificate(made.to_json()).certificate == made


def test_a_certificate_is_written_whole_or_not_at_all(
    tmp_path: Path, certificate: Certificate
) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_certificate(certificate, tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
