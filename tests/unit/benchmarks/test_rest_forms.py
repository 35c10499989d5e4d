"""What REST is compared with asks for the same row in every form."""

import json
from pathlib import Path

import numpy as np
import pytest

from batchproof.compat import inference_pb2 as oip
from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from bundles import write_message
from closed_loop import HTTP
from rest import Form, forms
from subjects import Subject

SHAPE = (2, 3)


@pytest.fixture(params=["float32", "uint8"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    dtype: str = request.param
    message = write_message(tmp_path / "message.bin", SHAPE, dtype)
    return Subject("small", tmp_path / "model" / "1", message, SHAPE, dtype)


def body(form: Form) -> bytes:
    """What stands behind the head of a request that says how long it is."""
    head, _, content = form.content.partition(b"\r\n\r\n")
    assert form.method == HTTP
    assert f"\r\nContent-Length: {len(content)}\r\n".encode() in head + b"\r\n"
    return content


def test_every_form_asks_for_the_row_of_the_message(subject: Subject) -> None:
    own, open_inference, binary, as_json, tensorflow = forms(subject).values()
    row = from_proto(pb.PredictRequest.FromString(own.content).tensors.tensors["image"])
    assert row.shape == (1, *SHAPE)
    message = oip.ModelInferRequest.FromString(open_inference.content)
    (given,) = message.inputs
    assert (list(given.shape), list(message.raw_input_contents)) == (
        [1, *SHAPE],
        [row.tobytes()],
    )
    assert body(binary).endswith(row.tobytes())
    text = body(binary)[: -row.nbytes]
    assert f"Inference-Header-Content-Length: {len(text)}\r\n".encode() in binary.content
    (behind,) = json.loads(text)["inputs"]
    assert behind["parameters"] == {"binary_data_size": row.nbytes}
    (in_json,) = json.loads(body(as_json))["inputs"]
    assert in_json["shape"] == behind["shape"] == [1, *SHAPE]
    assert np.asarray(in_json["data"], row.dtype).tobytes() == row.tobytes()
    instances = json.loads(body(tensorflow))["instances"]
    assert np.asarray(instances, row.dtype).tobytes() == row.tobytes()
