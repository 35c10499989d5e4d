"""The Open Inference Protocol v2 over HTTP: JSON, binary tensors, pictures, options, models."""

import base64
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.application.config import Config
from batchproof_server.proof.settings import ProofSettings
from batchproof_server.rpc.contents import LARGE_BYTES
from batchproof_server.web.settings import WebSettings
from support.bundles_on_disk import RAW, picture, write_bundle
from support.compat_requests import infer, infer_images, open_inference, outputs_of
from support.proof_backends import Good
from support.rest import Reply, ask
from support.running import Running, running

Body = dict[str, Any]


def tensor(data: Any, shape: list[int], datatype: str = "FP32", **parameters: Any) -> Body:
    """An input in JSON."""
    given = {"name": "image", "shape": shape, "datatype": datatype, "data": data}
    return given | ({"parameters": parameters} if parameters else {})


def asking(*inputs: Body, outputs: Any = (), **keys: Any) -> Body:
    """A request in JSON; ``outputs`` are names, or outputs as they are."""
    named = [{"name": each} if isinstance(each, str) else each for each in outputs]
    return {"inputs": list(inputs)} | ({"outputs": named} if named else {}) | keys


async def post(web: str, model: str, body: Body, **headers: str) -> Reply:
    """Asks for inference."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(web, f"/v2/models/{model}/infer", body, headers=named)


def behind(body: Body, *binary: bytes) -> tuple[bytes, dict[str, str]]:
    """JSON with binary data behind it, and the header that says where it begins."""
    text = json.dumps(body).encode()
    return text + b"".join(binary), {"Inference-Header-Content-Length": str(len(text))}


def binary_input(content: bytes, shape: list[int], datatype: str = "FP32") -> Body:
    """An input whose bytes come behind the JSON."""
    given = tensor([], shape, datatype, binary_data_size=len(content))
    del given["data"]
    return given


@pytest.mark.parametrize("data", [[1, 2, 3, 4, 5, 6, 7, 8], [[1, 2, 3, 4], [5, 6, 7, 8.0]]])
async def test_numbers_of_json_are_answered_with_the_models_own_outputs(
    web: str, data: Any
) -> None:
    reply = await post(web, "logits", asking(tensor(data, [2, 4]), id="mine"))
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"] == "mine"
    told = reply.json()
    assert (told["model_name"], told["model_version"], told["id"]) == ("logits", "1", "mine")
    assert len(told["parameters"]["model_digest"]) == 64
    assert told["outputs"] == [
        {"name": "scores", "datatype": "FP32", "shape": [2, 3], "data": [3, 5, 7, 11, 13, 15]}
    ]


async def test_the_bits_are_those_of_grpc(serving: Running) -> None:
    row = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)
    wanted = ("scores", "probabilities")
    answer = await open_inference(serving.channel).ModelInfer(infer(row, "logits", outputs=wanted))
    expected = {name: array.tobytes() for name, array in outputs_of(answer).items()}
    in_json = await post(
        serving.web, "logits", asking(tensor(row.tolist(), [2, 4]), outputs=wanted)
    )
    got = {
        each["name"]: np.array(each["data"], np.float32).tobytes()
        for each in in_json.json()["outputs"]
    }
    assert got == expected
    body, headers = behind(
        asking(
            binary_input(row.tobytes(), [2, 4]),
            outputs=wanted,
            parameters={"binary_data_output": True},
        ),
        row.tobytes(),
    )
    in_binary = await ask(serving.web, "/v2/models/logits/infer", body, headers=headers)
    length = int(in_binary.headers["inference-header-content-length"])
    sizes = [
        each["parameters"]["binary_data_size"]
        for each in json.loads(in_binary.body[:length])["outputs"]
    ]
    assert sizes == [24, 24]
    assert in_binary.body[length:] == b"".join(expected[name] for name in wanted)


@pytest.mark.parametrize("id_", ["a", "ab", "abc", "abcd"])
async def test_large_tensors_in_binary_are_answered_wherever_they_begin(
    tmp_path: Path, id_: str
) -> None:
    size = LARGE_BYTES // 4 + 1
    write_bundle(tmp_path / "raw" / "1", RAW, shape=(size,))
    rows = (np.arange(2 * size) % 251).reshape(2, size).astype(np.float32)
    body, headers = behind(asking(binary_input(rows.tobytes(), [2, size]), id=id_), rows.tobytes())
    async with running(tmp_path, Config(web=WebSettings(enabled=True))) as serving:
        reply = await ask(serving.web, "/v2/models/raw/infer", body, headers=headers)
    assert reply.json()["outputs"][0]["data"] == (2 * rows[:, :3] + 1).ravel().tolist()


@pytest.mark.parametrize(
    ("dtype", "datatype"),
    [
        ("float32", "FP32"),
        ("float64", "FP64"),
        ("uint8", "UINT8"),
        ("int32", "INT32"),
        ("int64", "INT64"),
    ],
)
async def test_numbers_of_other_types_are_taken_in_json_and_in_binary(
    tmp_path: Path, dtype: str, datatype: str
) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW, input_dtype=dtype)
    array = np.array([[1, 2, 3, 4]], dtype)
    async with running(tmp_path, Config(web=WebSettings(enabled=True))) as serving:
        in_json = await post(serving.web, "raw", asking(tensor([1, 2, 3, 4], [1, 4], datatype)))
        body, headers = behind(
            asking(binary_input(array.tobytes(), [1, 4], datatype)), array.tobytes()
        )
        in_binary = await ask(serving.web, "/v2/models/raw/infer", body, headers=headers)
    assert (in_json.status, in_binary.status) == (200, 200)
    assert in_json.json()["outputs"] == in_binary.json()["outputs"]
    assert in_json.json()["outputs"][0]["data"] == [3, 5, 7]


@pytest.mark.parametrize(
    ("dtype", "datatype", "values"),
    [
        ("float16", "FP16", [0.5, -2, 3]),
        ("uint16", "UINT16", [1, 2, 32767]),
        ("uint32", "UINT32", [1, 2, 3]),
        ("uint64", "UINT64", [1, 2, 3]),
        ("int8", "INT8", [1, -2, -64]),
        ("int16", "INT16", [1, -2, 3]),
        ("bool", "BOOL", [True, False, True]),
    ],
)
async def test_every_datatype_is_taken_in_json_and_in_binary(
    tmp_path: Path, dtype: str, datatype: str, values: list[Any]
) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    content = np.array([values], dtype).tobytes()
    given = tensor(values, [1, 3], datatype) | {"name": "x"}
    body, headers = behind(asking(binary_input(content, [1, 3], datatype) | {"name": "x"}), content)
    others = {"raw": Good(dtype=dtype)}
    config = Config(web=WebSettings(enabled=True), proof=ProofSettings(allow_unproven=True))
    async with running(tmp_path, config, others=others) as serving:
        in_json = await post(serving.web, "raw", asking(given))
        in_binary = await ask(serving.web, "/v2/models/raw/infer", body, headers=headers)
        in_words = await post(serving.web, "raw", asking(given | {"data": ["1", "2", "3"]}))
    assert in_json.json()["outputs"] == in_binary.json()["outputs"]
    assert in_json.json()["outputs"][0]["data"] == [2 * value + 1 for value in values]
    assert (in_words.status, "the values hold strings" in in_words.error) == (400, True)


@pytest.mark.parametrize("form", ["b64", "base64", "binary"])
async def test_byte_strings_are_pictures_for_the_recipe(serving: Running, form: str) -> None:
    pictures = [picture(3), picture(4)]
    texts = [base64.b64encode(each).decode() for each in pictures]
    headers: dict[str, str] = {}
    body: Any
    if form == "b64":
        body = asking(tensor([{"b64": each} for each in texts], [2], "BYTES"))
    elif form == "base64":
        body = asking(tensor(texts, [2, 1], "BYTES", content_type="base64"))
    else:
        framed = b"".join(len(each).to_bytes(4, "little") + each for each in pictures)
        body, headers = behind(asking(binary_input(framed, [2], "BYTES")), framed)
    reply = await ask(serving.web, "/v2/models/pictures/infer", body, headers=headers)
    assert reply.json()["outputs"][0]["data"] == [7, 7, 7, 9, 9, 9]
    answer = await open_inference(serving.channel).ModelInfer(infer_images(pictures))
    digest = answer.parameters["recipe_digest"].string_param
    assert reply.json()["parameters"]["recipe_digest"] == digest


async def test_labels_probabilities_and_classes_are_given_when_asked_for(web: str) -> None:
    body = asking(
        tensor([1, 2, 3, 4], [1, 4]),
        outputs=["label", "probabilities"],
        parameters={"top_k": 2},
    )
    label, probabilities = (await post(web, "logits", body)).json()["outputs"]
    assert (label["datatype"], label["shape"], label["data"]) == ("BYTES", [1, 2], ["owl", "dog"])
    assert sum(probabilities["data"]) == pytest.approx(1, abs=1e-6)
    classes = {"name": "scores", "parameters": {"classification": 1}}
    reply = await post(web, "logits", asking(tensor([1, 2, 3, 4], [1, 4]), outputs=[classes]))
    assert reply.json()["outputs"][0]["data"] == ["7.000000:2:owl"]


async def test_pictures_are_augmented_when_asked_for(web: str) -> None:
    text = base64.b64encode(picture(3)).decode()
    body = asking(tensor([{"b64": text}], [1], "BYTES"), parameters={"tta": "flip"})
    told = (await post(web, "pictures", body)).json()["parameters"]
    assert told["tta_policy"] == "flip"
    refused = await post(
        web, "pictures", asking(tensor([{"b64": text}], [1], "BYTES"), parameters={"tta_x": 1})
    )
    assert (refused.status, "unknown parameter" in refused.error) == (400, True)


@pytest.mark.parametrize("form", ["gzip", "deflate"])
async def test_requests_and_answers_may_be_compressed(web: str, form: str) -> None:
    pack = gzip.compress if form == "gzip" else zlib.compress
    unpack = gzip.decompress if form == "gzip" else zlib.decompress
    rows = asking(tensor([[1, 2, 3, 4]] * 6, [6, 4]), outputs=["handle", "scores"])
    headers = {"Content-Encoding": form, "Accept-Encoding": form}
    reply = await ask(
        web, "/v2/models/logits/infer", pack(json.dumps(rows).encode()), headers=headers
    )
    assert (reply.status, reply.headers["content-encoding"]) == (200, form)
    assert json.loads(unpack(reply.body))["outputs"][1]["data"][:3] == [3, 5, 7]


@pytest.mark.parametrize(
    ("model", "body", "status", "says"),
    [
        ("other", asking(tensor([1], [1, 1])), 404, "there is no model"),
        ("several/versions/9", asking(tensor([1], [1, 1])), 404, "has no version 9"),
        ("logits", asking(), 400, "expected exactly"),
        ("logits", asking(tensor([1, 2, 3], [1, 4])), 400, "expected"),
        ("logits", asking(tensor([1, 2, 3, "4"], [1, 4])), 400, "hold strings"),
        ("logits", asking(tensor([1, 2, 3, None], [1, 4])), 400, "hold null"),
        ("logits", asking(tensor([1, 2, 3, True], [1, 4])), 400, "hold booleans"),
        ("logits", asking(tensor([1, 2, 3, 1e300], [1, 4])), 400, "beyond FP32"),
        ("logits", asking(tensor([[1, 2], [3, 4, 5]], [1, 4])), 400, "one shape"),
        ("logits", asking(tensor([1, 2, 3, 4], [4])), 400, "expected float32 [rows, 4]"),
        ("logits", asking(tensor([1, 2, 3, 4], [1, 4], "FP99")), 400, "datatype"),
        ("logits", asking(tensor([1, 2, 3, 4], [1, 4], "INT32")), 400, "expected float32"),
        ("logits", asking(tensor([1, 2, 3, 4], [1, 4]), outputs=["x"]), 400, "unexpected"),
        ("logits", asking(tensor([1] * 40, [10, 4])), 400, "rows"),
        ("logits", asking(tensor([1, 2, 3, 4], [1, 4]), parameters={"priority": 1}), 501, "0"),
        ("logits", {"inputs": 5}, 400, "no list"),
        ("logits", {"inputs": [5]}, 400, "no JSON object"),
        ("logits", {"inputs": [{"name": 5}]}, 400, "no string"),
        ("logits", {"inputs": [tensor([1], ["x"])]}, 400, "no shape"),  # type: ignore[list-item] # hostile
        ("logits", {"inputs": [tensor([1], [1 << 63])]}, 400, "beyond 64 bits"),
        ("logits", {"inputs": [], "parameters": {"x": []}}, 400, "no boolean"),
        ("logits", {"inputs": [], "parameters": []}, 400, "no JSON object"),
        ("pictures", asking(tensor([5], [1], "BYTES")), 400, "no string"),
        ("pictures", asking(tensor([{"b64": "?"}], [1], "BYTES")), 400, "no base64"),
        ("pictures", asking(tensor(["no picture"], [1], "BYTES")), 400, "unknown format"),
    ],
)
async def test_what_cannot_be_answered_is_refused_as_over_grpc(
    serving: Running, model: str, body: Body, status: int, says: str
) -> None:
    reply = await post(serving.web, model, body)
    assert (reply.status, says in reply.error) == (status, True), reply.body
    assert reply.headers["x-request-id"]
    assert serving.log.unforeseen() == []


async def test_shapes_that_speak_of_terabytes_take_no_memory(web: str) -> None:
    reply = await post(web, "logits", asking(tensor([1], [1 << 40, 4])))
    assert reply.status == 400


@pytest.mark.parametrize(
    ("length", "body", "says"),
    [
        ("x", b"{}", "no number"),
        ("9", b"{}", "the body has 2 bytes"),
        ("13", b'{"inputs":[]}abc', "3 bytes come after"),
    ],
)
async def test_the_length_of_the_json_is_checked(
    web: str, length: str, body: bytes, says: str
) -> None:
    headers = {"Inference-Header-Content-Length": length}
    reply = await ask(web, "/v2/models/logits/infer", body, headers=headers)
    assert (reply.status, says in reply.error) == (400, True), reply.body


@pytest.mark.parametrize("size", [-1, 17, 1.5, True, "16"])
async def test_the_size_of_binary_data_is_checked(web: str, size: Any) -> None:
    given = binary_input(bytes(16), [1, 4])
    given["parameters"]["binary_data_size"] = size
    body, headers = behind(asking(given), bytes(16))
    reply = await ask(web, "/v2/models/logits/infer", body, headers=headers)
    assert (reply.status, "binary_data_size" in reply.error) == (400, True), reply.body


async def test_what_the_server_and_its_models_are(web: str) -> None:
    async def told(path: str, verb: str = "GET") -> Any:
        reply = await ask(web, path, verb=verb)
        assert reply.status == 200, reply.body
        return reply.json() if reply.body else None

    assert await told("/v2/health/live") is None
    assert await told("/v2/health/ready") is None
    assert await told("/v2/models/logits/ready") is None
    assert (await told("/v2"))["name"] == "batchproof"
    metadata = await told("/v2/models/several")
    assert metadata["versions"] == ["1", "2"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 4]}]
    config = await told("/v2/models/several/versions/1/config")
    assert (config["max_batch_size"], config["input"][0]["dims"]) == (3, [4])
    index = await told("/v2/repository/index", "POST")
    assert ("several", "2", "READY") in [
        (each["name"], each["version"], each["state"]) for each in index
    ]
    assert (await ask(web, "/v2/models/other/ready")).status == 503
    assert (await ask(web, "/v2/models/other")).status == 404


async def test_statistics_count_requests_over_http(web: str) -> None:
    await post(web, "logits", asking(tensor([[1, 2, 3, 4]] * 3, [3, 4])))
    for path in ("/v2/models/logits/versions/1/stats", "/v2/models/logits/stats"):
        (told,) = (await ask(web, path)).json()["model_stats"]
        assert (told["inference_count"], told["execution_count"]) == (3, 1)
        assert told["inference_stats"]["success"]["count"] == 1
    every = (await ask(web, "/v2/models/stats")).json()["model_stats"]
    assert len(every) == 5


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/models/logits/load",
        "/v2/repository/models/logits/unload",
        "/v2/systemsharedmemory/status",
        "/v2/systemsharedmemory/region/x/register",
        "/v2/cudasharedmemory/region/x/unregister",
        "/v2/models/logits/trace/setting",
        "/v2/trace/setting",
        "/v2/logging",
    ],
)
async def test_what_is_not_done_here_says_so(web: str, path: str) -> None:
    reply = await ask(web, path, {})
    assert (reply.status, len(reply.error.split()) > 3) == (501, True)
