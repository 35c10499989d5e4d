"""What is said of Keras when it answers otherwise."""

from dataclasses import replace

import pytest

from batchproof_server.offline.evaluation.reasons import likely_reason
from batchproof_server.proof.certificate.certificate import RepairRecord
from support.proof_backends import Bench, Good, Mixing, candidate
from unit.offline.evaluation.results import SAME, different

FAR = different(bits_pictures=4, top1_pictures=2, greatest=0.5)
NEAR = different(bits_pictures=4, greatest=1e-7)


def test_no_difference_needs_no_reason() -> None:
    assert likely_reason(SAME, Bench().prove(candidate(Good()))) == ""


def test_a_small_difference_is_rounding_whatever_was_repaired() -> None:
    proven = Bench().prove(candidate(Good()))
    repaired = replace(proven, repairs=(RepairRecord("BP101", "norm", "frozen"),))
    assert likely_reason(NEAR, repaired).startswith("rounding")


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("openvino 2026.4.1", "with openvino 2026.4.1, which adds up in another order"),
        ("tensorflow 2.21.0, keras 3.15.1", "TensorFlow has other kernels"),
    ],
)
def test_rounding_is_laid_to_the_engine_that_executes(engine: str, said: str) -> None:
    proven = Bench().prove(candidate(Good()))
    environment = replace(proven.subject.environment, engine=engine)
    certificate = replace(proven, subject=replace(proven.subject, environment=environment))
    assert said in likely_reason(NEAR, certificate)


def test_a_great_difference_is_laid_to_the_repairs_and_to_what_failed() -> None:
    proven = Bench().prove(candidate(Good()))
    repairs = tuple(RepairRecord("BP104", f"norm_{n}", "training is off") for n in range(5))
    said = likely_reason(FAR, replace(proven, repairs=repairs))
    assert "BP104 norm_0: training is off" in said
    assert said.endswith("; and 2 more")
    assert "BP501 bucket 2" in likely_reason(FAR, Bench().prove(candidate(Mixing())))


def test_without_a_finding_the_reason_is_unknown() -> None:
    assert likely_reason(FAR, Bench().prove(candidate(Good()))).startswith("unknown")
    assert likely_reason(FAR, None).startswith("unknown")
