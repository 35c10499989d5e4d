"""Loading a version: what must fit together before it may answer."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.base.errors import BackendFailed, ModelRefused
from batchproof_server.base.signature import Array, Signature, Tensors
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import pillow_plugs
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import LoadingPlugs, load_version
from support.bundles_on_disk import LOGITS, PICTURES, write_bundle
from support.fakes import FakeClock, spec
from support.plugs import scripted

PROBABILITIES = LOGITS.replace('"logits"', '"probabilities"')
CERTAIN = np.array([[1.0, 0.0]])


@dataclass
class Scripted:
    """A backend of any signature whose outputs a test writes."""

    signature: Signature = field(
        default_factory=lambda: Signature((spec("x", None, 3),), (spec("y", 2),))
    )
    answer: Callable[[int], Tensors] = field(
        default_factory=lambda: lambda rows: {"y": np.repeat(CERTAIN, rows, axis=0)}
    )
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    buckets_rows: tuple[int, ...] = ()
    is_closed: bool = False
    engine: str = "scripted 1"

    def execute(self, inputs: Tensors) -> Tensors:
        """Answers as it was told."""
        array = next(iter(inputs.values()))
        assert not array.any()
        self.shapes.append(array.shape)
        return self.answer(array.shape[0])

    def close(self) -> None:
        """Remembers it."""
        self.is_closed = True


def constant(row: Array) -> Callable[[int], Tensors]:
    return lambda rows: {"y": np.repeat(row[np.newaxis], rows, axis=0)}


def load(
    backend: Scripted,
    directory: Path,
    manifest: str = LOGITS,
    *,
    image_limits: ImageLimits = ImageLimits(),  # noqa: B008 - immutable
) -> LoadedModel:
    def loader(artefact: Path, buckets_rows: tuple[int, ...], settings: EngineSettings) -> Backend:
        assert artefact.name == "affine.json"
        assert settings == EngineSettings()
        backend.buckets_rows = buckets_rows
        return backend

    kinds, engines = scripted(loader)
    plugs = LoadingPlugs(
        clock=FakeClock(),
        kinds=kinds,
        engines=engines,
        imaging=lambda _kind: pillow_plugs(),
        batching=BatchingSettings((3,), max_queued_rows=3),
        engine=EngineSettings(),
        image_limits=image_limits,
    )
    if not directory.joinpath("b").exists():
        write_bundle(directory / "b", manifest)
    return load_version(Place("m", 1, directory / "b"), plugs)


def findings(backend: Scripted, directory: Path, manifest: str = LOGITS) -> tuple[str, ...]:
    with pytest.raises(ModelRefused) as refused:
        load(backend, directory, manifest)
    assert backend.is_closed
    return refused.value.findings


def test_every_bucket_is_warmed_up_with_zeros(tmp_path: Path) -> None:
    backend = Scripted()
    loaded = load(backend, tmp_path)
    assert backend.buckets_rows == (2, 4)
    assert backend.shapes == [(2, 64, 3), (4, 64, 3)]
    assert (loaded.output.kind, loaded.output.name) == ("logits", "y")
    assert loaded.recipe is None
    assert not backend.is_closed


def test_a_bundle_without_batching_gets_the_servers(tmp_path: Path) -> None:
    loaded = load(Scripted(), tmp_path, "format = 1")
    assert loaded.batching.buckets_rows == (3,)
    assert loaded.output.name is None


SIGNATURE = """
[[signature.inputs]]
name = "x"
dtype = "float64"
shape = [-1, 3]
[[signature.outputs]]
name = "y"
dtype = "float64"
shape = [2]
"""


def test_a_declared_signature_must_be_the_artefacts(tmp_path: Path) -> None:
    assert load(Scripted(), tmp_path / "same", LOGITS + SIGNATURE).backend is not None
    other = SIGNATURE.replace("float64", "float32").replace("[2]", "[3]")
    assert findings(Scripted(), tmp_path, LOGITS + other) == (
        (
            "signature.inputs: the manifest declares x float32 [rows, any, 3], "
            "the artefact has x float64 [rows, any, 3]"
        ),
        (
            "signature.outputs: the manifest declares y float32 [rows, 3], "
            "the artefact has y float64 [rows, 2]"
        ),
    )


TWO_OUTPUTS = Signature((spec("x", 3),), (spec("a", 2), spec("b", 2)))


def test_the_output_of_the_scores_must_be_clear(tmp_path: Path) -> None:
    def answer(rows: int) -> Tensors:
        return {"a": np.zeros((rows, 5)), "b": np.zeros((rows, 2))}

    backend = Scripted(TWO_OUTPUTS, answer)
    assert findings(backend, tmp_path / "none") == ("output.name: nothing, one of a, b",)
    wrong = LOGITS.replace("kind", 'name = "c"\nkind')
    assert findings(backend, tmp_path / "wrong", wrong) == ('output.name: "c", one of a, b',)
    right = LOGITS.replace("kind", 'name = "b"\nkind')
    assert load(backend, tmp_path / "right", right).output.name == "b"


@pytest.mark.parametrize(
    ("row", "came"),
    [
        (np.zeros((2, 2)), "float64 [4, 2, 2]"),
        (np.zeros(2, np.int64), "int64 [4, 2]"),
        (np.float64(0), "float64 [4]"),
        (np.zeros(0), "float64 [4, 0]"),
    ],
)
def test_scores_are_floats_in_rows_and_classes(tmp_path: Path, row: Any, came: str) -> None:
    assert findings(Scripted(answer=constant(np.asarray(row))), tmp_path) == (
        f'output.kind: "logits" needs floats [rows, classes], the output is {came}',
    )


@pytest.mark.parametrize("row", [[0.5, 0.4], [np.nan, 1.0], [0.0, 0.0], [-1.0, 2.0]])
def test_probabilities_are_none_below_zero_and_sum_to_one(tmp_path: Path, row: list[float]) -> None:
    backend = Scripted(answer=constant(np.array(row)))
    (finding,) = findings(backend, tmp_path, PROBABILITIES)
    assert finding.startswith('output.kind: declared "probabilities", but ')


def test_probabilities_may_be_rounded_and_raw_outputs_may_be_anything(tmp_path: Path) -> None:
    rounded = constant(np.array([0.5, 0.5004], np.float16))
    assert load(Scripted(answer=rounded), tmp_path / "a", PROBABILITIES).output.name == "y"
    anything = constant(np.array(["x"]))
    assert load(Scripted(answer=anything), tmp_path / "b", "format = 1").output.kind == "raw"


def test_labels_are_one_for_each_class(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b")
    (tmp_path / "b" / "labels.txt").write_text("a\nb\nc\n")
    assert findings(Scripted(), tmp_path) == ("labels: 3 for 2 classes",)


def test_faults_of_the_output_are_told_together(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", PROBABILITIES)
    (tmp_path / "b" / "labels.txt").write_text("a\n")
    assert len(findings(Scripted(answer=constant(np.zeros(2))), tmp_path)) == 2


def test_a_recipe_is_compiled_against_the_one_input(tmp_path: Path) -> None:
    picture = replace(
        Scripted(), signature=Signature((spec("x", 2, 2, 3, dtype="float32"),), (spec("y", 2),))
    )
    loaded = load(picture, tmp_path, PICTURES)
    assert loaded.recipe is not None
    assert loaded.recipe.row_shape == (2, 2, 3)


def test_a_recipe_that_does_not_fit_the_input_is_refused_with_its_faults(tmp_path: Path) -> None:
    (finding, *_) = findings(Scripted(), tmp_path, PICTURES)
    assert finding.startswith("recipe")


def test_a_recipe_that_refuses_a_picture_of_the_models_size_is_refused(tmp_path: Path) -> None:
    image = spec("x", 2, 2, 3, dtype="float32")
    backend = Scripted(Signature((image,), (spec("y", 2),)))
    with pytest.raises(ModelRefused) as refused:
        load(backend, tmp_path, PICTURES, image_limits=ImageLimits(max_image_pixels=3))
    (finding,) = refused.value.findings
    assert finding.startswith("recipe: a blank picture of the model's size is refused: ")
    assert backend.is_closed


def test_a_recipe_needs_a_model_with_one_input(tmp_path: Path) -> None:
    two = Signature((spec("a", 3), spec("b", 3)), (spec("y", 2),))
    assert findings(Scripted(two), tmp_path, PICTURES) == (
        "recipe: the model has the inputs a, b, expected one",
    )


def test_a_model_that_fails_its_warm_up_is_released(tmp_path: Path) -> None:
    def fail(rows: int) -> Tensors:
        raise BackendFailed(f"out of memory with {rows} rows")

    backend = Scripted(answer=fail)
    with pytest.raises(BackendFailed):
        load(backend, tmp_path)
    assert backend.is_closed
