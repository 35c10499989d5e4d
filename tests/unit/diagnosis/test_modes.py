"""What other engines answer, and when that is held against the one that answered."""

import numpy as np
import pytest

from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import EngineAnswer
from batchproof_server.diagnosis.checks.modes import ModeCheck
from batchproof_server.diagnosis.findings import CheckResult, Level
from support.diagnosed import case


def looked(answers: ClassAnswers | None, reason: str = "") -> CheckResult:
    (found,) = [
        each
        for each in ModeCheck().look(case(engines=(EngineAnswer("other 1.0", answers, reason),)))
        if "other 1.0" in each.evidence
    ]
    return found


def answering(probability: float) -> ClassAnswers:
    row = np.array([[probability, 1 - probability]])
    decided = row.argmax(axis=1)
    return ClassAnswers(row, np.log(row), has_logits=False, decided=decided)


@pytest.mark.parametrize(
    ("probability", "level"),
    [(0.9, Level.FINE), (0.9005, Level.FINE), (0.89, Level.LIKELY), (0.1, Level.LIKELY)],
)
def test_another_engine_may_round_otherwise_and_answer_nothing_else(
    probability: float, level: Level
) -> None:
    found = looked(answering(probability))

    assert found.level is level
    assert found.cause == "path:engine"
    assert bool(found.advice) == (level is Level.LIKELY)


def test_an_engine_without_an_answer_says_why_and_accuses_nobody() -> None:
    found = looked(None, "it does not execute the model: BP503")

    assert found.level is Level.FINE
    assert found.evidence == "other 1.0: no answer, it does not execute the model: BP503."
