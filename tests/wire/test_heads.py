"""Models with several outputs whose scores the manifest declares (format 2)."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import AsyncClient, OutputKind
from batchproof_server.base.signature import Signature, Tensors
from support.bundles_on_disk import write_bundle
from support.compat_requests import infer, open_inference
from support.fakes import ElementwiseBackend, spec
from support.running import Running, running, tensors

MANIFEST = """
format = 2
[outputs.size]
kind = "logits"
labels = "sizes.txt"
watched = true
[outputs.tags]
kind = "multilabel_probabilities"
threshold = 0.25
[outputs.rest]
kind = "raw"
[batching]
buckets_rows = [2, 4]
max_queued_rows = 16
"""
ROW = (0.5, 0.125, 0.375)


class TwoHeads(ElementwiseBackend):
    """Gives its input as it is, and between 0 and 1."""

    def __init__(self) -> None:
        super().__init__(3)
        outputs = tuple(spec(name, 3, dtype="float32") for name in ("rest", "size", "tags"))
        self._signature = Signature((spec("x", 3, dtype="float32"),), outputs)

    def execute(self, inputs: Tensors) -> Tensors:
        """Copies."""
        came = inputs["x"].copy()
        return {"rest": came, "size": came, "tags": np.clip(came, 0, 1)}


def bundle(folder: Path, manifest: str = MANIFEST) -> None:
    write_bundle(folder, manifest)
    (folder / "sizes.txt").write_text("small\nlarge\nhuge\n")


@pytest.fixture
async def heads(tmp_path: Path) -> AsyncIterator[Running]:
    bundle(tmp_path / "heads" / "1")
    async with running(tmp_path, others={"heads": TwoHeads()}) as started:
        yield started


async def test_each_head_is_answered_with_its_own_kind_and_labels(heads: Running) -> None:
    message = pb.PredictRequest(
        model=pb.ModelSelector(name="heads"),
        tensors=tensors((ROW,), "x"),
        options=pb.PredictOptions(return_probabilities=True),
    )
    (row,) = (await heads.stub.Predict(message)).rows
    assert row.classes[0].label == "small"
    (tags,) = row.heads
    assert tags.output == "tags"
    assert [each.label for each in tags.labels] == ["0", "2"]
    assert list(tags.probabilities) == list(ROW)
    assert tags.margin == pytest.approx(0.125)


async def test_the_description_names_every_head_and_the_watched_one(heads: Running) -> None:
    async with AsyncClient(heads.address) as client:
        known = await client.get_model("heads")
        result = await client.predict({"x": np.array([ROW], np.float32)}, model="heads")
    assert (known.output_kind, known.labels) == (OutputKind.LOGITS, ("small", "large", "huge"))
    assert [(each.output, each.kind, each.is_watched) for each in known.heads] == [
        ("size", OutputKind.LOGITS, True),
        ("tags", OutputKind.MULTILABEL_PROBABILITIES, False),
    ]
    assert known.heads[1].threshold == 0.25
    assert [each.index for each in result.only.heads["tags"].labels] == [0, 2]
    assert result.only.heads["tags"].top.index == 0


async def test_other_protocols_ask_for_a_heads_scores_after_its_name(heads: Running) -> None:
    names = ("rest", "label", "tags.label", "tags.probabilities")
    message = infer((ROW,), "heads", outputs=names)
    message.inputs[0].name = "x"
    answer = await open_inference(heads.channel).ModelInfer(message)
    rest, label, tags, probabilities = answer.raw_output_contents
    assert np.frombuffer(rest, np.float32).tolist() == list(ROW)
    assert label[4:] == b"small"
    assert tags == b"\1\0\0\0000\1\0\0\0002\0\0\0\0"
    assert np.frombuffer(probabilities, np.float32).tolist() == list(ROW)


class SizeAndHealth(ElementwiseBackend):
    """Gives its input as it is, and the first number of it between 0 and 1."""

    def __init__(self) -> None:
        super().__init__(3)
        outputs = spec("size", 3, dtype="float32"), spec("sick", 1, dtype="float32")
        self._signature = Signature((spec("x", 3, dtype="float32"),), outputs)

    def execute(self, inputs: Tensors) -> Tensors:
        """Copies."""
        came = inputs["x"].copy()
        return {"size": came, "sick": np.clip(came[:, :1], 0, 1)}


async def test_a_classification_of_a_binary_head_names_both_of_its_classes(tmp_path: Path) -> None:
    manifest = """
format = 2
outputs.size = { kind = "logits", watched = true }
outputs.sick = { kind = "binary_probability", labels = "sick.txt" }
batching = { buckets_rows = [2, 4], max_queued_rows = 16 }
"""
    write_bundle(tmp_path / "both" / "1", manifest)
    (tmp_path / "both" / "1" / "sick.txt").write_text("well\nsick\n")
    async with running(tmp_path, others={"both": SizeAndHealth()}) as serving:
        message = infer(((0.75, 0.0, 0.0),), "both", outputs=("sick",))
        message.inputs[0].name = "x"
        message.outputs[0].parameters["classification"].int64_param = 2
        answer = await open_inference(serving.channel).ModelInfer(message)
    (classes,) = answer.raw_output_contents
    assert (b"0.750000:1:sick" in classes, b"0.250000:0:well" in classes) == (True, True)


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        (('kind = "logits"', 'kind = "probabilities"'), "outputs.size.kind: declared"),
        (("[outputs.rest]", "[outputs.other]"), "outputs.other: unknown, one of rest, size, tags"),
        (("watched = true\n", ""), "outputs: size, tags have scores, and watched = true stands at"),
        (('"sizes.txt"', '"../x"'), '"../x", expected the name of a file in the bundle'),
        (("format = 2", "format = 1"), "outputs belongs to format = 2"),
        (("[outputs.rest]", "[output]"), "in format 2 write [outputs.NAME]"),
        (('"multilabel_probabilities"', '"multilabel_logits"'), 'output "tags": declared'),
    ],
)
async def test_what_does_not_fit_is_refused_and_named(
    tmp_path: Path, changed: tuple[str, str], finding: str
) -> None:
    bundle(tmp_path / "heads" / "1", MANIFEST.replace(*changed))
    async with running(tmp_path, others={"heads": TwoHeads()}) as serving:
        (model,) = (await serving.stub.ListModels(pb.ListModelsRequest())).models
        assert model.state == pb.MODEL_STATE_FAILED
        assert finding in " ".join(model.findings)
