"""Where the model looks: every part of its view is covered, and nothing else changes."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.diagnosis.charts import occlusion_svg
from batchproof_server.diagnosis.occlusion import PLACES, OcclusionMap, covered_rows

sides = st.integers(1, 40)


@given(sides, sides, st.integers(1, 3))
def test_every_pixel_is_covered_by_some_and_left_by_others_where_there_is_room(
    height: int, width: int, channels: int
) -> None:
    row = np.random.default_rng(1).uniform(-1, 1, (height, width, channels)).astype(np.float32)
    rows = covered_rows(row)
    assert rows.shape == (PLACES * PLACES, height, width, channels)
    assert rows.dtype == row.dtype
    covered = (rows == row.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)).all(axis=-1)
    assert covered.any(axis=0).all()
    assert ((rows == row).all(axis=-1) | covered).all()
    if min(height, width) > 1:
        assert not covered.all(axis=0).any()


def test_the_row_itself_is_left_alone() -> None:
    row = np.arange(64, dtype=np.float32).reshape(8, 8, 1)
    before = row.copy()
    covered_rows(row)
    assert np.array_equal(row, before)


def test_most_is_lost_where_the_least_is_left() -> None:
    left = np.full((PLACES, PLACES), 0.9)
    left[5, 2] = 0.1
    assert OcclusionMap(b"", left, left > 0.5).most == (5, 2)


def test_what_matters_is_bright_inside_a_line_that_reads_on_light_and_on_dark() -> None:
    left = np.full((PLACES, PLACES), 0.9)
    left[5, 2], left[5, 3] = 0.1, 0.4
    drawn = occlusion_svg(OcclusionMap(b"", left, left > 0.3), 0.9)
    veils = [
        float(each) for each in re.findall(r'class="veil"[^>]*fill-opacity="([0-9.]+)"', drawn)
    ]
    assert len(veils) == PLACES * PLACES - 1  # the place that matters most has none
    assert min(veils) < 0.5
    assert max(veils) == 0.75
    for name in ("under", "over"):
        (outline,) = re.findall(rf'path class="{name}" d="([^"]+)"', drawn)
        assert len(re.findall("[hv]", outline)) == 6  # round two places side by side
        assert drawn.count(f'circle class="{name}"') == 1


def test_a_map_without_a_place_that_matters_is_the_picture_alone() -> None:
    left = np.full((PLACES, PLACES), 0.9)
    left[5, 2] = 0.89
    drawn = occlusion_svg(OcclusionMap(b"", left, left > 0.5), 0.9)
    assert "veil" not in drawn
    assert "path" not in drawn
