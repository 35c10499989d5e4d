"""What is measured of the reference pictures, of a fast model and of a slow one."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.views import FAMILIES, ROTATION
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import load_version
from batchproof_server.offline.diagnosing.asking import RowAsker, run_here
from batchproof_server.offline.diagnosing.measuring import Measurer
from batchproof_server.offline.diagnosing.opening import open_measurer
from support.bundles_on_disk import PICTURES, write_bundle

SAMPLES = 20


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    directory = write_bundle(tmp_path / "pets" / "1", PICTURES, shape=(8, 8, 3))
    (directory / "samples").mkdir()
    for number in range(SAMPLES):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(directory / "samples" / f"{number:02}.png")
    return load_version(Place("pets", 1, directory), loading_plugs(Config()))


def opened(model: LoadedModel, row_s: float, references: int | None = None) -> Measurer:
    """Of a model that takes so long for a row."""
    buckets = model.batching.buckets_rows
    slow = replace(model, execution_s=tuple(row_s * rows for rows in buckets))

    async def execute(rows: Array) -> Array:
        return rows[:, 0, 0] * 2 + 1

    asker = RowAsker(slow, 8, execute, run_here)
    return asyncio.run(open_measurer(asker, slow.bundle.artefact.parent, "none", references))


def curves(measurer: Measurer) -> dict[str, int]:
    """How many reference pictures have each family."""
    kept = [each.kept for each in measurer.reference.perturbed]
    return {
        name: sum(name in each for each in kept)
        for name in (*(family.name for family in FAMILIES), "blur")
    }


def test_of_a_fast_model_every_reference_picture_is_changed_in_every_way(
    model: LoadedModel,
) -> None:
    assert set(curves(opened(model, 0.0001)).values()) == {SAMPLES}


def test_of_a_slow_model_twelve_are_turned_and_four_of_them_changed_in_every_way(
    model: LoadedModel,
) -> None:
    measurer = opened(model, 0.5)
    number = curves(measurer)
    assert number.pop(ROTATION) == 12
    assert set(number.values()) == {4}
    assert measurer.measures is not None
    assert measurer.measures.count == 12


def test_as_many_are_changed_in_every_way_as_was_asked_for(model: LoadedModel) -> None:
    assert set(curves(opened(model, 0.5, references=15)).values()) == {15}
