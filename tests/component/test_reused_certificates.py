"""When a certificate that was kept, or that a trusted key signed, still holds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.proof.artefact.key_files import read_signing_key, read_trusted_keys
from batchproof_server.proof.certificate.certificate import (
    CERTIFICATE_NAME,
    Certificate,
    RepairRecord,
)
from batchproof_server.proof.certificate.document import parse_certificate
from batchproof_server.proof.certificate.kept import write_certificate
from batchproof_server.proof.certificate.signing import TrustedKeys
from batchproof_server.proof.examination import Candidate, Examined
from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.settings import ProofSettings
from support.keys import write_keys
from support.proof_backends import (
    MACHINE,
    Bench,
    Drifting,
    Good,
    Learning,
    Mixing,
    Picky,
    candidate,
)

NOTE = Finding("BP308", Severity.NOTE, "output", "why", "mend")
FAIL = replace(NOTE, severity=Severity.FAIL)
UNDECIDED = replace(NOTE, rule_id="BP305", severity=Severity.WARN)
MENDED = RepairRecord("BP101", "norm", "mended")
TOLERANT = ProofSettings(consistency="tolerant")
NAME = "pictures-3.json"
PROBES = ("probing", "comparing roundings")


def keeping(tmp_path: Path, **settings: Any) -> ProofSettings:
    """Settings that keep certificates beside the bundle."""
    return ProofSettings(certificate_directory=str(tmp_path / "kept"), **settings)


def kept(tmp_path: Path, backend: Backend | None = None, **changes: Any) -> Certificate:
    """Proves a model and keeps its certificate, good or bad, as if this server had made it."""
    certificate = Bench().prove(candidate(backend or Good(), tmp_path, **changes))
    keep(tmp_path, certificate)
    return certificate


def keep(tmp_path: Path, certificate: Certificate) -> None:
    """Writes a certificate where those of this server are."""
    (tmp_path / "kept").mkdir(exist_ok=True)
    write_certificate(certificate, tmp_path / "kept" / NAME)


def test_a_kept_certificate_saves_the_probes_and_is_checked_by_executing(tmp_path: Path) -> None:
    certificate = kept(tmp_path)
    bench, backend = Bench(keeping(tmp_path)), Good()
    assert bench.prove(candidate(backend, tmp_path)) == certificate
    assert bench.steps() == ["certificate reused"]
    # One arrangement of 16 rows in each bucket, which warms up every bucket that is served.
    assert [len(batch) for batch in backend.batches] == [1] * 16 + [2] * 8 + [4] * 4 + [8] * 2


def _another_processor(bench: Bench, _: Candidate) -> None:
    bench.machine = replace(MACHINE, cpu_features=("avx2", "avx512f", "fma"))


def _another_version(bench: Bench, _: Candidate) -> None:
    bench.versions = {"numpy": "2.5.0"}


CHANGES: dict[str, Callable[[Bench, Candidate], Candidate | None]] = {
    "subject.model_digest": lambda _, c: replace(c, model_digest="ef" * 32),
    "recipe_digest": lambda _, c: replace(c, recipe_digest=""),
    "buckets_rows": lambda _, c: replace(c, buckets_rows=(2, 4)),
    "environment.machine.cpu_features": _another_processor,
    "environment.versions.numpy": _another_version,
    "consistency": lambda b, _: setattr(b, "settings", replace(b.settings, consistency="tolerant")),
    "environment.intra_op_threads": lambda b, _: setattr(b, "engine", EngineSettings(3, 0)),
    "environment.inter_op_threads": lambda b, _: setattr(b, "engine", EngineSettings(0, 3)),
    "environment.onednn": lambda b, _: setattr(b, "onednn", "0"),
    "probe_rows": lambda _, c: replace(c, samples=(("a.png", np.ones(3, np.float32)),)),
    "the audit finds or mends something else": lambda _, c: replace(c, findings=(NOTE,)),
    "or mends something else": lambda _, c: replace(c, examined=Examined(Good(), (), (MENDED,))),
    "the model is not proven": lambda _, c: replace(c, findings=(FAIL,)),
    "other bits": lambda _, c: replace(c, examined=Examined(Drifting())),
    "with other bits": lambda _, c: replace(c, examined=Examined(Learning())),
    "answers the probe rows": lambda _, c: replace(c, examined=Examined(Picky(lambda _x: True))),
}


@pytest.mark.parametrize("reason", CHANGES)
def test_whatever_has_changed_is_named_and_the_model_is_proven_anew(
    tmp_path: Path, reason: str
) -> None:
    kept(tmp_path)
    bench = Bench(keeping(tmp_path))
    plain = candidate(Good(), tmp_path)
    changed = CHANGES[reason](bench, plain) or plain
    bench.prove(changed)
    assert bench.steps()[:2] == ["certificate ignored", "probing"]
    assert reason.removeprefix("subject.") in bench.told[0].detail


def test_another_engine_version_is_a_change(tmp_path: Path) -> None:
    class Newer(Good):
        @property
        def engine(self) -> str:
            return "elementwise 2"

    kept(tmp_path)
    bench = Bench(keeping(tmp_path))
    bench.prove(candidate(Newer(), tmp_path))
    assert "environment.engine" in bench.told[0].detail


def test_a_certificate_that_names_a_package_which_computes_nothing_here_still_holds(
    tmp_path: Path,
) -> None:
    prover = Bench(versions={"numpy": "2.4.0", "openvino": "2026.4.1"})
    certificate = prover.prove(candidate(Good(), tmp_path))
    keep(tmp_path, certificate)
    bench = Bench(keeping(tmp_path))
    assert bench.prove(candidate(Good(), tmp_path)) == certificate
    assert bench.steps() == ["certificate reused"]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"numpy": "2.4.0", "keras": "3.12.0"}, {"numpy": "2.4.0"}),
        ({"numpy": "2.4.0"}, {"numpy": "2.4.0", "keras": "3.12.0"}),
    ],
)
def test_a_computing_package_that_came_or_went_is_a_change(
    tmp_path: Path, before: dict[str, str], now: dict[str, str]
) -> None:
    keep(tmp_path, Bench(versions=before).prove(candidate(Good(), tmp_path)))
    bench = Bench(keeping(tmp_path), versions=now)
    bench.prove(candidate(Good(), tmp_path))
    assert bench.steps() == ["certificate ignored", *PROBES]
    assert "environment.versions.keras" in bench.told[0].detail


def test_rows_that_the_model_refuses_are_left_out_again_when_a_certificate_is_reused(
    tmp_path: Path,
) -> None:
    def refuses(x: np.ndarray[Any, Any]) -> bool:
        return bool((x == 255).all(axis=1).any())

    certificate = kept(tmp_path, Picky(refuses))
    assert certificate.measured.refused_rows == ("255",)
    bench = Bench(keeping(tmp_path))
    assert bench.prove(candidate(Picky(refuses), tmp_path)) == certificate
    assert bench.steps() == ["certificate reused"]


def test_an_unproven_certificate_is_never_reused(tmp_path: Path) -> None:
    kept(tmp_path, Mixing())
    bench = Bench(keeping(tmp_path))
    assert bench.prove(candidate(Mixing(), tmp_path)).verdict == "unproven"
    assert "the model is not proven" in bench.told[0].detail


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"digest":"00"}'])
def test_an_unreadable_or_tampered_certificate_is_ignored_with_a_word(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / NAME).write_bytes(content)
    bench = Bench(keeping(tmp_path))
    assert bench.prove(candidate(Good(), tmp_path)).verdict == "proven"
    assert bench.steps() == ["certificate ignored", *PROBES]
    assert bench.told[0].detail.startswith("pictures-3.json: it cannot be read")


def test_a_certificate_whose_verdict_was_edited_is_ignored(tmp_path: Path) -> None:
    certificate = kept(tmp_path, Mixing())
    text = certificate.to_json().replace('"verdict":"unproven"', '"verdict":"proven"')
    (tmp_path / "kept" / NAME).write_text(text)
    assert Bench(keeping(tmp_path)).prove(candidate(Mixing(), tmp_path)).verdict == "unproven"


def test_a_certificate_of_another_model_is_ignored(tmp_path: Path) -> None:
    keep(tmp_path, Bench().prove(candidate(Good(), tmp_path, version=4)))
    bench = Bench(keeping(tmp_path))
    bench.prove(candidate(Good(), tmp_path))
    assert bench.told[0].detail == "pictures-3.json: it is for pictures version 4"


def test_a_certificate_of_before_row_counts_were_compared_is_ignored(tmp_path: Path) -> None:
    certificate = kept(tmp_path)
    fewer = {
        name: count for name, count in certificate.measured.executions.items() if name != "single"
    }
    keep(tmp_path, replace(certificate, measured=replace(certificate.measured, executions=fewer)))
    bench = Bench(keeping(tmp_path))
    bench.prove(candidate(Good(), tmp_path))
    assert bench.steps()[:2] == ["certificate ignored", "probing"]
    assert "without comparing row counts" in bench.told[0].detail


def test_a_certificate_in_the_bundle_is_somebody_elses_word(tmp_path: Path) -> None:
    write_certificate(Bench().prove(candidate(Good(), tmp_path)), tmp_path / CERTIFICATE_NAME)
    for settings in (ProofSettings(), keeping(tmp_path)):
        bench = Bench(settings)
        assert bench.prove(candidate(Good(), tmp_path)).verdict == "proven"
        assert bench.steps() == ["certificate ignored", *PROBES]
        assert bench.told[0].detail == (
            "certificate.json: it lies in the bundle without a signature, and only certificates "
            "that this server made, or that a key of proof.trusted_keys signed, are proof"
        )


def test_a_forged_certificate_in_the_bundle_changes_no_verdict(tmp_path: Path) -> None:
    certificate = Bench().prove(candidate(Mixing(), tmp_path))
    forged = replace(certificate, verdict="proven", findings=())
    write_certificate(forged, tmp_path / CERTIFICATE_NAME)
    assert Bench().prove(candidate(Mixing(), tmp_path)).verdict == "unproven"


def test_beside_a_certificate_of_its_own_the_bundles_is_not_mentioned(tmp_path: Path) -> None:
    write_certificate(kept(tmp_path), tmp_path / CERTIFICATE_NAME)
    bench = Bench(keeping(tmp_path))
    bench.prove(candidate(Good(), tmp_path))
    assert bench.steps() == ["certificate reused"]


def test_reuse_can_be_switched_off(tmp_path: Path) -> None:
    write_certificate(kept(tmp_path), tmp_path / CERTIFICATE_NAME)
    bench = Bench(keeping(tmp_path, reuse_certificates=False))
    bench.prove(candidate(Good(), tmp_path))
    assert bench.steps() == list(PROBES)


def test_nothing_is_written_without_a_directory_for_it(tmp_path: Path) -> None:
    Bench().prove(candidate(Good(), tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_for_certificates_keeps_proven_ones_only(tmp_path: Path) -> None:
    bundle, directory = tmp_path / "bundle", tmp_path / "kept"
    bundle.mkdir()
    settings = ProofSettings(certificate_directory=str(directory))
    Bench(settings).prove(candidate(Mixing(), bundle))
    assert not directory.exists()
    first = Bench(settings).prove(candidate(Good(), bundle))
    bench = Bench(settings)
    assert bench.prove(candidate(Good(), bundle)) == first
    assert bench.steps() == ["certificate reused"]
    assert list(bundle.iterdir()) == []


def test_a_directory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bench = Bench(ProofSettings(certificate_directory=str(tmp_path / "file")))
    assert bench.prove(candidate(Good(), tmp_path)).verdict == "proven"
    assert bench.steps() == [*PROBES, "certificate not kept"]


def test_a_probed_certificate_is_kept_and_reused_for_the_same_thresholds_only(
    tmp_path: Path,
) -> None:
    found = Examined(Good(), (UNDECIDED,), thresholds=(100.0,))
    settings = keeping(tmp_path)
    first = Bench(settings).prove(candidate(Good(), tmp_path, examined=found))
    bench = Bench(settings)
    assert bench.prove(candidate(Good(), tmp_path, examined=found)) == first
    assert bench.steps() == ["certificate reused"]
    other = replace(found, thresholds=(7.0,))
    bench.prove(candidate(Good(), tmp_path, examined=other))
    assert any("changed since: probe_rows_digest" in each.detail for each in bench.told)


def test_a_certificate_that_says_proven_of_what_was_undecided_is_read_and_not_reused(
    tmp_path: Path,
) -> None:
    found = Examined(Good(), (UNDECIDED,))
    probed = Bench().prove(candidate(Good(), tmp_path, examined=found))
    keep(tmp_path, replace(probed, verdict="proven"))
    bench = Bench(keeping(tmp_path))
    assert bench.prove(candidate(Good(), tmp_path, examined=found)).verdict == "probed"
    assert bench.steps() == ["certificate ignored", *PROBES]
    assert bench.told[0].detail.endswith("with fewer probes of what the audit cannot decide")


def signed(tmp_path: Path, certificate: Certificate) -> TrustedKeys:
    """Writes a certificate into the bundle with a signature; returns the key to trust."""
    private, public = write_keys(tmp_path)
    signature = read_signing_key(private).sign(certificate.digest)
    write_certificate(certificate, tmp_path / CERTIFICATE_NAME, signature)
    return read_trusted_keys([str(public)])


def test_a_certificate_in_the_bundle_that_a_trusted_key_signed_saves_the_probes(
    tmp_path: Path,
) -> None:
    certificate = Bench().prove(candidate(Good(), tmp_path))
    bench, backend = Bench(trusted=signed(tmp_path, certificate)), Good()
    assert bench.prove(candidate(backend, tmp_path)) == certificate
    assert bench.steps() == ["certificate reused"]
    assert bench.told[0].detail == "certificate.json"
    assert [len(batch) for batch in backend.batches] == [1] * 16 + [2] * 8 + [4] * 4 + [8] * 2


@pytest.mark.parametrize("reason", CHANGES)
def test_a_signed_certificate_holds_under_the_same_checks_as_a_kept_one(
    tmp_path: Path, reason: str
) -> None:
    trusted = signed(tmp_path, Bench().prove(candidate(Good(), tmp_path)))
    bench = Bench(trusted=trusted)
    plain = candidate(Good(), tmp_path)
    bench.prove(CHANGES[reason](bench, plain) or plain)
    assert bench.steps()[:2] == ["certificate ignored", "probing"]
    assert reason.removeprefix("subject.") in bench.told[0].detail


def test_a_signature_of_a_key_that_is_not_trusted_is_worth_nothing(tmp_path: Path) -> None:
    signed(tmp_path, Bench().prove(candidate(Good(), tmp_path)))
    bench = Bench()
    bench.prove(candidate(Good(), tmp_path))
    assert bench.steps() == ["certificate ignored", *PROBES]
    assert bench.told[0].detail == (
        "certificate.json: proof.trusted_keys does not name the key that signed it"
    )


def test_a_signature_of_another_certificate_is_worth_nothing_wherever_it_lies(
    tmp_path: Path,
) -> None:
    certificate = Bench().prove(candidate(Good(), tmp_path))
    trusted = signed(tmp_path, replace(certificate, version=7))
    document = parse_certificate((tmp_path / CERTIFICATE_NAME).read_text())
    (tmp_path / "kept").mkdir()
    for place, settings in (
        (tmp_path / CERTIFICATE_NAME, ProofSettings()),
        (tmp_path / "kept" / NAME, keeping(tmp_path)),
    ):
        write_certificate(certificate, place, document.signature)
        bench = Bench(settings, trusted=trusted)
        bench.prove(candidate(Good(), tmp_path))
        details = {each.detail for each in bench.told}
        assert f"{place.name}: its signature is not one of its content" in details


def test_a_signed_certificate_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    certificate = Bench().prove(candidate(Good(), tmp_path))
    answers = tuple(
        replace(each, digest=f"{each.bucket_rows:064d}") for each in certificate.measured.answers
    )
    forged = replace(certificate, measured=replace(certificate.measured, answers=answers))
    bench = Bench(trusted=signed(tmp_path, forged))
    assert bench.prove(candidate(Good(), tmp_path)).verdict == "proven"
    assert "it contradicts itself" in bench.told[0].detail
