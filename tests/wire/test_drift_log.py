"""``drift --log``: what a server answered over a port or captured says what pictures say."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchproof_client import AsyncClient
from batchproof_client.__main__ import main as client_main
from batchproof_server.__main__ import main
from batchproof_server.application.config import Config
from batchproof_server.observing.capture.settings import CaptureSettings
from support.bundles_on_disk import PICTURES, write_bundle
from support.fakes import until
from support.running import Running, running

Captured = pytest.CaptureFixture[str]
ANSWERS = ("class", "confidence", "entropy", "margin")


@pytest.fixture
def bundle(tmp_path: Path, capsys: Captured) -> Path:
    """Three scores of 2 x 2 pixels, with a profile of 300 random pictures."""
    directory = write_bundle(tmp_path / "shoes" / "1", PICTURES, shape=(2, 2, 3), scale=0.02)
    images = np.random.default_rng(1).integers(0, 256, (300, 2, 2, 3)).astype(np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=images[:, 0, 0].argmax(axis=1))
    assert main(["profile", str(directory), "--data", str(tmp_path / "data.npz")]) == 0
    capsys.readouterr()
    return directory


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """60 pictures that are darker than the reference."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    images = np.random.default_rng(2).integers(0, 90, (60, 2, 2, 3)).astype(np.uint8)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
async def serving(bundle: Path, tmp_path: Path) -> AsyncIterator[Running]:
    capture = CaptureSettings(
        directory=str(tmp_path / "captured"),
        random_share=1.0,
        low_confidence=0.0,
        far_deviations=0.0,
        max_per_minute=1_000,
    )
    async with running(bundle, Config(capture=capture)) as started:
        yield started


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def compared(bundle: Path, capsys: Captured, *given: str) -> tuple[int, dict[str, Any]]:
    code = main(["drift", str(bundle), *given, "--json"])
    return code, json.loads(capsys.readouterr().out)


def figures(found: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in found["comparison"]["signals"]}


async def test_what_predict_prints_is_compared_as_the_pictures_are(
    serving: Running, bundle: Path, inbox: Path, tmp_path: Path, capsys: Captured
) -> None:
    asked = ["predict", "--server", serving.address, "--json", "--probabilities"]
    assert await asyncio.to_thread(client_main, [*asked, str(inbox)]) == 0
    (tmp_path / "log.jsonl").write_text(capsys.readouterr().out)
    given = ["--log", str(tmp_path / "log.jsonl")]
    code, log = await asyncio.to_thread(compared, bundle, capsys, *given)
    _, pictures = await asyncio.to_thread(compared, bundle, capsys, "--data", str(inbox))
    assert (log["pictures"], log["pictures_there"], log["unit"]) == (60, 60, "answers")
    for name in ANSWERS:
        assert figures(log)[name] == figures(pictures)[name]
    assert figures(log)["brightness"]["verdict"] == "not seen"
    assert log["comparison"]["accuracy"]["withheld"] in {
        "no estimate: nothing is known of the inputs",
        "no estimate: the inputs are not like the reference",
    }
    assert code in {0, 1}


async def test_lines_of_the_python_client_are_taken_too(
    serving: Running, bundle: Path, inbox: Path, tmp_path: Path, capsys: Captured
) -> None:
    async with AsyncClient(serving.address) as client:
        result = await client.predict(files_in(inbox), return_probabilities=True)
    (tmp_path / "log.jsonl").write_text(result.to_json_lines())
    _, log = await asyncio.to_thread(compared, bundle, capsys, "--log", str(tmp_path / "log.jsonl"))
    assert log["pictures"] == 60
    assert log["notes"] == []


async def test_captured_rows_have_the_signals_of_the_pictures_too(
    serving: Running, bundle: Path, inbox: Path, tmp_path: Path, capsys: Captured
) -> None:
    async with AsyncClient(serving.address) as client:
        for picture in files_in(inbox):
            await client.predict(picture)
    records = tmp_path / "captured" / "shoes" / "1" / "records" / "random"
    await until(lambda: len(list(records.glob("*.json"))) == 60)
    _, log = await asyncio.to_thread(compared, bundle, capsys, "--log", str(records))
    _, pictures = await asyncio.to_thread(compared, bundle, capsys, "--data", str(inbox))
    assert figures(log) == figures(pictures)
    assert log["verdict"] == pictures["verdict"]
