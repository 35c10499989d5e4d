"""A server keeps the rows that it is asked to keep, and does not start where it could not."""

import json
import sys
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.observing.capture.settings import CaptureSettings
from support.bundles_on_disk import LOGITS, PICTURES, RAW, picture, write_bundle
from support.running import request, running


async def test_pictures_and_tensors_are_kept_with_the_answers_that_their_callers_got(
    tmp_path: Path,
) -> None:
    models, folder = tmp_path / "models", tmp_path / "captured"
    write_bundle(models / "logits" / "1", LOGITS)
    write_bundle(models / "pictures" / "1", PICTURES, shape=(2, 2, 3))
    write_bundle(models / "raw" / "1", RAW)
    capture = CaptureSettings(directory=str(folder), random_share=1.0, low_confidence=0.0)
    async with running(models, Config(capture=capture)) as serving:
        asked = pb.PredictRequest(
            request_id="mine",
            model=pb.ModelSelector(name="pictures"),
            images=pb.EncodedImages(contents=[picture()]),
        )
        answer = await serving.stub.Predict(asked)
        await serving.stub.Predict(request(model="logits"))
        await serving.stub.Predict(request(model="raw"))
        await serving.log.ended(3)

    (said,) = [json.loads(file.read_text()) for file in folder.glob("pictures/1/records/*/*.json")]
    assert said["request_id"] == "mine"
    best = answer.rows[0].classes[0]
    assert (said["answer"]["class"], said["answer"]["label"]) == (best.index, best.label)
    assert said["answer"]["best"][0]["score"] == pytest.approx(best.score)
    assert (folder / "pictures/1" / said["file"]).read_bytes() == picture()
    assert len(list(folder.glob("logits/1/tensors/random/*.npz"))) == 1
    assert not (folder / "raw").exists()
    assert serving.log.unforeseen() == []
    text = serving.server.operations._pages.exposition("")[0].decode()
    assert 'batchproof_captured_rows_total{result="kept"} 2.0' in text


async def test_a_prefix_of_an_object_store_takes_the_place_of_a_directory(tmp_path: Path) -> None:
    write_bundle(tmp_path / "logits" / "1", LOGITS)
    top = f"bucket/{uuid4().hex}"
    capture = CaptureSettings(directory=f"memory://{top}", random_share=1.0)
    async with running(tmp_path, Config(capture=capture)) as serving:
        await serving.stub.Predict(request(model="logits"))
        await serving.log.ended(1)

    memory = fsspec.filesystem("memory")
    (record,) = memory.glob(f"/{top}/logits/1/records/*/*.json")
    assert memory.exists(f"/{top}/logits/1/{json.loads(memory.cat_file(record))['file']}")


async def test_an_object_store_without_its_library_ends_the_start_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "logits" / "1", LOGITS)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.delitem(
        sys.modules, "batchproof_server.observing.capture.object_files", raising=False
    )
    capture = CaptureSettings(directory="memory://bucket/prefix")

    with pytest.raises(ValueError, match=r'fsspec is not installed.*"batchproof\[object-store\]"'):
        async with running(tmp_path, Config(capture=capture)):
            pass


async def test_a_directory_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    write_bundle(tmp_path / "logits" / "1", LOGITS)
    file = tmp_path / "file"
    file.write_text("")

    with pytest.raises(ValueError, match=r"capture\.directory: .*file cannot be used"):
        async with running(tmp_path, Config(capture=CaptureSettings(directory=str(file)))):
            pass
