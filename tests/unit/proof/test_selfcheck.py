"""The self-check's decisions one by one."""

from collections.abc import Hashable

import numpy as np
import pytest

from batchproof_server.selfcheck.choosing import MAX_WAITING, PATIENCE_S, QUIET_S, SelfChecks
from batchproof_server.selfcheck.judging import Answered, Check
from batchproof_server.selfcheck.settings import SelfCheckSettings

ALL = SelfCheckSettings(share=1.0)
CLASSES = ((2, 4),)


def task(value: float, *, kind: Hashable = None, width: int = 1, position: int = 0) -> Answered:
    inputs = np.full((1, width), value)
    return Answered(f"r{value:g}", kind, {"x": inputs}, {"y": 2 * inputs}, 1, position)


def told(checks: SelfChecks, *values: float, now_s: float = 0.0) -> list[str]:
    """Each value is a micro-batch of its own; why some will not be checked."""
    return [skip.reason for value in values for skip in checks.learn([task(value)], 2, now_s)]


def taken(checks: SelfChecks, now_s: float = 100.0) -> Check:
    check = checks.take(now_s, 0.0)
    assert check is not None
    return check


def neighbours(check: Check) -> list[float]:
    values = [part["x"][0, 0].item() for part in check.parts]
    return values[: check.position] + values[check.position + 1 :]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), 1e-300, float("inf")])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share is"):
        SelfCheckSettings(share=share)


@pytest.mark.parametrize("name", ["remembered_rows", "max_remembered_bytes"])
def test_bounds_below_1_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0, expected 1 or more"):
        SelfCheckSettings(**{name: 0})


def test_the_first_answer_waits_for_the_company_of_another_micro_batch() -> None:
    checks = SelfChecks(ALL, CLASSES)
    assert checks.learn([task(1), task(2, position=1)], 2, 0.0) == ()
    assert checks.due_at(0.0) is None
    assert checks.take(100.0, 0.0) is None
    told(checks, 3)
    check = taken(checks)
    assert (check.request_id, neighbours(check)) == ("r1", [3])


def test_a_row_that_came_first_is_tried_in_another_place() -> None:
    checks = SelfChecks(ALL, CLASSES)
    told(checks, 1, 2)
    assert taken(checks).position == 1
    assert taken(checks).position == 1


def test_company_with_other_content_is_preferred_and_the_same_content_is_better_than_none() -> None:
    checks = SelfChecks(ALL, CLASSES)
    told(checks, 1, 1)
    assert neighbours(taken(checks)) == [1]
    told(checks, 2)
    assert neighbours(taken(checks)) == [2]


def test_few_rows_fill_a_large_bucket_by_turns() -> None:
    checks = SelfChecks(ALL, ((8,),))
    for value in (1, 2, 3):
        checks.learn([task(value)], 8, 0.0)
    check = taken(checks)
    assert len(check.parts) == 8
    assert sorted(neighbours(check)) in ([2, 2, 2, 2, 3, 3, 3], [2, 2, 2, 3, 3, 3, 3])


def test_rows_of_another_kind_are_no_company() -> None:
    checks = SelfChecks(ALL, CLASSES)
    checks.learn([task(1, kind="wide", width=2)], 2, 0.0)
    told(checks, 2)
    assert checks.due_at(0.0) is None
    told(checks, 3)
    assert neighbours(taken(checks)) == [3]


def test_a_bucket_of_one_row_is_tried_again_alone() -> None:
    checks = SelfChecks(ALL, ((1,),))
    checks.learn([task(1)], 1, 0.0)
    check = taken(checks)
    assert (check.bucket_rows, check.position, len(check.parts)) == (1, 0, 1)


def test_without_a_certificate_a_bucket_is_compared_with_itself() -> None:
    checks = SelfChecks(ALL)
    for value in (1, 2):
        checks.learn([task(value)], 4, 0.0)
    check = taken(checks)
    assert (check.bucket_rows, check.answered_bucket_rows, len(check.parts)) == (4, 4, 4)


def test_a_check_begins_when_the_device_was_quiet_or_patience_is_over() -> None:
    checks = SelfChecks(ALL, CLASSES)
    told(checks, 1, 2, 3, now_s=10.0)
    assert checks.due_at(10.0) == 10.0 + QUIET_S
    assert checks.due_at(10.999) == 10.0 + PATIENCE_S
    assert checks.take(10.0, 10.0) is None
    assert taken(checks, 10.5).request_id == "r1"
    assert checks.due_at(12.0) == 10.5 + PATIENCE_S
    assert checks.due_at(10.6) == 10.6 + QUIET_S


def test_what_finds_no_room_is_skipped_as_busy() -> None:
    checks = SelfChecks(ALL, CLASSES)
    reasons = told(checks, *range(MAX_WAITING + 2))
    assert reasons == ["busy", "busy"]


def test_a_check_that_finds_no_company_makes_room_when_others_need_it() -> None:
    checks = SelfChecks(ALL, CLASSES)
    checks.learn([task(-1, kind="odd", width=2)], 2, 0.0)
    reasons = told(checks, *range(MAX_WAITING))
    assert reasons == ["no company"]
    assert [taken(checks).request_id for _ in range(MAX_WAITING)] == ["r0", "r1", "r2", "r3"]


def test_rows_beyond_the_bound_in_bytes_are_neither_checked_nor_kept() -> None:
    checks = SelfChecks(SelfCheckSettings(1.0, max_remembered_bytes=100), CLASSES)
    reasons = [
        skip.reason for value in (1, 2) for skip in checks.learn([task(value, width=10)], 2, 0.0)
    ]
    assert reasons == ["too large", "too large"]
    assert not checks._remembered


def test_a_full_memory_is_renewed_by_few_micro_batches_only() -> None:
    settings = SelfCheckSettings(0.001, remembered_rows=10, max_remembered_bytes=64)
    checks = SelfChecks(settings, CLASSES)
    told(checks, *range(1_000))
    renewals = {row.batch for row in checks._remembered}
    assert len(renewals) == 4
    assert checks._is_full
    before = checks._remembered[-1]
    told(checks, *range(3))
    assert checks._remembered[-1] is before


def test_what_is_dropped_is_named_and_forgotten() -> None:
    checks = SelfChecks(ALL, CLASSES)
    told(checks, 1, 2)
    assert [(skip.request_id, skip.reason) for skip in checks.drop()] == [
        ("r1", "draining"),
        ("r2", "draining"),
    ]
    assert checks.due_at(0.0) is None
    assert checks.drop() == ()
