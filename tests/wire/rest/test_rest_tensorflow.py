"""TensorFlow Serving's REST API over a real port: rows, columns, pictures, models, errors."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.application.config import Config
from batchproof_server.web.settings import WebSettings
from support.bundles_on_disk import RAW, picture, write_bundle
from support.rest import Reply, ask
from support.running import Running, running

ROW = [1, 2, 3, 4]


async def predict(web: str, model: str, body: Any) -> Reply:
    """Asks for a prediction."""
    return await ask(web, f"/v1/models/{model}:predict", body)


def b64(content: bytes) -> dict[str, str]:
    """Bytes as TensorFlow Serving's JSON has them."""
    return {"b64": base64.b64encode(content).decode()}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"instances": [ROW, [0, 0, 0, 0]]}, {"predictions": [[3, 5, 7], [1, 1, 1]]}),
        ({"instances": [{"image": ROW}]}, {"predictions": [[3, 5, 7]]}),
        ({"inputs": [ROW]}, {"outputs": [[3, 5, 7]]}),
        ({"inputs": {"image": [ROW]}}, {"outputs": [[3, 5, 7]]}),
        (
            {"inputs": [ROW], "output_filter": ["label", "scores"]},
            {"outputs": {"label": [["owl"]], "scores": [[3, 5, 7]]}},
        ),
        (
            {"instances": [ROW], "output_filter": ["label", "scores"]},
            {"predictions": [{"label": ["owl"], "scores": [3, 5, 7]}]},
        ),
        (
            {"instances": [ROW], "signature_name": "serving_default"},
            {"predictions": [[3, 5, 7]]},
        ),
    ],
)
async def test_rows_and_columns_are_answered_in_their_form(
    web: str, body: Any, answer: Any
) -> None:
    reply = await predict(web, "logits", body)
    assert (reply.status, reply.json()) == (200, answer)
    assert len(reply.headers["x-model-digest"]) == 64


@pytest.mark.parametrize("signature_name", ["", "encoded_images"])
async def test_pictures_come_in_base64(web: str, signature_name: str) -> None:
    body = {"instances": [b64(picture(3)), b64(picture(4))], "signature_name": signature_name}
    reply = await predict(web, "pictures", body)
    assert reply.json() == {"predictions": [[7, 7, 7], [9, 9, 9]]}
    named = {"inputs": {"image": b64(picture(3))}}
    assert (await predict(web, "pictures", named)).status == 400  # [rows] is missing
    named = {"inputs": {"image": [b64(picture(3))]}}  # type: ignore[dict-item] # a list now
    assert (await predict(web, "pictures", named)).json() == {"outputs": [[7, 7, 7]]}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("several", [[4, 7, 10]]),
        ("several/versions/1", [[3, 5, 7]]),
        ("several/versions/2", [[4, 7, 10]]),
        ("several/labels/stable", [[3, 5, 7]]),
        ("several/labels/2", [[4, 7, 10]]),
    ],
)
async def test_versions_and_labels_stand_in_the_path(web: str, path: str, answer: Any) -> None:
    assert (await predict(web, path, {"instances": [ROW]})).json() == {"predictions": answer}


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int32", "int64"])
async def test_numbers_are_of_the_type_of_the_signature(tmp_path: Path, dtype: str) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW, input_dtype=dtype)
    async with running(tmp_path, Config(web=WebSettings(enabled=True))) as serving:
        assert (await predict(serving.web, "raw", {"instances": [ROW]})).json() == {
            "predictions": [[3, 5, 7]]
        }
        wrong = await predict(serving.web, "raw", {"instances": [[1, 2, 3, 1e20]]})
    assert (wrong.status, "float" in dtype) in {(200, True), (400, False)}


async def test_float32_survives_json(web: str) -> None:
    row = np.random.default_rng(2).normal(size=4).astype(np.float32)
    reply = await predict(web, "logits", {"instances": [row.tolist()]})
    (got,) = np.array(reply.json()["predictions"], np.float32)
    np.testing.assert_array_equal(got, (row[:3] * np.float32(2) + np.float32(1)))


