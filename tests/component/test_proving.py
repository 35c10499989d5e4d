"""From a model to its certificate, and when a certificate that was kept still holds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.proof.artefact.archive import write_certificate
from batchproof_server.proof.certificate.certificate import (
    CERTIFICATE_NAME,
    Certificate,
    RepairRecord,
)
from batchproof_server.proof.examination import Candidate, Examined
from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.settings import Consistency, ProofSettings
from support.proof_backends import (
    MACHINE,
    Bench,
    Counting,
    Drifting,
    Good,
    LeakingNan,
    Learning,
    Mixing,
    OddOne,
    Picky,
    Placed,
    UnevenTwo,
    candidate,
    rule_ids,
)

NOTE = Finding("BP308", Severity.NOTE, "output", "why", "mend")
FAIL = replace(NOTE, severity=Severity.FAIL)
UNDECIDED = replace(NOTE, rule_id="BP305", severity=Severity.WARN)
MENDED = RepairRecord("BP101", "norm", "mended")
TOLERANT = ProofSettings(consistency="tolerant")
NAME = "pictures-3.json"


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


def test_a_good_model_is_proven_and_the_certificate_says_what_was_done() -> None:
    certificate = Bench().prove(candidate(Good()))
    assert (certificate.verdict, certificate.findings) == ("proven", ())
    assert (certificate.model, certificate.version) == ("pictures", 3)
    assert certificate.subject.environment.engine == "elementwise 1"
    assert certificate.subject.environment.machine == MACHINE
    assert certificate.measured.classes == ((2, 4, 8),)
    assert certificate.measured.comparisons > 100
    assert certificate.created == "2024-02-29T12:00:00+00:00"


@pytest.mark.parametrize(
    ("backend", "rule_id"),
    [
        (Mixing(), "BP501"),
        (LeakingNan(), "BP502"),
        (Placed(), "BP503"),
        (Drifting(), "BP504"),
        (Learning(), "BP505"),
    ],
)
def test_a_model_that_breaks_its_promise_is_unproven(backend: Good, rule_id: str) -> None:
    certificate = Bench().prove(candidate(backend))
    assert certificate.verdict == "unproven"
    assert rule_ids(certificate) == {rule_id}
    assert all(sentence.startswith(rule_id) for sentence in certificate.failures)


def test_a_finding_of_the_audit_is_enough_to_be_unproven() -> None:
    for findings in ({"examined": Examined(Good(), (FAIL,))}, {"findings": (FAIL,)}):
        certificate = Bench().prove(candidate(Good(), **findings))
        assert certificate.verdict == "unproven"
        assert rule_ids(certificate) == {"BP308"}


def test_repairs_and_notes_are_in_the_certificate_of_a_proven_model() -> None:
    certificate = Bench().prove(candidate(Good(), examined=Examined(Good(), (NOTE,), (MENDED,))))
    assert certificate.verdict == "proven"
    assert certificate.repairs == (MENDED,)
    assert rule_ids(certificate) == {"BP308"}


def test_strict_serves_the_class_of_the_largest_bucket_and_says_what_it_leaves_out() -> None:
    certificate = Bench().prove(candidate(OddOne(), buckets_rows=(1, 2, 4)))
    assert certificate.verdict == "proven"
    assert certificate.measured.classes == ((1,), (2, 4))
    assert certificate.measured.served_buckets_rows == (2, 4)
    assert rule_ids(certificate) == {"BP508"}
    assert 0 < (certificate.measured.greatest_difference or 0) < 1e-4


@pytest.mark.parametrize("consistency", ["strict", "tolerant"])
def test_a_bucket_whose_places_differ_is_left_out_with_a_warning(
    consistency: Consistency,
) -> None:
    certificate = Bench(ProofSettings(consistency=consistency)).prove(candidate(UnevenTwo()))
    assert certificate.verdict == "proven"
    assert certificate.measured.classes == ((4, 8),)
    assert certificate.measured.served_buckets_rows == (4, 8)
    (finding,) = certificate.findings
    assert (finding.rule_id, finding.severity) == ("BP503", Severity.WARN)
    assert finding.where == "bucket 2"


def test_a_model_that_has_no_bucket_without_a_fault_is_unproven() -> None:
    certificate = Bench().prove(candidate(UnevenTwo(), buckets_rows=(2,)))
    assert certificate.verdict == "unproven"
    assert certificate.measured.served_buckets_rows == (2,)


def test_tolerant_serves_every_bucket_and_states_the_difference() -> None:
    certificate = Bench(TOLERANT).prove(candidate(OddOne(), buckets_rows=(1, 2, 4)))
    assert certificate.verdict == "proven"
    assert certificate.consistency == "tolerant"
    assert certificate.measured.served_buckets_rows == (1, 2, 4)
    assert (certificate.measured.greatest_difference or 0) > 0


def test_a_lone_bucket_is_served_when_its_bits_are_those_of_the_others() -> None:
    certificate = Bench().prove(candidate(Good(), buckets_rows=(1, 2, 4)))
    assert certificate.measured.served_buckets_rows == (1, 2, 4)


@pytest.mark.parametrize("buckets_rows", [(2,), (2, 4, 8), (1, 2, 4)])
@pytest.mark.parametrize("share", [1.0, 0.01])
def test_a_model_that_answers_with_the_number_of_rows_is_unproven(
    buckets_rows: tuple[int, ...], share: float
) -> None:
    for settings in (ProofSettings(), TOLERANT):
        certificate = Bench(settings).prove(candidate(Counting(share), buckets_rows=buckets_rows))
        assert certificate.verdict == "unproven"
        (failure,) = certificate.failures
        assert failure.startswith('BP512 output "y": the answers to the row')
        assert f"among 1 and among {buckets_rows[-1]} rows differ by" in failure


def test_every_row_is_executed_by_itself_even_where_1_is_no_bucket() -> None:
    backend = OddOne()
    certificate = Bench().prove(candidate(backend, buckets_rows=(2, 4)))
    assert [len(batch) for batch in backend.batches[-16:]] == [1] * 16
    assert certificate.measured.executions["single"] == 16
    assert certificate.measured.classes == ((2, 4),)
    (finding,) = certificate.findings
    assert (finding.rule_id, finding.severity) == ("BP508", Severity.NOTE)
    assert "one row by itself, which is no bucket here, differs by up to" in finding.detail


def test_where_1_is_a_bucket_no_row_is_executed_by_itself_again() -> None:
    certificate = Bench().prove(candidate(Good(), buckets_rows=(1, 2)))
    assert certificate.measured.executions["single"] == 0


def test_a_model_that_cannot_execute_one_row_says_so_and_its_buckets_are_compared() -> None:
    fixed = Examined(Good(), never_alone="built for exactly 4 rows")
    for examined, why in (
        (fixed, "built for exactly 4 rows"),
        (Examined(Picky(lambda x: len(x) == 1)), "the model fails on one row"),
    ):
        certificate = Bench().prove(candidate(Good(), examined=examined))
        assert certificate.verdict == "proven"
        assert certificate.measured.executions["single"] == 0
        (finding,) = certificate.findings
        assert (finding.rule_id, finding.severity) == ("BP513", Severity.NOTE)
        assert finding.detail == f"{why}; only the buckets 2, 4, 8 were compared"
    counting = Examined(Counting(0.01), never_alone="built for exactly 4 rows")
    certificate = Bench().prove(candidate(Good(), examined=counting))
    assert rule_ids(certificate) == {"BP512", "BP513"}


def test_a_model_in_half_precision_may_differ_by_more_between_row_counts() -> None:
    half = replace(NOTE, rule_id="BP401", severity=Severity.WARN)
    for findings, verdict in (((), "unproven"), ((half,), "proven")):
        backend = Counting(0.002)
        certificate = Bench().prove(candidate(backend, examined=Examined(backend, findings)))
        assert certificate.verdict == verdict


def test_a_difference_that_is_not_finite_is_null() -> None:
    class Undefined(Good):
        def spoilt(self, answers: np.ndarray[Any, Any], inputs: np.ndarray[Any, Any]) -> Any:
            return np.full_like(answers, np.nan) if len(inputs) == 1 else answers

    certificate = Bench().prove(candidate(Undefined(), buckets_rows=(1, 2)))
    assert certificate.verdict == "unproven"
    assert certificate.measured.greatest_difference is None
    assert certificate.measured.served_buckets_rows == (2,)


def test_a_model_that_cannot_be_executed_has_a_certificate_that_says_so() -> None:
    certificate = Bench().prove(candidate(Picky(lambda _x: True)))
    assert certificate.verdict == "unproven"
    assert certificate.measured.classes == ()
    assert certificate.measured.served_buckets_rows == (2, 4, 8)


def test_inputs_of_any_size_are_noted_with_the_size_that_was_tried() -> None:
    certificate = Bench().prove(candidate(Good(None, 2)))
    assert certificate.verdict == "proven"
    assert rule_ids(certificate) == {"BP511"}


def test_progress_is_told_from_start_to_end() -> None:
    bench = Bench()
    bench.prove(candidate(Good()))
    counted = [(progress.done, progress.total) for progress in bench.told]
    assert counted == [(done, 18) for done in range(19)]
    assert {(p.model, p.version, p.step) for p in bench.told} == {("pictures", 3, "probing")}


def test_a_kept_certificate_saves_the_probes_and_is_checked_by_executing(tmp_path: Path) -> None:
    certificate = kept(tmp_path)
    bench, backend = Bench(keeping(tmp_path)), Good()
    assert bench.prove(candidate(backend, tmp_path)) == certificate
    assert bench.steps() == ["certificate reused"]
    # One arrangement of 16 rows in each bucket, which warms up every bucket that is served.
    assert [len(batch) for batch in backend.batches] == [2] * 8 + [4] * 4 + [8] * 2


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
    assert bench.steps() == ["certificate ignored", "probing"]
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
    assert bench.steps() == ["certificate ignored", "probing"]
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
    assert bench.steps() == ["certificate ignored", "probing"]
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
    assert bench.steps() == ["certificate ignored", "probing"]
    assert "without comparing row counts" in bench.told[0].detail


def test_a_certificate_in_the_bundle_is_somebody_elses_word(tmp_path: Path) -> None:
    write_certificate(Bench().prove(candidate(Good(), tmp_path)), tmp_path / CERTIFICATE_NAME)
    for settings in (ProofSettings(), keeping(tmp_path)):
        bench = Bench(settings)
        assert bench.prove(candidate(Good(), tmp_path)).verdict == "proven"
        assert bench.steps() == ["certificate ignored", "probing"]
        assert bench.told[0].detail == (
            "certificate.json: it lies in the bundle, and only certificates that this server made "
            "are proof"
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
    assert bench.steps() == ["probing"]


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
    assert bench.steps() == ["probing", "certificate not kept"]


def test_what_the_audit_leaves_undecided_is_probed_with_more_rows_and_the_verdict_says_so() -> None:
    found = Examined(Good(), (UNDECIDED,), thresholds=(100.0,))
    certificate = Bench().prove(candidate(Good(), examined=found))
    assert (certificate.verdict, certificate.failures) == ("probed", ())
    assert certificate.undecided == (UNDECIDED.sentence,)
    read = Bench().prove(candidate(Good()))
    more = certificate.subject.probe_rows
    assert {kind: more[kind] for kind in read.subject.probe_rows} == read.subject.probe_rows
    assert (more["threshold"], more["edge"], more["picture"]) == (10, 1, 60)
    assert certificate.measured.executions["permuted"] > 3 * read.measured.executions["permuted"]


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
    assert bench.steps() == ["certificate ignored", "probing"]
    assert bench.told[0].detail.endswith("with fewer probes of what the audit cannot decide")
