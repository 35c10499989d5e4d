"""Models that the audit cannot decide, and that misbehave only for pictures of a certain kind.

Each answers well for nearly every picture. Where a picture's level is in 100 to 110, it answers
with something of the row beside it, in a way that the audit cannot read. The rows that every model
gets do not show it; those that walk through the thresholds of its graph do.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import tensorflow as tf

from batchproof_server.backends.examining import examine, open_audited
from batchproof_server.backends.saved_model.kind import KIND
from batchproof_server.backends.tensorflow.engine import ENGINE
from batchproof_server.base.backend import EngineSettings
from batchproof_server.proof.certificate.certificate import Certificate
from batchproof_server.proof.examination import Candidate, Examined
from batchproof_server.proof.probing.rows import PROBE_ROWS
from support.proof_backends import Bench, candidate
from support.proof_fixtures import CHANNELS, PIXELS, Module, save_module
from support.proof_modules import Holder

BUCKETS: Final = (2, 8)
VALUES: Final = PIXELS * PIXELS * CHANNELS
Condition = Callable[[Any, Any], Any]
"""From one picture [6, 6, 4] and a holder of variables to a truth."""


def mean(picture: Any) -> Any:
    return tf.reduce_mean(picture)


def _by_branch(picture: Any, _: Any) -> Any:
    return tf.cond(mean(picture) > 100.0, lambda: mean(picture) < 110.0, lambda: False)


def _by_matrix(picture: Any, _: Any) -> Any:
    weights = tf.fill([VALUES, 1], 1.0 / VALUES)
    return tf.abs(tf.matmul(tf.reshape(picture, [1, VALUES]), weights)[0, 0] - 105.0) < 5.0


RARE: Final[Mapping[str, Condition]] = {
    "near a mean": lambda x, _: tf.abs(mean(x) - 105.0) < 5.0,
    "between two means": lambda x, _: tf.logical_and(mean(x) > 100.0, mean(x) <= 110.0),
    "after a scale": lambda x, _: tf.abs(mean(x / 255.0) - 105.0 / 255.0) < 5.0 / 255.0,
    "after a scale to both sides of 0": lambda x, _: (
        tf.abs(mean(x / 127.5 - 1.0) + 0.1765) < 5.0 / 127.5
    ),
    "after a mean and a deviation for each channel": lambda x, _: (
        tf.abs(mean((x - [104.0, 105.0, 106.0, 105.0]) / [50.0, 50.0, 50.0, 50.0])) < 0.1
    ),
    "by a whole number of tens": lambda x, _: tf.equal(tf.floor(mean(x) / 10.0), 10.0),
    "by a square": lambda x, _: tf.square(mean(x) - 105.0) < 25.0,
    "by a sum": lambda x, _: tf.abs(tf.reduce_sum(x) - 105.0 * VALUES) < 5.0 * VALUES,
    "by a bell": lambda x, _: tf.exp(-tf.square(mean(x) - 105.0)) > 1e-9,
    "by a curve that is bent": lambda x, _: tf.nn.relu(5.0 - tf.abs(mean(x) - 105.0)) > 0.001,
    "by a branch": _by_branch,
    "by a matrix": _by_matrix,
    "by a variable": lambda x, holder: tf.abs(mean(x) - holder.level) < 5.0,
    "by its brightest value": lambda x, _: tf.abs(tf.reduce_max(x) - 105.0) < 5.0,
    "by its darkest value": lambda x, _: tf.abs(tf.reduce_min(x) - 105.0) < 5.0,
    "by any value": lambda x, _: tf.reduce_any(tf.abs(x - 777.25) < 0.125),
    "by a table of levels": lambda x, _: tf.gather(
        tf.constant([level == 10 for level in range(64)]),
        tf.clip_by_value(tf.cast(mean(x) / 10.0, tf.int32), 0, 63),
    ),
}


def mixing(condition: Condition) -> Module:
    """Adds the next row where the condition holds for it, in a loop over the rows."""
    holder = Holder(level=tf.Variable(105.0))

    def answer(batch: Any) -> dict[str, Any]:
        rows = tf.shape(batch)[0]

        def one(place: Any) -> Any:
            neighbour = tf.gather(batch, (place + 1) % rows)
            rare = tf.cast(condition(neighbour, holder), tf.float32)
            return tf.gather(batch, place) + rare

        made = tf.TensorSpec((PIXELS, PIXELS, CHANNELS), tf.float32)
        return {"answer": tf.map_fn(one, tf.range(rows), fn_output_signature=made)}

    return Module(answer, holder)


def well_behaved(condition: Condition) -> Module:
    """Adds something where the condition holds for the row itself, in the same loop."""
    holder = Holder(level=tf.Variable(105.0))

    def answer(batch: Any) -> dict[str, Any]:
        def one(picture: Any) -> Any:
            return picture + tf.cast(condition(picture, holder), tf.float32)

        return {"answer": tf.map_fn(one, batch)}

    return Module(answer, holder)


def examined(module: Module, directory: Path) -> Examined:
    artefact = save_module(module, directory / "saved")
    settings = EngineSettings()
    return examine(open_audited(KIND, artefact, settings), ENGINE, BUCKETS, settings)


def prove(found: Examined) -> Certificate:
    return Bench().prove(_candidate(found))


def _candidate(found: Examined) -> Candidate:
    return candidate(found.backend, buckets_rows=BUCKETS, examined=found)


@pytest.mark.parametrize("name", RARE)
def test_the_walk_finds_what_the_rows_of_every_model_miss(name: str, tmp_path: Path) -> None:
    found = examined(mixing(RARE[name]), tmp_path)
    assert {finding.rule_id for finding in found.findings} == {"BP305"}
    as_if_read = prove(replace(found, findings=()))
    assert as_if_read.verdict == "proven", "these rows do not miss it: the case shows nothing"
    few = {**as_if_read.subject.probe_rows, "rounding": 0}
    assert sum(few.values()) == PROBE_ROWS
    certificate = prove(found)
    assert certificate.verdict == "unproven"
    assert {finding.rule_id for finding in certificate.findings} >= {"BP305", "BP501"}


@pytest.mark.parametrize("name", RARE)
def test_a_good_model_that_the_audit_cannot_decide_is_probed_and_not_refused(
    name: str, tmp_path: Path
) -> None:
    certificate = prove(examined(well_behaved(RARE[name]), tmp_path))
    assert certificate.verdict == "probed"
    assert certificate.failures == ()
    assert certificate.undecided


def test_the_same_proof_of_an_undecided_model_has_the_same_digest(tmp_path: Path) -> None:
    found = examined(well_behaved(RARE["near a mean"]), tmp_path)
    assert prove(found).digest == prove(found).digest
