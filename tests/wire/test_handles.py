"""Ground truth by handle: on any replica, after a restart, without memory, and once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from batchproof.compat import inference_pb2 as oip
from batchproof.handles import handle_from_text
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.outcomes.handle import SealingKey, seal_rows
from batchproof_server.outcomes.settings import OutcomeSettings
from support.bundles_on_disk import LOGITS, RAW, write_bundle
from support.compat_requests import content, infer, open_inference, predict, prediction
from support.running import Running, failure, request, running
from wire.test_outcomes import series

NEW, OLD = "ab" * 32, "cd" * 32
BEST_IS_OWL = (1, 2, 3, 4)
OWL, DOG = 2, 1
OK: tuple[str, str] = ("OK", "")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A repository with one model, and ``raw`` without scores."""
    many_rows = LOGITS.replace("max_queued_rows = 16", "max_queued_rows = 1000")
    write_bundle(tmp_path / "models" / "pets" / "1", many_rows)
    write_bundle(tmp_path / "models" / "raw" / "1", RAW)
    return tmp_path / "models"


def key_file(folder: Path, keys: tuple[str, ...]) -> Path:
    file = folder / f"keys-{keys[0][:2]}-{len(keys)}"
    file.write_text("\n".join(keys))
    return file


@asynccontextmanager
async def serving(models: Path, *keys: str, **settings: object) -> AsyncIterator[Running]:
    """A server with these keys; without any it draws one."""
    if keys:
        settings["key_file"] = str(key_file(models.parent, keys))
    config = Config(outcomes=OutcomeSettings(**settings))  # type: ignore[arg-type] # as given
    async with running(models, config) as started:
        yield started


async def handles(server: Running, rows: int = 1, request_id: str = "") -> list[bytes]:
    message = request((BEST_IS_OWL,) * rows, model="pets", request_id=request_id)
    return [row.handle for row in (await server.stub.Predict(message)).rows]


async def report(server: Running, handle: bytes, truth: int = OWL) -> tuple[str, str]:
    """The code and text that an outcome ends with."""
    return await ended(server, pb.Outcome(handle=handle, class_index=truth))


async def ended(server: Running, outcome: pb.Outcome) -> tuple[str, str]:
    call = server.stub.ReportOutcome(pb.ReportOutcomeRequest(outcomes=[outcome]))
    if await call.code() is grpc.StatusCode.OK:
        return OK
    error = await failure(call)
    return error.code().name, error.details() or ""


def counted(server: Running) -> dict[str, float]:
    by_correct = series(server, "outcomes_total", model="pets", version="1")
    return {key[0]: count for key, count in by_correct.items() if count}


def refused(server: Running) -> dict[tuple[str, ...], float]:
    return {key: count for key, count in series(server, "outcomes_refused_total").items() if count}


async def test_a_handle_says_what_was_answered_and_counts_once(pets: Path) -> None:
    async with serving(pets) as server:
        (first, second) = await handles(server, rows=2)
        message = pb.ReportOutcomeRequest(
            outcomes=[
                pb.Outcome(handle=first, class_index=OWL),
                pb.Outcome(handle=second, class_index=DOG),
                pb.Outcome(handle=first, class_index=DOG),
            ]
        )
        right, wrong, again = (await server.stub.ReportOutcome(message)).results
        assert right.accepted.is_correct
        assert right.accepted.predicted.index == OWL
        assert right.accepted.predicted.score == pytest.approx(0.8668, abs=1e-4)
        assert not wrong.accepted.is_correct
        assert again.error.code == grpc.StatusCode.ALREADY_EXISTS.value[0]
        says = "the row of this handle has its outcome already"
        assert await report(server, second) == ("ALREADY_EXISTS", says)
        assert counted(server) == {"true": 1, "false": 1}
        assert refused(server) == {("pets", "already_reported", "1"): 2}


async def test_a_replica_and_a_restarted_server_with_the_same_key_take_a_handle(
    pets: Path,
) -> None:
    async with serving(pets, NEW) as answering, serving(pets, NEW) as replica:
        (first, second) = await handles(answering, rows=2)
        assert await report(replica, first) == OK
        assert (counted(answering), counted(replica)) == ({}, {"true": 1})
    async with serving(pets, NEW) as restarted:
        assert await report(restarted, second) == OK
        assert counted(restarted) == {"true": 1}


async def test_each_replica_knows_only_what_it_counted_itself(pets: Path) -> None:
    """The limit that docs/outcomes.md states: replicas share a key and no memory."""
    async with serving(pets, NEW) as one, serving(pets, NEW) as other:
        (handle,) = await handles(one)
        assert [await report(one, handle), await report(other, handle)] == [OK, OK]
        assert (await report(one, handle))[0] == "ALREADY_EXISTS"
        assert (await report(other, handle))[0] == "ALREADY_EXISTS"