async def test_the_state_and_the_signatures_of_a_model(web: str) -> None:
    told = (await ask(web, "/v1/models/several")).json()["model_version_status"]
    assert [(each["version"], each["state"]) for each in told] == [
        ("2", "AVAILABLE"),
        ("1", "AVAILABLE"),
    ]
    assert told[0]["status"] == {"error_code": "OK", "error_message": ""}
    (only,) = (await ask(web, "/v1/models/several/labels/stable")).json()["model_version_status"]
    assert only["version"] == "1"
    told = (await ask(web, "/v1/models/pictures/versions/1/metadata")).json()
    assert told["model_spec"] == {"name": "pictures", "signature_name": "", "version": "1"}
    signatures = told["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"serving_default", "encoded_images"}
    taken = signatures["serving_default"]["inputs"]["image"]
    assert taken["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in taken["tensor_shape"]["dim"]] == ["-1", "2", "2", "3"]


@pytest.mark.parametrize("verb", ["classify", "regress"])
async def test_what_takes_examples_says_what_to_use_instead(web: str, verb: str) -> None:
    reply = await ask(web, f"/v1/models/logits:{verb}", {"examples": [{"x": 1}]})
    assert (reply.status, "call Predict with tensors" in reply.error) == (501, True)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("other", {"instances": [ROW]}, 404, "Servable not found"),
        ("several/versions/9", {"instances": [ROW]}, 404, "Servable not found"),
        ("several/versions/x", {"instances": [ROW]}, 400, "no number"),
        ("several/labels/x", {"instances": [ROW]}, 400, "Unrecognized servable version label"),
        ("logits", [], 400, "no JSON object"),
        ("logits", {}, 400, "'instances' and 'inputs'"),
        ("logits", {"instances": [ROW], "inputs": [ROW]}, 400, "'instances' and 'inputs'"),
        ("logits", {"instances": []}, 400, "one row or more"),
        ("logits", {"instances": 5}, 400, "one row or more"),
        ("logits", {"instances": [ROW], "x": 1}, 400, "unknown key"),
        ("logits", {"instances": [ROW], "signature_name": 1}, 400, "no string"),
        ("logits", {"instances": [ROW], "signature_name": "x"}, 400, "signature key"),
        ("logits", {"instances": [ROW], "output_filter": "x"}, 400, "no list"),
        ("logits", {"instances": [ROW], "output_filter": ["x"]}, 400, "not found in signature"),
        ("logits", {"instances": [{"image": ROW}, {"x": ROW}]}, 400, "different inputs"),
        ("logits", {"instances": [{"image": ROW}, ROW]}, 400, "different inputs"),
        ("logits", {"instances": [{"x": ROW}]}, 400, "does not match signature"),
        ("logits", {"instances": [[1, 2], [3]]}, 400, "one shape"),
        ("logits", {"instances": [[1, 2, [3], 4]]}, 400, "one shape"),
        ("logits", {"instances": [[1, 2, 3, "4"]]}, 400, "hold strings"),
        ("logits", {"instances": [["1", "2", "3", "4"]]}, 400, "no recipe"),
        ("logits", {"instances": [[1, 2, 3, 1e300]]}, 400, "beyond float32"),
        ("logits", {"inputs": {}}, 400, "does not match signature"),
        ("logits", {"inputs": None}, 400, "null"),
        ("pictures", {"instances": [{"b64": 5}]}, 400, "no string"),
        ("pictures", {"instances": [b64(b"no picture")]}, 400, "unknown format"),
    ],
)
async def test_errors_have_their_form(
    serving: Running, path: str, body: Any, status: int, says: str
) -> None:
    reply = await predict(serving.web, path, body)
    assert (reply.status, set(reply.json())) == (status, {"error"}), reply.body
    assert says in reply.error
    assert serving.log.unforeseen() == []
