"""A backend that breaks its promise is caught, under its own name."""

import numpy as np
import pytest

from batchproof_server.base.backend import Backend
from batchproof_server.base.signature import Array
from batchproof_server.proof.findings import Severity, failures
from batchproof_server.proof.probing.executing import chunks, execute_co_batched
from batchproof_server.proof.probing.probes import ProbeReport, probe
from batchproof_server.proof.probing.rows import PROBE_ROWS, probe_rows
from batchproof_server.proof.probing.rules import PROBE_RULES
from batchproof_server.proof.rules import RULES
from support.proof_backends import (
    BUCKETS,
    Blind,
    Drifting,
    DriftingOnce,
    Good,
    LeakingNan,
    Learning,
    Mixing,
    OddOne,
    Picky,
    Placed,
)


def probed_backend(backend: Backend, buckets_rows: tuple[int, ...] = BUCKETS) -> ProbeReport:
    return probe(backend, buckets_rows, probe_rows(backend.signature), lambda _done, _total: None)


def found(report: ProbeReport) -> set[str]:
    return {finding.rule_id for finding in report.findings}


@pytest.mark.parametrize("buckets_rows", [(1,), (1, 2, 4), (2, 3, 7), (2, 4, 8, 16, 32), (64,)])
def test_a_good_backend_passes_in_any_buckets(buckets_rows: tuple[int, ...]) -> None:
    report = probed_backend(Good(), buckets_rows)
    assert report.findings == ()
    assert len(report.rows) == PROBE_ROWS
    assert {bucket: len(known) for bucket, known in report.answers.items()} == dict.fromkeys(
        buckets_rows, PROBE_ROWS
    )


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "float16", "float64", "bool"])
def test_a_good_backend_passes_with_any_dtype(dtype: str) -> None:
    assert probed_backend(Good(3, dtype=dtype)).findings == ()


@pytest.mark.parametrize(
    ("backend", "rule_id"),
    [
        (Mixing(), "BP501"),
        (LeakingNan(), "BP502"),
        (Placed(), "BP503"),
        (Drifting(), "BP504"),
        (DriftingOnce(), "BP504"),
        (Learning(), "BP505"),
    ],
)
def test_a_backend_that_breaks_its_promise_is_caught_under_its_own_name(
    backend: Backend, rule_id: str
) -> None:
    report = probed_backend(backend)
    assert found(report) == {rule_id}
    assert failures(report.findings) == report.findings


def test_a_finding_says_where_and_by_how_much() -> None:
    finding = probed_backend(Mixing(), (4,)).findings[0]
    assert finding.where == "bucket 4"
    assert "differs by up to" in finding.detail
    assert "from its first answer" in finding.detail


def test_a_different_bucket_one_is_no_fault_of_the_probes() -> None:
    report = probed_backend(OddOne(), (1, 2, 4))
    assert report.findings == ()
    assert report.answers[1][0]["y"].tobytes() != report.answers[2][0]["y"].tobytes()
    assert report.answers[4][0]["y"].tobytes() == report.answers[2][0]["y"].tobytes()


def test_a_row_that_the_model_refuses_is_named_and_left_out() -> None:
    report = probed_backend(Picky(lambda x: (x == 255).all(axis=1).any()))
    (finding,) = report.findings
    assert (finding.rule_id, finding.where, finding.severity) == ("BP507", "255", Severity.WARN)
    assert len(report.rows) == PROBE_ROWS - 1
    assert "255" not in {row.name for row in report.rows}


def test_a_model_that_fails_beside_nan_is_warned_of() -> None:
    report = probed_backend(Picky(lambda x: np.isnan(x).any()))
    assert found(report) == {"BP507"}
    assert failures(report.findings) == ()


def test_a_model_that_refuses_everything_fails() -> None:
    report = probed_backend(Picky(lambda _x: True))
    assert found(report) == {"BP506", "BP507"}
    assert report.answers == {}


def test_a_bucket_that_cannot_be_executed_fails_and_is_left_out() -> None:
    report = probed_backend(Picky(lambda x: len(x) == 4))
    assert [finding.where for finding in failures(report.findings)] == ["bucket 4"]
    assert set(report.answers) == {2, 8}


@pytest.mark.parametrize("fails_afterwards", [False, True])
def test_a_fault_that_shows_once_is_still_a_fault(fails_afterwards: bool) -> None:  # noqa: FBT001 - a parameter of the test
    class Flickering(Picky):
        def spoilt(self, answers: Array, inputs: Array) -> Array:
            del inputs
            return answers + (len(self.shapes) == 50)

    backend = Flickering(lambda _x: fails_afterwards and len(backend.shapes) >= 68)
    assert found(probed_backend(backend)) == {"BP504"}


def test_answers_that_are_all_the_same_prove_little() -> None:
    report = probed_backend(Blind())
    (finding,) = report.findings
    assert (finding.rule_id, finding.severity) == ("BP510", Severity.WARN)


def test_nan_answers_are_compared_by_their_bits() -> None:
    class Undefined(Good):
        def spoilt(self, answers: Array, inputs: Array) -> Array:
            answers[inputs[:, 0] == 0] = np.nan
            return answers

    class OtherNan(Good):
        def spoilt(self, answers: Array, inputs: Array) -> Array:
            answers[inputs[:, 0] == 0] = np.nan
            answers[-1] = np.copysign(answers[-1], 1)
            answers[0] = np.where(np.isnan(answers[0]), -np.float64(np.nan), answers[0])
            return answers

    assert found(probed_backend(Undefined())) == set()
    assert found(probed_backend(OtherNan())) != set()


def test_the_probes_count_what_they_did() -> None:
    backend, steps = Good(), []
    rows = probe_rows(backend.signature)
    report = probe(backend, (2, 4), rows, lambda done, total: steps.append((done, total)))
    assert sum(report.executions.values()) == len(backend.shapes)
    assert set(report.executions) == {"alone", "company", "permuted", "poisoned", "repeated"}
    assert report.comparisons > 3 * PROBE_ROWS
    assert steps == [(done, 12) for done in range(13)]


def test_every_row_meets_other_places_and_other_neighbours_in_every_bucket() -> None:
    backend = Good()
    probed_backend(backend, (8,))
    met: dict[bytes, set[tuple[int, bytes]]] = {}
    for batch in backend.batches:
        for place, row in enumerate(batch):
            neighbour = batch[(place + 1) % len(batch)].tobytes()
            met.setdefault(row.tobytes(), set()).add((place, neighbour))
    rows = probe_rows(backend.signature)
    assert all(len(met[row.tensors["x"].tobytes()]) > 1 for row in rows)


def test_company_answers_every_row_and_fills_the_last_bucket_from_the_start() -> None:
    rows = probe_rows(Good().signature)[:5]
    assert list(chunks(5, 3)) == [[0, 1, 2], [3, 4, 0]]
    answers = execute_co_batched(Good(), 3, rows)
    assert [answer["y"].tolist() for answer in answers] == [
        (2 * row.tensors["x"] + 1).tolist() for row in rows
    ]


def test_the_rules_of_audit_and_probes_share_no_id() -> None:
    assert not set(RULES) & set(PROBE_RULES)
    assert all(rule_id == rule.rule_id for rule_id, rule in PROBE_RULES.items())
