"""The laws of the memory of recent answers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.outcomes.answered import AnsweredRow, OutcomeRefusal
from batchproof_server.outcomes.recent import PredictedRows, RecentAnswers
from batchproof_server.outcomes.settings import OutcomeSettings

MAX_AGE_S = 10
NONCE = bytes(12)


def answer(rows: int = 1, first: int = 0, model: str = "m") -> PredictedRows:
    predicted = np.arange(first, first + rows, dtype=np.uint32)
    confidences = np.full(rows, 0.5, np.float32)
    return PredictedRows(model, 1, predicted.tobytes(), confidences.tobytes())


@dataclass(frozen=True)
class Remember:
    """An answer is given."""

    request_id: str
    rows: int
    first: int


@dataclass(frozen=True)
class Report:
    """An outcome comes."""

    request_id: str
    row: int


@dataclass(frozen=True)
class Wait:
    """Time passes."""

    duration_s: int


ids = st.sampled_from("abcdefgh")
steps = st.lists(
    st.builds(Remember, ids, st.integers(1, 5), st.integers(0, 1))
    | st.builds(Report, ids, st.integers(-1, 5))
    | st.builds(Wait, st.integers(1, 6)),
    max_size=60,
)
bounds = st.builds(
    OutcomeSettings,
    max_remembered_rows=st.integers(0, 12),
    max_remembered_bytes=st.integers(0, 5_000),
    max_age_s=st.just(float(MAX_AGE_S)),
)


class Life:
    """Runs steps and remembers what was counted."""

    def __init__(self, settings: OutcomeSettings) -> None:
        self.memory = RecentAnswers(settings)
        self.now_s = 0
        self.counted: list[tuple[str, int, AnsweredRow]] = []

    def do(self, step: Remember | Report | Wait) -> AnsweredRow | OutcomeRefusal | None:
        """Does one step; what a report came to."""
        match step:
            case Wait(duration_s):
                self.now_s += duration_s
            case Remember(request_id, rows, first):
                self.memory.remember(request_id, answer(rows, first), self.now_s, NONCE)
            case Report(request_id, row):
                found = self.memory.find(request_id, row, self.now_s)
                if isinstance(found, AnsweredRow):
                    self.memory.mark_reported(request_id, row)
                    self.counted.append((request_id, row, found))
                return found
        return None


@given(bounds, steps)
def test_rows_and_bytes_never_exceed_their_bounds(
    settings: OutcomeSettings, todo: list[Remember | Report | Wait]
) -> None:
    life = Life(settings)
    for step in todo:
        life.do(step)
        assert 0 <= life.memory.rows <= settings.max_remembered_rows
        assert 0 <= life.memory.remembered_bytes <= settings.max_remembered_bytes


@given(bounds, steps)
def test_a_row_counts_at_most_once_for_each_answer_that_was_given(
    settings: OutcomeSettings, todo: list[Remember | Report | Wait]
) -> None:
    life = Life(settings)
    for step in todo:
        life.do(step)
    given_ids = [step.request_id for step in todo if isinstance(step, Remember)]
    counted = [(request_id, row) for request_id, row, _ in life.counted]
    assert all(counted.count(each) <= given_ids.count(each[0]) for each in counted)


@given(bounds, steps)
def test_what_counts_is_the_row_that_was_answered_last_under_that_id(
    settings: OutcomeSettings, todo: list[Remember | Report | Wait]
) -> None:
    life = Life(settings)
    last: dict[str, tuple[Remember, int]] = {}
    for step in todo:
        came = life.do(step)
        if isinstance(step, Remember):
            last[step.request_id] = (step, life.now_s)
        if isinstance(step, Report) and isinstance(came, AnsweredRow):
            answered, answered_s = last[step.request_id]
            assert came.predicted == answered.first + step.row
            assert 0 <= step.row < answered.rows
            assert life.now_s - answered_s <= MAX_AGE_S


@given(st.integers(1, 20), st.lists(st.integers(1, 4), max_size=40))
def test_the_oldest_answers_are_forgotten_and_no_more_than_needed(
    max_rows: int, sizes: list[int]
) -> None:
    memory = RecentAnswers(OutcomeSettings(max_remembered_rows=max_rows))
    for number, rows in enumerate(sizes):
        memory.remember(str(number), answer(rows), number, NONCE)

    kept: list[int] = []
    for number, rows in reversed(list(enumerate(sizes))):
        if rows > max_rows:
            continue  # was never kept, and pushed nothing out
        if sum(sizes[each] for each in kept) + rows > max_rows:
            break
        kept.append(number)
    known = [
        number
        for number in range(len(sizes))
        if memory.find(str(number), 0, len(sizes)) is not OutcomeRefusal.UNKNOWN
    ]
    assert known == sorted(kept)


def remembering(*answers: PredictedRows, at_s: Callable[[int], float] = float) -> RecentAnswers:
    memory = RecentAnswers(OutcomeSettings(max_age_s=MAX_AGE_S))
    for number, each in enumerate(answers):
        memory.remember("x", each, at_s(number), NONCE)
    return memory


def test_an_answer_that_was_given_again_is_the_same_answer_and_keeps_its_outcomes() -> None:
    memory = remembering(answer(2))
    assert isinstance(memory.find("x", 0, 1), AnsweredRow)
    memory.mark_reported("x", 0)
    memory.remember("x", answer(2), 2, NONCE)
    assert memory.find("x", 0, 2) is OutcomeRefusal.ALREADY_REPORTED
    assert isinstance(memory.find("x", 1, 2), AnsweredRow)
    assert memory.rows == 2


def test_an_id_of_answers_that_differ_stands_for_none_of_them() -> None:
    assert remembering(answer(), answer(first=1)).find("x", 0, 2) is OutcomeRefusal.AMBIGUOUS
    assert remembering(answer(), answer(model="n")).find("x", 0, 2) is OutcomeRefusal.AMBIGUOUS
    thrice = remembering(answer(), answer(first=1), answer(first=1))
    assert thrice.find("x", 0, 3) is OutcomeRefusal.AMBIGUOUS


def test_an_id_may_be_used_again_once_its_answer_is_too_old() -> None:
    memory = remembering(answer(), answer(first=1), at_s=lambda number: number * 10.5)
    found = memory.find("x", 0, 11)
    assert isinstance(found, AnsweredRow)
    assert found.predicted == 1


def test_an_outcome_is_accepted_up_to_the_age_and_is_told_too_late_after_it() -> None:
    memory = remembering(answer())
    assert isinstance(memory.find("x", 0, MAX_AGE_S), AnsweredRow)
    assert memory.find("x", 0, MAX_AGE_S + 0.001) is OutcomeRefusal.EXPIRED
    assert memory.answerer("x") == ("m", 1)
    assert memory.answerer("y") == ("", 0)