async def test_keys_are_rotated_without_losing_what_the_old_one_sealed(pets: Path) -> None:
    async with serving(pets, OLD) as before:
        (old,) = await handles(before)
        async with serving(pets, NEW, OLD) as rotated:
            (new,) = await handles(rotated)
            assert [await report(rotated, old), await report(rotated, new)] == [OK, OK]
        async with serving(pets, NEW) as after:
            assert await report(after, new) == OK
            code, says = await report(after, old)
            assert (code, refused(after)) == ("NOT_FOUND", {("", "unknown_key", "0"): 1})
            assert "expected the same [outcomes] key_file at all replicas" in says


async def test_without_a_key_file_the_log_says_whose_key_it_is_and_a_restart_loses_it(
    pets: Path,
) -> None:
    event = "handles of answers are sealed under a random key of this process"
    async with serving(pets) as before:
        (handle,) = await handles(before)
        assert [each["event"] for each in before.log.events].count(event) == 1
    async with serving(pets) as after:
        assert (await report(after, handle))[0] == "NOT_FOUND"
    async with serving(pets, NEW) as keyed:
        assert event not in [each["event"] for each in keyed.log.events]


async def test_what_is_no_handle_of_an_answer_is_refused_with_its_reason(pets: Path) -> None:
    key = SealingKey(bytes.fromhex(NEW))

    def sealed(model: str, version: int, predicted: int = OWL, at_ms: int = 2**60) -> bytes:
        return seal_rows(key, model, version, [(predicted, 0.5)], at_ms, bytes(12))[0]

    async with serving(pets, NEW) as server:
        (own,) = await handles(server)
        cases = [
            (b"\0", "INVALID_ARGUMENT", "cannot be read", ("", "malformed", "0")),
            (own[:-1] + bytes([own[-1] ^ 1]), "INVALID_ARGUMENT", "changed", ("", "forged", "0")),
            (sealed("dogs", 1), "NOT_FOUND", "does not serve", ("", "unknown_model", "0")),
            (sealed("pets", 2), "NOT_FOUND", "does not serve", ("", "unknown_model", "0")),
            (sealed("raw", 1), "NOT_FOUND", "does not serve", ("", "unknown_model", "0")),
            (sealed("pets", 1, 3), "NOT_FOUND", "does not serve", ("", "unknown_model", "0")),
            (sealed("pets", 1, at_ms=0), "NOT_FOUND", "too old", ("pets", "expired", "1")),
        ]
        expected: dict[tuple[str, ...], float] = {}
        for handle, code, says, reason in cases:
            came, text = await report(server, handle)
            assert (came, says in text) == (code, True), text
            expected[reason] = expected.get(reason, 0) + 1
            assert refused(server) == expected
        assert counted(server) == {}
        assert await report(server, own, truth=9) == (
            "INVALID_ARGUMENT",
            'class_index is 9, expected 0 to 2 of model "pets"',
        )
        assert await report(server, own) == OK  # what was refused used nothing up


async def test_beyond_its_memory_the_oldest_count_is_forgotten(pets: Path) -> None:
    async with serving(pets, max_counted_bytes=2 * 192) as server:
        first, second, third = await handles(server, rows=3)
        for handle in (first, second):
            assert await report(server, handle) == OK
        assert (await report(server, first))[0] == "ALREADY_EXISTS"
        assert await report(server, third) == OK
        assert (await report(server, second))[0] == "ALREADY_EXISTS"
        assert await report(server, first) == OK  # was forgotten, as the page says


async def test_a_request_id_alone_is_refused_with_the_way_out(pets: Path) -> None:
    async with serving(pets) as server:
        await handles(server, request_id="mine")
        code, says = await ended(server, pb.Outcome(request_id="mine", class_index=OWL))
        assert code == "INVALID_ARGUMENT"
        assert "accept_request_ids = true" in says
        assert refused(server) == {("", "no_handle", "0"): 1}


async def test_a_client_of_0_1_0_reports_by_request_id_where_the_server_accepts_it(
    pets: Path,
) -> None:
    async with serving(pets, accept_request_ids=True) as server:
        # What its messages hold: a field more in the answer is passed over.
        answer = await server.stub.Predict(request((BEST_IS_OWL,), model="pets", request_id="mine"))
        outcome = pb.Outcome.FromString(b"\n\x04mine\x18\x02")
        assert (outcome.request_id, outcome.class_index) == (answer.request_id, OWL)
        assert await ended(server, outcome) == OK
        assert (await ended(server, outcome))[0] == "ALREADY_EXISTS"
        assert counted(server) == {"true": 1}


