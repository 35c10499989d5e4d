"""The manifest: what may be declared, and every fault at once with its path."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import TensorSpec
from batchproof_server.models.manifest import Manifest, parse_manifest

FULL = """
format = 1
description = "cats"
labels = "names.txt"
max_request_rows = 7
[output]
kind = "probabilities"
name = "scores"
[[signature.inputs]]
name = "image"
dtype = "uint8"
shape = [-1, 4, 3]
[[signature.outputs]]
name = "scores"
dtype = "float32"
shape = [2]
[batching]
buckets_rows = [1, 2]
[recipe]
preset = "keras-load-img"
"""


def findings(text: str) -> tuple[str, ...]:
    with pytest.raises(ModelRefused) as refused:
        parse_manifest(text)
    return tuple(finding.removeprefix("batchproof.toml: ") for finding in refused.value.findings)


def test_everything_may_be_declared() -> None:
    manifest = parse_manifest(FULL)
    assert manifest.signature is not None
    assert manifest.signature.inputs[0].spec() == TensorSpec(
        "image", np.dtype("uint8"), (None, 4, 3)
    )
    assert manifest.output.name == "scores"
    assert manifest.recipe is not None
    assert (manifest.labels, manifest.max_request_rows) == ("names.txt", 7)


def test_little_must_be_declared() -> None:
    manifest = parse_manifest("format = 1")
    assert (manifest.output.kind, manifest.recipe, manifest.batching) == ("raw", None, None)


def test_every_fault_is_named_with_its_path() -> None:
    text = """
    format = 3
    nonsense = 1
    [output]
    kind = "probability"
    [recipe]
    decoder = "accurat"
    [batching]
    buckets_rows = []
    [[signature.inputs]]
    name = "x"
    dtype = "float8"
    shape = [0]
    """
    found = dict(finding.split(": ", 1) for finding in findings(text))
    assert found["format"] == "unknown 3, one of 1 or 2"
    assert found["nonsense"] == "unknown key"
    assert found["output.kind"].startswith('unknown "probability", one of ')
    assert found["recipe.decoder"].startswith('unknown "accurat", one of ')
    assert "buckets_rows" in found["batching"]
    assert found["signature.inputs.0.dtype"].startswith('unknown "float8", one of ')
    assert found["signature.outputs"] == "missing"
    with pytest.raises(ModelRefused, match=r"batchproof.toml has \d+ fault"):
        parse_manifest(text)


NO_FILE_NAME = (
    ', expected the name of a file in the bundle with one label a line, such as "labels.txt"'
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_request_rows = 0", "max_request_rows is 0, expected 1 or more"),
        (
            'labels = "../secret"',
            '"../secret"' + NO_FILE_NAME,
        ),
        ("labels = 'a\\b'", '"a\\b"' + NO_FILE_NAME),
        ('labels = ["cat"]', "['cat']" + NO_FILE_NAME),
        ('labels = ""', '""' + NO_FILE_NAME),
        (
            'output = { kind = "raw", name = "y" }',
            'name is "y", expected none: raw outputs hold no scores',
        ),
        (
            '[signature]\noutputs = []\ninputs = [{name = "x", dtype = "int8", shape = [0]}]',
            "shape [0] holds a size below 1 other than -1 (any)",
        ),
    ],
)
def test_a_declaration_without_sense_is_refused(text: str, sentence: str) -> None:
    (finding,) = findings(f"format = 1\n{text}")
    assert finding.endswith(f": {sentence}")


def test_a_manifest_that_is_nested_too_deep_is_called_that() -> None:
    with pytest.raises(ModelRefused) as refused:
        parse_manifest("a = " + "[" * 100_000)
    assert refused.value.findings == ("batchproof.toml: it is nested too deep",)


@pytest.mark.parametrize(
    "text", ["format = ", "format = 1\nformat = 1", "x = " + "1" * 5000, "x = " + "[" * 5000]
)
def test_what_is_not_toml_is_refused(text: str) -> None:
    with pytest.raises(ModelRefused, match="is not TOML"):
        parse_manifest(text)


@given(st.text(max_size=60) | st.lists(st.sampled_from(FULL.splitlines())).map("\n".join))
def test_any_text_is_either_a_manifest_or_refused(text: str) -> None:
    with contextlib.suppress(ModelRefused):
        assert isinstance(parse_manifest(text), Manifest)
