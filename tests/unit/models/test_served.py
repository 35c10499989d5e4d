"""What a version that answers knows of its buckets."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from batchproof_server.models.served import self_checks
from batchproof_server.selfcheck.settings import SelfCheckSettings

CLASSES = ((1,), (2, 4, 8), (16, 32))


@pytest.mark.parametrize(
    ("served", "classes", "expected"),
    [
        ((2, 4, 8), CLASSES, {2: 2, 4: 2, 8: 2}),
        ((1, 2, 4, 8, 16, 32), CLASSES, {1: 1, 2: 2, 4: 2, 8: 2, 16: 16, 32: 16}),
        ((4, 8), CLASSES, {4: 4, 8: 4}),
        ((2, 4), None, {2: 2, 4: 4}),
    ],
)
def test_an_answer_is_tried_again_in_the_smallest_served_bucket_of_its_class(
    served: tuple[int, ...], classes: Any, expected: dict[int, int]
) -> None:
    measured = SimpleNamespace(classes=classes)
    certificate = None if classes is None else SimpleNamespace(measured=measured)
    batching = SimpleNamespace(buckets_rows=served)
    loaded = cast("Any", SimpleNamespace(batching=batching, certificate=certificate))
    checks = self_checks(loaded, SelfCheckSettings())
    assert {bucket: checks._checked_in(bucket) for bucket in served} == expected