@pytest.mark.parametrize("by_id_first", [True, False])
async def test_a_row_that_is_reported_by_handle_and_by_id_counts_once(
    pets: Path, *, by_id_first: bool
) -> None:
    async with serving(pets, accept_request_ids=True) as server:
        (_, handle) = await handles(server, rows=2, request_id="mine")
        both = [
            pb.Outcome(handle=handle, class_index=OWL),
            pb.Outcome(request_id="mine", row=1, class_index=OWL),
        ]
        first, second = reversed(both) if by_id_first else both
        assert await ended(server, first) == OK
        assert (await ended(server, second))[0] == "ALREADY_EXISTS"
        assert counted(server) == {"true": 1}


@pytest.mark.parametrize("beside", [{"request_id": "a"}, {"row": 1}])
async def test_a_handle_with_a_request_id_or_a_row_beside_it_is_refused(
    pets: Path, beside: dict[str, object]
) -> None:
    async with serving(pets, accept_request_ids=True) as server:
        (handle,) = await handles(server)
        outcome = pb.Outcome(handle=handle, class_index=OWL, **beside)  # type: ignore[arg-type] # either
        says = "the outcome has a handle, expected no request_id and no row beside it"
        assert await ended(server, outcome) == ("INVALID_ARGUMENT", says)


async def test_switched_off_there_are_no_handles_no_series_and_no_outcomes(pets: Path) -> None:
    async with serving(pets, NEW, enabled=False) as server:
        assert await handles(server) == [b""]
        code, says = await report(server, b"\1")
        assert (code, "[outcomes] enabled is false" in says) == ("UNIMPLEMENTED", True)
        assert series(server, "outcomes_total") == {}


async def test_a_model_without_scores_gives_no_handles(pets: Path) -> None:
    async with serving(pets) as server:
        answer = await server.stub.Predict(request((BEST_IS_OWL,), model="raw"))
        assert not answer.rows


async def test_a_large_request_has_a_handle_for_each_row_in_their_order(pets: Path) -> None:
    async with serving(pets) as server:
        rows = [(1, 2, 3, 4), (3, 2, 1, 4)] * 128
        answer = await server.stub.Predict(request(rows, model="pets"))
        outcomes = [
            pb.Outcome(handle=row.handle, class_index=row.classes[0].index) for row in answer.rows
        ]
        response = await server.stub.ReportOutcome(pb.ReportOutcomeRequest(outcomes=outcomes))
        assert [each.accepted.predicted.index for each in response.results] == [2, 0] * 128
        assert counted(server) == {"true": 256}


async def test_open_inference_gives_handles_as_a_parameter_and_as_an_output(pets: Path) -> None:
    async with serving(pets) as server:
        stub = open_inference(server.channel)
        answer = await stub.ModelInfer(infer([BEST_IS_OWL] * 2, "pets", outputs=("handle",)))
        given = answer.parameters["handles"].string_param.split(",")
        assert len(given) == 2
        assert [text.encode() for text in _texts(answer)] == [each.encode() for each in given]
        for text in given:
            assert await report(server, handle_from_text(text)) == OK


def _texts(answer: oip.ModelInferResponse) -> list[str]:
    content, texts = answer.raw_output_contents[0], []
    while content:
        size = int.from_bytes(content[:4], "little")
        texts.append(content[4 : 4 + size].decode())
        content = content[4 + size :]
    return texts


async def test_tensorflow_serving_gives_the_handles_of_few_rows_as_metadata(pets: Path) -> None:
    async with serving(pets) as server:
        call = prediction(server.channel).Predict(predict(content([BEST_IS_OWL] * 2), "pets"))
        await call
        trailing = dict(tuple(await call.trailing_metadata()))
        for text in trailing["x-handles"].split(","):
            assert await report(server, handle_from_text(text)) == OK


async def test_tensorflow_serving_gives_the_handles_of_many_rows_as_an_output(pets: Path) -> None:
    async with serving(pets) as server:
        many = predict(content([BEST_IS_OWL] * 200), "pets")
        many.output_filter.append("handle")
        call = prediction(server.channel).Predict(many)
        answer = await call
        assert "x-handles" not in dict(tuple(await call.trailing_metadata()))
        texts = answer.outputs["handle"].string_val
        assert len(set(texts)) == 200
        assert await report(server, handle_from_text(texts[199].decode())) == OK


async def test_a_key_file_with_a_fault_stops_the_start(pets: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"outcomes\.key_file: .* line 1 is no key"):
        async with serving(pets, "short"):
            pass
