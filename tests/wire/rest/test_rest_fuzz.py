"""Whatever comes is answered, and never with 500: one wrong thing at each place, spoilt bytes."""

import asyncio
import base64
import copy
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from batchproof_server.web.rest.port import RestPort
from support.bundles_on_disk import picture
from support.rest import conversation, request_bytes
from support.running import Running

SPOILT = 150
_B64 = {"b64": base64.b64encode(picture()).decode()}
_TENSOR = {"name": "image", "shape": [1, 4], "datatype": "FP32", "data": [[1, 2, 3, 4.5]]}
_PARAMETERS = {"top_k": 1, "timeout": 1_000_000, "binary_data_output": False}
_OUTPUT = {"name": "label", "parameters": {"classification": 0, "binary_data": False}}
BODIES: dict[str, Any] = {
    "/v2/models/logits/infer": {
        "id": "mine",
        "parameters": _PARAMETERS,
        "inputs": [_TENSOR],
        "outputs": [_OUTPUT],
    },
    "/v2/models/pictures/infer": {
        "inputs": [
            {
                "name": "image",
                "shape": [1],
                "datatype": "BYTES",
                "data": [_B64],
                "parameters": {"content_type": "base64"},
            }
        ],
        "parameters": {"tta": "flip", "tta_views": "", "tta_early_exit": 0.5, "tta_seed": 1},
    },
    "/v1/models/logits:predict": {
        "instances": [{"image": [1, 2, 3, 4]}],
        "signature_name": "serving_default",
        "output_filter": ["label", "scores"],
    },
    "/v1/models/pictures:predict": {"inputs": {"image": [_B64]}},
    "/v1/models/several/labels/stable:predict": {"inputs": [[1, 2, 3, 4]]},
    "/v2/repository/index": {"ready": True},
}
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    (1 << 63) - 1,
    1 << 64,
    -(1 << 70),
    "",
    "\u0000\ufffd",
    "FP16",
    [],
    [[]],
    [[], [1]],
    {},
    {"b64": ""},
    {"b64": None},
    {"x": {"x": {}}},
    [1, "x", None],
    "x" * 10_000,
)


def with_one_wrong(value: Any) -> Iterator[Any]:
    """Copies of a body with something hostile at one place, or without it."""
    for path in list(_paths(value)):
        for hostile in HOSTILE:
            yield _changed(value, path, hostile)
        if path:
            yield _changed(value, path, None, removes=True)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(inner, (*path, key))


def _changed(value: Any, path: tuple[Any, ...], to: Any, *, removes: bool = False) -> Any:
    if not path:
        return to
    changed = copy.deepcopy(value)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    if removes:
        del holder[path[-1]]
    else:
        holder[path[-1]] = to
    return changed


@pytest.mark.parametrize("path", BODIES)
async def test_a_wrong_thing_at_any_place_of_a_body_is_answered(
    serving: Running, path: str
) -> None:
    async with conversation(serving.web) as talk:
        for body in with_one_wrong(BODIES[path]):
            reply = await talk.ask(path, body, "POST")
            assert reply.status in {200, 400, 404, 501, 504}, (body, reply.body)
    assert serving.log.unforeseen() == []


@pytest.mark.parametrize("path", BODIES)
async def test_spoilt_bytes_of_a_request_are_answered_or_given_up(
    serving: Running, path: str
) -> None:
    content = json.dumps(BODIES[path]).encode()
    headers = {
        "Content-Type": "application/json",
        "Inference-Header-Content-Length": str(len(content)),
        "X-Request-Timeout": "1.5",
        "Connection": "close",
    }
    whole = request_bytes(path, content, "POST", headers)
    chance = random.Random(path)  # noqa: S311 - the same spoilt bytes each time
    (port,) = [each.listener for each in serving.server.ports if each.name == "web"]
    assert isinstance(port, RestPort)
    names = ("head_timeout_s", "body_timeout_s", "idle_timeout_s")
    soon: dict[str, Any] = dict.fromkeys(names, 0.3)
    port.settings = replace(port.settings, **soon)

    async def answer_to(spoilt: bytes) -> bytes:
        try:
            async with conversation(serving.web) as talk:
                await talk.send(spoilt)
                return await talk.end()
        except ConnectionError:  # given up before this test, on a busy machine, had sent it
            return b""

    spoilts = [_spoilt(whole, chance) for _ in range(SPOILT)]
    answers = await asyncio.gather(*map(answer_to, spoilts))
    for spoilt, answer in zip(spoilts, answers, strict=True):
        assert b"HTTP/1.1 500" not in answer, (spoilt, answer)
    assert any(b"HTTP/1.1 400" in answer for answer in answers)
    assert serving.log.unforeseen() == []


_INSERTED = (b'"', b"[" * 2_000, b"\r\n", b"\x00", b"9" * 30)


def _spoilt(whole: bytes, chance: random.Random) -> bytes:
    spoilt = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(spoilt))
        match chance.randrange(4):
            case 0:
                spoilt[place] = chance.randrange(256)
            case 1:
                del spoilt[place : place + chance.randint(1, 20)]
            case 2:
                spoilt[place:place] = spoilt[chance.randrange(len(spoilt)) :][:20]
            case _:
                spoilt[place:place] = chance.choice(_INSERTED)
    return bytes(spoilt)
