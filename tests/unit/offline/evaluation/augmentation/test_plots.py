"""The chart: written, readable, and the same twice."""

from pathlib import Path

import pytest
from PIL import Image

from batchproof_server.offline.evaluation.augmentation.plots import CHART_NAME, draw
from unit.offline.evaluation.augmentation.courses import evaluation


@pytest.mark.parametrize(
    ("corrected", "corrupted", "policies"), [(12, 2, 1), (0, 0, 1), (0, 500, 1), (30, 5, 20)]
)
def test_a_chart_is_drawn_for_gains_losses_nothing_and_many_trials(
    corrected: int, corrupted: int, policies: int, tmp_path: Path
) -> None:
    result = evaluation(corrected, corrupted, policies=policies)
    file = draw(result, tmp_path)
    assert file == tmp_path / CHART_NAME
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
        assert len(set(picture.convert("L").resize((50, 50)).tobytes())) > 10


def test_the_same_evaluation_is_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        contents.append(draw(evaluation(), tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
