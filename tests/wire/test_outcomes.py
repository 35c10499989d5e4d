"""ReportOutcome by request id, over real gRPC, and the series that outcomes become."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.outcomes.answered import OutcomeRefusal
from batchproof_server.outcomes.settings import OutcomeSettings
from batchproof_server.rpc.native.outcomes import MAX_OUTCOMES
from support.bundles_on_disk import LOGITS, RAW, write_bundle
from support.running import Running, failure, request, running

BEST_IS_OWL = ((1, 2, 3, 4),)
BEST_IS_CAT = ((3, 2, 1, 4),)


@pytest.fixture
async def pets(tmp_path: Path) -> AsyncIterator[Running]:
    """``pets`` has labels, ``twins`` has one label twice, ``plain`` has none, ``raw`` no scores."""
    for name, labels in (("pets", "cat dog owl"), ("twins", "cat cat owl"), ("plain", "")):
        folder = write_bundle(tmp_path / name / "1", LOGITS)
        if labels:
            (folder / "labels.txt").write_text(labels.replace(" ", "\n"))
    write_bundle(tmp_path / "raw" / "1", RAW)
    settings = OutcomeSettings(accept_request_ids=True, max_remembered_rows=4)
    async with running(tmp_path, Config(outcomes=settings)) as started:
        yield started


async def predict(serving: Running, request_id: str, rows: object, model: str = "pets") -> None:
    await serving.stub.Predict(request(rows, request_id=request_id, model=model))


def outcome(request_id: str = "a", row: int = 0, **truth: object) -> pb.Outcome:
    return pb.Outcome(request_id=request_id, row=row, **truth or {"label": "owl"})  # type: ignore[arg-type] # either of the two


async def report(serving: Running, *outcomes: pb.Outcome) -> list[pb.OutcomeResult]:
    response = await serving.stub.ReportOutcome(pb.ReportOutcomeRequest(outcomes=outcomes))
    return list(response.results)


async def refusal(serving: Running, *outcomes: pb.Outcome) -> tuple[str, str]:
    message = pb.ReportOutcomeRequest(outcomes=outcomes)
    error = await failure(serving.stub.ReportOutcome(message))
    return error.code().name, error.details() or ""


def series(serving: Running, family: str, **labels: str) -> dict[tuple[str, ...], float]:
    """The values of a family, by the labels that are not given, in the order of their names."""
    address = f"http://127.0.0.1:{serving.server.operations.port}/metrics"
    with urlopen(address) as page:
        families = parse(page.read().decode())
    samples = [sample for each in families for sample in each.samples]
    return {
        tuple(
            sample.labels[key] for key in sorted(sample.labels) if key not in labels
        ): sample.value
        for sample in samples
        if sample.name == f"batchproof_{family}"
        and all(sample.labels[key] == value for key, value in labels.items())
    }


async def test_an_outcome_says_who_had_answered_what_and_whether_it_was_right(
    pets: Running,
) -> None:
    await predict(pets, "a", (*BEST_IS_OWL, *BEST_IS_CAT))
    (first,) = await report(pets, outcome(row=0, label="owl"))
    (second,) = await report(pets, outcome(row=1, class_index=1))
    accepted = first.accepted
    assert (accepted.model, accepted.version, accepted.is_correct) == ("pets", 1, True)
    assert (accepted.predicted.index, accepted.predicted.label) == (2, "owl")
    assert accepted.predicted.score == pytest.approx(0.8668, abs=1e-4)
    assert (second.accepted.predicted.label, second.accepted.is_correct) == ("cat", False)


async def test_outcomes_become_accuracy_recall_and_calibration(pets: Running) -> None:
    await predict(pets, "a", (*BEST_IS_OWL, *BEST_IS_OWL, *BEST_IS_CAT))
    results = await report(
        pets, outcome(row=0), outcome(row=1, label="cat"), outcome(row=2, label="cat")
    )
    confidence = results[0].accepted.predicted.score
    of_pets = {"model": "pets", "version": "1"}
    assert series(pets, "outcomes_total", **of_pets) == {("false",): 1, ("true",): 2}
    assert series(pets, "outcome_classes_total", **of_pets) == {
        ("00", "false", "cat"): 1,
        ("00", "true", "cat"): 1,
        ("01", "false", "dog"): 0,
        ("01", "true", "dog"): 0,
        ("02", "false", "owl"): 0,
        ("02", "true", "owl"): 1,
    }
    calibration = series(pets, "outcome_calibration_total", **of_pets)
    assert len(calibration) == 20
    assert {key: count for key, count in calibration.items() if count} == {
        ("08", "false"): 1,
        ("08", "true"): 2,
    }
    sums = series(pets, "outcome_calibration_confidence_sum_total", **of_pets)
    assert len(sums) == 10
    assert sums[("08",)] == pytest.approx(3 * confidence)


async def test_every_series_stands_at_zero_before_the_first_outcome(pets: Running) -> None:
    for family, count in (
        ("outcomes_total", 3 * 2),
        ("outcome_classes_total", 3 * 3 * 2),
        ("outcome_calibration_total", 3 * 10 * 2),
        ("outcome_calibration_confidence_sum_total", 3 * 10),
        ("outcomes_refused_total", 4 * len(OutcomeRefusal)),
    ):
        values = series(pets, family)
        assert len(values) == count, family
        assert not any(values.values()), family


@pytest.mark.parametrize(
    ("given", "code", "says", "counted"),
    [
        (
            outcome("b"),
            "NOT_FOUND",
            'request "b": no answer is remembered under this id',
            ("", "unknown", "0"),
        ),
        (
            outcome(row=1),
            "INVALID_ARGUMENT",
            'request "a": its answer has no row 1',
            ("pets", "row_out_of_range", "1"),
        ),
        (
            outcome(row=2**32 - 1),
            "INVALID_ARGUMENT",
            'request "a": its answer has no row 4294967295',
            ("pets", "row_out_of_range", "1"),
        ),
        (
            outcome(label="cow"),
            "INVALID_ARGUMENT",
            'model "pets" has no label "cow", expected one of cat, dog, owl',
            ("pets", "label_out_of_range", "1"),
        ),
        (
            outcome(class_index=3),
            "INVALID_ARGUMENT",
            'class_index is 3, expected 0 to 2 of model "pets"',
            ("pets", "label_out_of_range", "1"),
        ),
        (
            pb.Outcome(request_id="a"),
            "INVALID_ARGUMENT",
            "the outcome has no class, expected class_index or label",
            ("pets", "label_out_of_range", "1"),
        ),
    ],
)
async def test_an_outcome_that_does_not_fit_is_counted_and_answered_with_a_clear_error(
    pets: Running, given: pb.Outcome, code: str, says: str, counted: tuple[str, str, str]
) -> None:
    await predict(pets, "a", BEST_IS_OWL)
    assert await refusal(pets, given) == (code, says)
    refused = series(pets, "outcomes_refused_total")
    assert {key: count for key, count in refused.items() if count} == {counted: 1}
    assert not any(series(pets, "outcomes_total").values())
    await report(pets, outcome())  # what was refused used nothing up


async def test_a_row_is_reported_once(pets: Running) -> None:
    await predict(pets, "a", BEST_IS_OWL)
    await report(pets, outcome())
    says = 'request "a": row 0 has its outcome already'
    assert await refusal(pets, outcome(label="cat")) == ("ALREADY_EXISTS", says)
    assert series(pets, "outcomes_total", model="pets", version="1")[("true",)] == 1
    refused = series(pets, "outcomes_refused_total", model="pets", version="1")
    assert refused[("already_reported",)] == 1


async def test_an_answer_that_is_too_old_takes_no_outcome(tmp_path: Path) -> None:
    write_bundle(tmp_path / "pets" / "1", LOGITS)
    settings = OutcomeSettings(accept_request_ids=True, max_age_s=1e-9)
    async with running(tmp_path, Config(outcomes=settings)) as serving:
        await predict(serving, "a", BEST_IS_OWL)
        says = 'request "a": its answer is too old, outcomes are closed'
        assert await refusal(serving, outcome(class_index=2)) == ("NOT_FOUND", says)
        assert series(serving, "outcomes_refused_total")[("pets", "expired", "1")] == 1


async def test_what_was_answered_longest_ago_is_forgotten_first(pets: Running) -> None:
    for number in range(5):
        await predict(pets, str(number), BEST_IS_OWL)
    assert (await refusal(pets, outcome("0")))[0] == "NOT_FOUND"
    assert len(await report(pets, *(outcome(str(number)) for number in range(1, 5)))) == 4


async def test_an_id_under_which_answers_differ_stands_for_none_of_them(pets: Running) -> None:
    await predict(pets, "a", BEST_IS_OWL)
    await predict(pets, "a", BEST_IS_OWL)
    await report(pets, outcome())
    await predict(pets, "a", BEST_IS_CAT)
    says = 'request "a": different answers were given under this id'
    assert await refusal(pets, outcome()) == ("INVALID_ARGUMENT", says)
    refused = series(pets, "outcomes_refused_total", model="pets", version="1")
    assert refused[("ambiguous",)] == 1


async def test_among_several_a_refused_one_holds_its_error_and_disturbs_no_other(
    pets: Running,
) -> None:
    await predict(pets, "a", BEST_IS_OWL)
    results = await report(pets, outcome("b"), outcome(), outcome(), outcome(row=9))
    assert [each.WhichOneof("result") for each in results] == [
        "error",
        "accepted",
        "error",
        "error",
    ]
    codes = [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS]
    codes.append(grpc.StatusCode.INVALID_ARGUMENT)
    refused = [each.error for each in results if each.HasField("error")]
    assert [each.code for each in refused] == [code.value[0] for code in codes]
    assert all(each.message for each in refused)


@pytest.mark.parametrize("count", [0, MAX_OUTCOMES + 1])
async def test_none_and_too_many_outcomes_are_refused_as_a_whole(pets: Running, count: int) -> None:
    says = f"{count} outcomes, expected 1 to 1000"
    assert await refusal(pets, *[outcome()] * count) == ("INVALID_ARGUMENT", says)


async def test_without_labels_the_label_is_the_index_in_decimal(pets: Running) -> None:
    await predict(pets, "a", BEST_IS_OWL, "plain")
    (result,) = await report(pets, outcome(label="2"))
    assert (result.accepted.is_correct, result.accepted.predicted.label) == (True, "2")


async def test_a_label_of_two_classes_must_be_given_by_index(pets: Running) -> None:
    await predict(pets, "a", BEST_IS_CAT, "twins")
    says = 'the label "cat" stands for 2 classes of model "twins", expected class_index'
    assert await refusal(pets, outcome(label="cat")) == ("INVALID_ARGUMENT", says)
    (result,) = await report(pets, outcome(class_index=0))
    assert result.accepted.is_correct


async def test_a_model_without_scores_has_no_outcomes(pets: Running) -> None:
    await predict(pets, "a", BEST_IS_OWL, "raw")
    assert (await refusal(pets, outcome()))[0] == "NOT_FOUND"
    assert series(pets, "outcomes_total", model="raw") == {}


async def test_a_hostile_request_id_is_cut_in_the_error(pets: Running) -> None:
    code, says = await refusal(pets, outcome("x" * 1_000_000))
    assert code == "NOT_FOUND"
    assert len(says) < 200
