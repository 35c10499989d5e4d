"""The self-check's decisions under any traffic: neighbours, share, memory, patience."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.signature import Array
from batchproof_server.selfcheck.choosing import MAX_WAITING, PATIENCE_S, QUIET_S, SelfChecks
from batchproof_server.selfcheck.judging import Answered, Check
from batchproof_server.selfcheck.settings import SelfCheckSettings

CLASSES = ((1,), (2, 4), (8, 16))
LARGEST = 16


@dataclass(frozen=True, slots=True)
class Step:
    """A micro-batch of tasks of these sizes; then some time; then perhaps an idle device."""

    rows_of_tasks: tuple[int, ...]
    duration_s: float
    is_idle: bool


steps = st.lists(
    st.builds(
        Step,
        st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
        st.sampled_from((0.0, QUIET_S, PATIENCE_S)),
        st.booleans(),
    ),
    max_size=40,
)
settings = st.builds(
    SelfCheckSettings,
    share=st.sampled_from((0.001, 0.1, 0.5, 1.0)),
    remembered_rows=st.integers(1, 5),
    max_remembered_bytes=st.sampled_from((1, 64, 200, 10_000)),
)


@dataclass(slots=True)
class Traffic:
    """Micro-batches of rows ``[request, row]`` whose answers are twice that."""

    checks: SelfChecks
    now_s: float = 0.0
    batches: list[Array] = field(default_factory=list)
    batch_of_request: list[int] = field(default_factory=list)
    taken: list[Check] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def play(self, steps: Sequence[Step]) -> "Traffic":
        """Plays all steps."""
        for step in steps:
            self._answer(step.rows_of_tasks)
            self.now_s += step.duration_s
            if step.is_idle:
                self._idle(self.now_s - step.duration_s)
        return self

    def _answer(self, rows_of_tasks: Sequence[int]) -> None:
        tasks: list[Answered] = []
        position = 0
        for rows in rows_of_tasks:
            request = len(self.batch_of_request)
            self.batch_of_request.append(len(self.batches))
            inputs = np.column_stack([np.full(rows, float(request)), np.arange(float(rows))])
            answer = {"y": 2 * inputs}
            tasks.append(Answered(str(request), None, {"x": inputs}, answer, rows, position))
            position += rows
        self.batches.append(np.concatenate([task.inputs["x"] for task in tasks]))
        bucket_rows = next(rows for rows in (1, 2, 4, 8, 16) if rows >= position)
        self.skipped += [
            skip.request_id for skip in self.checks.learn(tasks, bucket_rows, self.now_s)
        ]
        for task in tasks:  # their callers may do with the memory what they like
            for array in (task.inputs["x"], task.outputs["y"]):
                array.fill(-1)

    def _idle(self, idle_since_s: float) -> None:
        due_at_s = self.checks.due_at(idle_since_s)
        check = self.checks.take(self.now_s, idle_since_s)
        assert (check is not None) is (due_at_s is not None and due_at_s <= self.now_s)
        if check is not None:
            self.taken.append(check)


def rows_of(check: Check) -> Array:
    return np.concatenate([part["x"] for part in check.parts])


@given(steps, settings)
def test_a_check_holds_the_row_in_a_full_bucket_amid_rows_of_other_micro_batches(
    steps: list[Step], settings: SelfCheckSettings
) -> None:
    traffic = Traffic(SelfChecks(settings, CLASSES)).play(steps)
    for check in traffic.taken:
        rows = rows_of(check)
        own = rows[check.position]
        own_batch = traffic.batch_of_request[int(own[0])]
        assert check.request_id == str(int(own[0]))
        assert check.expected["y"].tolist() == [(2 * own).tolist()]
        assert len(rows) == check.bucket_rows
        others = np.delete(rows, check.position, axis=0)
        batches = {traffic.batch_of_request[int(request)] for request in others[:, 0]}
        assert own_batch not in batches
        was_there = traffic.batches[own_batch][check.position : check.position + 1]
        assert check.bucket_rows == 1 or own.tolist() not in was_there.tolist()


@given(steps, settings)
def test_the_bucket_is_the_smallest_with_company_in_the_class_of_the_answer(
    steps: list[Step], settings: SelfCheckSettings
) -> None:
    traffic = Traffic(SelfChecks(settings, CLASSES)).play(steps)
    for check in traffic.taken:
        assert check.bucket_rows == {1: 1, 2: 2, 4: 2, 8: 8, 16: 8}[check.answered_bucket_rows]


@given(steps, settings)
def test_every_selected_request_is_taken_skipped_or_dropped_exactly_once(
    steps: list[Step], settings: SelfCheckSettings
) -> None:
    traffic = Traffic(SelfChecks(settings, CLASSES)).play(steps)
    waiting = [skip.request_id for skip in traffic.checks.drop()]
    fates = [*(check.request_id for check in traffic.taken), *traffic.skipped, *waiting]
    assert len(fates) == len(set(fates))
    assert len(waiting) <= MAX_WAITING
    assert abs(len(fates) - settings.share * len(traffic.batch_of_request)) <= 1 + 1e-6
    assert traffic.checks.due_at(0) is None


@given(steps, settings)
def test_what_is_kept_stays_within_both_bounds(
    steps: list[Step], settings: SelfCheckSettings
) -> None:
    checks = Traffic(SelfChecks(settings, CLASSES)).play(steps).checks
    remembered_bytes = sum(row.inputs["x"].nbytes for row in checks._remembered)
    under_test = sum(
        each.row.inputs["x"].nbytes + each.expected["y"].nbytes for each in checks.waiting
    )
    assert len(checks._remembered) <= settings.remembered_rows
    assert remembered_bytes <= settings.max_remembered_bytes // 2
    assert under_test <= settings.max_remembered_bytes // 2


@given(steps)
def test_a_share_of_0_keeps_and_checks_nothing(steps: list[Step]) -> None:
    traffic = Traffic(SelfChecks.none()).play(steps)
    assert (traffic.taken, traffic.skipped) == ([], [])
    assert not traffic.checks._remembered


@given(steps, settings)
def test_the_same_traffic_is_checked_in_the_same_way(
    steps: list[Step], settings: SelfCheckSettings
) -> None:
    one, other = (Traffic(SelfChecks(settings, CLASSES)).play(steps) for _ in range(2))
    assert [rows_of(check).tolist() for check in one.taken] == [
        rows_of(check).tolist() for check in other.taken
    ]
