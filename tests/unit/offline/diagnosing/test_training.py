from pathlib import Path

import pytest

from batchproof_server.diagnosis.training_curve import TRAINING_NAME
from batchproof_server.offline.datasets.pictures import InvalidData
from batchproof_server.offline.diagnosing.training import read_training_curve

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"


def test_the_figures_that_the_examples_bring_in_a_form_of_their_own_are_no_training_curve() -> None:
    bundles = [file.parent for file in EXAMPLES.rglob("batchproof.toml")]

    assert len(bundles) >= 2
    assert not [bundle for bundle in bundles if (bundle / TRAINING_NAME).exists()]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(b"{", "no JSON", id="no JSON"),
        pytest.param(b"\xff\xfe", "expected UTF-8 text", id="no text"),
        pytest.param(b'{"format": 1}', "monitor: missing", id="half of it"),
    ],
)
def test_a_curve_that_cannot_be_read_is_named_with_its_file(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    file = tmp_path / TRAINING_NAME
    file.write_bytes(content)

    with pytest.raises(InvalidData, match=f"{TRAINING_NAME}: .*{fault}"):
        read_training_curve(file)


def test_a_curve_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="cannot be read"):
        read_training_curve(tmp_path / TRAINING_NAME)
