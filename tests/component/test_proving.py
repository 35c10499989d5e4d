"""From a model to its certificate."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.signature import Tensors
from batchproof_server.proof.certificate.certificate import RepairRecord
from batchproof_server.proof.examination import Examined
from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.probing.rows import PROBE_ROWS
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
    Stepwise,
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


def test_a_good_model_is_proven_and_the_certificate_says_what_was_done() -> None:
    certificate = Bench().prove(candidate(Good()))
    assert (certificate.verdict, certificate.findings) == ("proven", ())
    assert (certificate.model, certificate.version) == ("pictures", 3)
    assert certificate.subject.environment.engine == "elementwise 1"
    assert certificate.subject.environment.machine == MACHINE
    assert certificate.measured.classes == ((1, 2, 4, 8),)
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


@pytest.mark.parametrize("buckets_rows", [(2, 4, 8, 16, 32), (1, 2, 4, 8, 16, 32)])
def test_strict_does_not_pad_a_lone_row_to_a_largest_bucket_that_is_alone(
    buckets_rows: tuple[int, ...],
) -> None:
    certificate = Bench().prove(candidate(Stepwise(), buckets_rows=buckets_rows))
    assert certificate.verdict == "proven"
    assert certificate.measured.classes == ((1, 2, 4), (8,), (16,), (32,))
    assert certificate.measured.served_buckets_rows == (1, 2, 4)
    assert rule_ids(certificate) == {"BP508"}


def test_a_bucket_that_is_served_may_be_chosen_by_listing_no_other() -> None:
    certificate = Bench().prove(candidate(Stepwise(), buckets_rows=(32,)))
    assert certificate.measured.served_buckets_rows == (32,)


def test_strict_serves_the_class_that_reaches_furthest_and_says_what_it_leaves_out() -> None:
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
    assert certificate.measured.classes == ((1, 4, 8),)
    assert certificate.measured.served_buckets_rows == (1, 4, 8)
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


@pytest.mark.parametrize("buckets_rows", [(1, 2, 4), (2, 4)])
@pytest.mark.parametrize("consistency", ["strict", "tolerant"])
def test_a_lone_bucket_is_served_when_its_bits_are_those_of_the_others(
    buckets_rows: tuple[int, ...], consistency: Consistency
) -> None:
    bench = Bench(ProofSettings(consistency=consistency))
    certificate = bench.prove(candidate(Good(), buckets_rows=buckets_rows))
    assert certificate.measured.served_buckets_rows == (1, 2, 4)


@pytest.mark.parametrize("consistency", ["strict", "tolerant"])
def test_a_lone_bucket_that_nobody_asked_for_is_not_served_with_other_bits(
    consistency: Consistency,
) -> None:
    bench = Bench(ProofSettings(consistency=consistency))
    certificate = bench.prove(candidate(OddOne(), buckets_rows=(2, 4)))
    assert certificate.measured.served_buckets_rows == (2, 4)


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
    every = sum(certificate.subject.probe_rows.values())
    assert every > PROBE_ROWS
    assert [len(batch) for batch in backend.batches[-every:]] == [1] * every
    assert certificate.measured.executions["single"] == every
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
    assert certificate.measured.served_buckets_rows == (1,)


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
    counted = [(progress.step, progress.done, progress.total) for progress in bench.told]
    assert counted == [
        *(("probing", done, 18) for done in range(19)),
        *(("comparing roundings", done, 3) for done in range(4)),
    ]
    assert {(p.model, p.version) for p in bench.told} == {("pictures", 3)}


class GivesUp(Good):
    """Is left at the first row that it executes."""

    def execute(self, inputs: Tensors) -> Tensors:
        """Does not come back."""
        del inputs
        raise KeyboardInterrupt


def test_the_first_row_is_executed_when_the_step_was_told_so_that_a_hang_has_a_name() -> None:
    bench = Bench()
    with pytest.raises(KeyboardInterrupt):
        bench.prove(candidate(GivesUp()))
    assert [(progress.step, progress.done) for progress in bench.told] == [("probing", 0)]


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
