from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import LocalInputError, PredictRequest, TensorSpec
from batchproof_client.inputs import (
    array_for,
    message_of,
    needs_signature,
    read_images,
    request_id_of,
    selector_of,
    touches_files,
    write_tensors,
)

ROW_OF_2 = (TensorSpec("x", "float32", (-1, 2)),)


@pytest.mark.parametrize(
    ("model", "selector"),
    [
        (None, pb.ModelSelector()),
        ("fashion", pb.ModelSelector(name="fashion")),
        ("fashion:12", pb.ModelSelector(name="fashion", version=12)),
        ("fashion@stable", pb.ModelSelector(name="fashion", label="stable")),
        (":3", pb.ModelSelector(version=3)),
        ("@stable", pb.ModelSelector(label="stable")),
    ],
)
def test_a_model_is_named_with_version_or_label(
    model: str | None, selector: pb.ModelSelector
) -> None:
    assert selector_of(model) == selector


@pytest.mark.parametrize(
    "model", ["a:", "a:x", "a:-1", "a@", "a@b:3", "a:1:2", f"a:{2**63}", "a:²"]
)
def test_another_form_is_refused(model: str) -> None:
    with pytest.raises(LocalInputError, match='expected "name", "name:3" or "name@label"'):
        selector_of(model)


@given(st.text(max_size=20))
def test_any_text_is_a_selector_or_refused(model: str) -> None:
    try:
        selector = selector_of(model)
    except LocalInputError:
        return
    assert selector.name == model.partition(":")[0].partition("@")[0]


def test_the_options_are_carried() -> None:
    request = PredictRequest(b"", "m:1", top_k=0, return_probabilities=True, return_logits=True)
    message = message_of(request, "r")
    assert message.request_id == "r"
    assert message.options == pb.PredictOptions(
        top_k=0, return_probabilities=True, return_logits=True
    )
    assert message.options.HasField("top_k")


@pytest.mark.parametrize("top_k", [-1, 2**32])
def test_a_top_k_that_the_wire_cannot_carry_is_refused(top_k: int) -> None:
    with pytest.raises(LocalInputError, match="top_k"):
        message_of(PredictRequest(b"", top_k=top_k), "r")


def test_a_request_id_is_kept_or_made() -> None:
    assert request_id_of("mine") == "mine"
    assert request_id_of("") != request_id_of("")


@pytest.mark.parametrize("request_id", ["a" * 129, "a\n", "ä"])
def test_a_request_id_that_the_contract_forbids_is_refused(request_id: str) -> None:
    with pytest.raises(LocalInputError, match="request_id"):
        request_id_of(request_id)


def test_pictures_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"file")
    assert read_images([b"bytes", path, str(path), memoryview(b"view")]) == [
        b"bytes",
        b"file",
        b"file",
        b"view",
    ]


def test_what_is_not_a_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(LocalInputError, match="No such file"):
        read_images(tmp_path / "missing")
    with pytest.raises(LocalInputError, match="the file is empty"):
        read_images(tmp_path / "empty")
    with pytest.raises(LocalInputError, match="directory"):
        read_images(tmp_path)
    with pytest.raises(LocalInputError, match="cannot be read"):
        read_images("a\0b")
    with pytest.raises(LocalInputError, match="list of images is empty"):
        read_images([])
    with pytest.raises(LocalInputError, match="element of the list is ndarray"):
        read_images([b"x", np.zeros(1)])
    with pytest.raises(LocalInputError, match="image is int"):
        read_images(3)  # type: ignore[arg-type] # what a caller without types may give


def test_only_paths_touch_files() -> None:
    assert touches_files("a.png")
    assert touches_files([b"x", Path("a.png")])
    assert not touches_files(b"x")
    assert not touches_files([b"x"])


def test_only_arrays_without_a_name_need_the_signature() -> None:
    assert needs_signature(np.zeros(1))
    assert needs_signature([np.zeros(1)])
    assert not needs_signature([])
    assert not needs_signature({"x": np.zeros(1)})
    assert not needs_signature("a.png")
    assert not needs_signature([b"x"])


def test_a_missing_row_axis_is_added_and_nothing_else_is_changed() -> None:
    row = np.array([1, 2], np.uint8)
    assert array_for(row, ROW_OF_2)["x"].tolist() == [[1, 2]]
    assert array_for(row, ROW_OF_2)["x"].dtype == np.uint8
    rows = np.zeros((3, 2))
    assert array_for(rows, ROW_OF_2)["x"] is rows


def test_a_list_of_arrays_is_one_row_each() -> None:
    assert array_for([np.zeros(2), np.ones(2)], ROW_OF_2)["x"].tolist() == [[0, 0], [1, 1]]


def test_a_list_of_unlike_arrays_is_refused() -> None:
    with pytest.raises(LocalInputError, match=r"float64 \[3\], expected float64 \[2\]"):
        array_for([np.zeros(2), np.zeros(3)], ROW_OF_2)
    with pytest.raises(LocalInputError, match="float32"):
        array_for([np.zeros(2), np.zeros(2, np.float32)], ROW_OF_2)
    with pytest.raises(LocalInputError, match="element of the list is bytes"):
        array_for([np.zeros(2), b"x"], ROW_OF_2)


def test_tensors_that_cannot_be_sent_are_refused() -> None:
    with pytest.raises(LocalInputError, match="mapping of tensors is empty"):
        write_tensors(pb.PredictRequest(), {})
    with pytest.raises(LocalInputError, match='input "x": dtype is complex128'):
        write_tensors(pb.PredictRequest(), {"x": np.array([1j])})


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3), (2, 4, 4, 3)])
def test_pixels_for_an_input_of_another_dtype_are_refused_with_the_way_out(
    shape: tuple[int, ...],
) -> None:
    pixels = np.zeros(shape, np.uint8)
    inputs = (TensorSpec("x", "float32", (-1, 4, 4, 3)),)
    for image in (pixels, [pixels, pixels]):
        with pytest.raises(LocalInputError, match=r"PIL\.Image\.fromarray.*cast it to float32"):
            array_for(image, inputs)
    as_they_are = array_for(pixels, (TensorSpec("x", "uint8", (-1, *shape)),))
    assert as_they_are["x"].dtype == np.uint8


@pytest.mark.parametrize("wrong", [{"top_k": "5"}, {"top_k": 1.5}, {"return_logits": "yes"}])
def test_an_option_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalInputError, match=r"top_k|option"):
        message_of(PredictRequest(b"", **wrong), "r")


def test_a_name_and_an_id_that_are_no_text_are_refused() -> None:
    nothing: Any = 3
    with pytest.raises(LocalInputError, match="model is"):
        selector_of(nothing)
    with pytest.raises(LocalInputError, match="request_id"):
        request_id_of(nothing)
