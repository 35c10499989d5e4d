"""How much the blocks of a JPEG show."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from batchproof_server.base.signature import Array
from batchproof_server.drift.blocks import blockiness
from unit.imaging.pictures import scene

MIDDLES = st.tuples(st.integers(1, 30), st.integers(1, 30)).flatmap(
    lambda shape: arrays(np.uint8, shape)
)


def by_definition(levels: Array) -> float:
    on_lines: list[int] = []
    others: list[int] = []
    for turned in (levels.astype(int), levels.T.astype(int)):
        for place in range(turned.shape[1] - 1):
            steps = abs(turned[:, place + 1] - turned[:, place]).tolist()
            (on_lines if place % 8 == 7 else others).extend(steps)
    if not on_lines:
        return 1.0
    return float((np.mean(on_lines) + 0.1) / (np.mean(others) + 0.1))


@given(MIDDLES)
def test_blocks_are_measured_as_the_definition_says(levels: Array) -> None:
    assert blockiness([levels])[0] == pytest.approx(by_definition(levels))


def test_a_flat_picture_and_one_within_a_block_have_none() -> None:
    flat, small = np.full((64, 64), 77, np.uint8), scene(8, 8, 1)[:, :, 0]
    assert blockiness([flat, small]).tolist() == [[1], [1]]


def compressed(levels: Array, quality: int) -> Array:
    file = BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_the_more_a_picture_is_compressed_the_more_they_show() -> None:
    numbers = np.random.default_rng(3)
    smooth = [
        np.asarray(
            Image.fromarray(numbers.integers(0, 256, (9, 9)).astype(np.uint8)).resize((64, 64))
        )
        for _ in range(20)
    ]
    by_quality = [
        float(np.mean(blockiness([compressed(each, quality) for each in smooth])))
        for quality in (95, 50, 30, 10)
    ]
    assert by_quality == sorted(by_quality)
    assert by_quality[0] < 1.1
    assert by_quality[2] > 1.3


def test_a_picture_is_measured_alike_alone_and_among_others() -> None:
    middles = [scene(*size, 1, seed)[:, :, 0] for seed, size in enumerate([(64, 64), (9, 64)] * 20)]
    alone = [blockiness([each])[0].tolist() for each in middles]
    assert blockiness(middles).tolist() == alone
    assert blockiness([]).shape == (0, 1)
