"""The affine backend: exact arithmetic, and settings that say what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.backends.affine import kind as affine
from batchproof_server.base.backend import Backend
from batchproof_server.base.errors import ModelRefused
from support import plugs

GOOD: dict[str, Any] = {
    "input_shape": [2, 3],
    "input_dtype": "float32",
    "classes": 4,
    "scale": 2.0,
    "offset": 1.0,
}


def load(directory: Path, content: dict[str, Any]) -> Backend:
    artefact = directory / "affine.json"
    artefact.write_text(json.dumps(content))
    return plugs.load(affine.KIND, artefact)


def findings(directory: Path, content: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ModelRefused) as refused:
        load(directory, content)
    return refused.value.findings


def test_the_first_elements_of_a_row_are_scaled_and_offset(tmp_path: Path) -> None:
    image = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    scores = load(tmp_path, GOOD).execute({"image": image})["scores"]
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, [[1, 3, 5, 7], [13, 15, 17, 19]])


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int32", "int64"])
def test_every_input_dtype_gives_float32_scores(tmp_path: Path, dtype: str) -> None:
    backend = load(tmp_path, {**GOOD, "input_dtype": dtype})
    outputs = backend.execute({"image": np.full((2, 2, 3), 200, dtype)})
    np.testing.assert_array_equal(outputs["scores"], np.full((2, 4), 401, np.float32))


def test_every_fault_is_named_with_its_key(tmp_path: Path) -> None:
    content = {key: value for key, value in GOOD.items() if key != "scale"}
    found = findings(tmp_path, {**content, "input_dtype": "bfloat16", "slope": 1})
    assert len(found) == 3
    assert any(text.startswith("affine.json: scale: missing") for text in found)
    assert any(text.startswith('affine.json: input_dtype: unknown "bfloat16"') for text in found)
    assert any(each.startswith("affine.json: slope: unknown key") for each in found)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", 0),
        ("classes", 7),
        ("input_shape", [2, 0]),
        ("input_shape", [-1, 3]),
        ("scale", float("nan")),
        ("offset", float("inf")),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_was_expected(
    tmp_path: Path, key: str, value: object
) -> None:
    (text,) = findings(tmp_path, {**GOOD, key: value})
    assert key in text
    assert "expected" in text


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 200_000], ids=["empty", "cut", "no text", "deep"]
)
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, content: bytes) -> None:
    artefact = tmp_path / "affine.json"
    artefact.write_bytes(content)
    with pytest.raises(ModelRefused, match="not JSON"):
        plugs.load(affine.KIND, artefact)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "affine.json").write_bytes(b" " * (1 << 20) + b"{}")
    with pytest.raises(ModelRefused, match="too large") as refused:
        plugs.load(affine.KIND, tmp_path / "affine.json")
    assert refused.value.findings == ("affine.json: more than 1048576 bytes",)


def test_json_that_is_no_object_is_refused(tmp_path: Path) -> None:
    artefact = tmp_path / "affine.json"
    artefact.write_text("[]")
    with pytest.raises(ModelRefused) as refused:
        plugs.load(affine.KIND, artefact)
    assert refused.value.findings


@pytest.mark.parametrize("name", ["missing.json", "."], ids=["missing", "directory"])
def test_a_file_that_cannot_be_read_is_refused_without_its_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelRefused, match="cannot be read") as refused:
        plugs.load(affine.KIND, tmp_path / name)
    assert str(tmp_path) not in " ".join((str(refused.value), *refused.value.findings))
