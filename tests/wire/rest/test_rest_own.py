"""Our own REST API over a real port: one picture as the body, several in a form."""

from typing import Any

import numpy as np
import pytest

from batchproof.v1 import prediction_pb2 as pb
from support.bundles_on_disk import picture
from support.rest import Reply, ask
from support.running import Running

BOUNDARY = "between-the-parts"


def part(name: str, content: bytes, file: str = "") -> bytes:
    """A field of a form."""
    named = f'; filename="{file}"' if file else ""
    kind = "Content-Type: image/png\r\n" if file else ""
    head = f'Content-Disposition: form-data; name="{name}"{named}\r\n{kind}\r\n'
    return head.encode() + content


def form(*parts: bytes) -> bytes:
    """A whole form."""
    between = f"--{BOUNDARY}\r\n".encode()
    return b"".join(between + each + b"\r\n" for each in parts) + f"--{BOUNDARY}--\r\n".encode()


async def post_form(web: str, content: bytes, query: str = "") -> Reply:
    """Sends a form."""
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return await ask(web, f"/v1/predict{query}", content, headers=headers)


@pytest.mark.parametrize("verb", ["PUT", "POST"])
async def test_a_picture_is_the_body(serving: Running, verb: str) -> None:
    path = "/v1/predict?model=pictures&top_k=1&probabilities=true&logits=1"
    headers = {"Content-Type": "image/png"}
    reply = await ask(serving.web, path, picture(3), verb, headers)
    assert reply.status == 200, reply.body
    told = reply.json()
    assert told["request_id"] == reply.headers["x-request-id"]
    (row,) = told["rows"]
    assert [each["index"] for each in row["classes"]] == [0]
    selector = pb.ModelSelector(name="pictures")
    options = pb.PredictOptions(return_probabilities=True, return_logits=True)
    images = pb.EncodedImages(contents=[picture(3)])
    asked = pb.PredictRequest(model=selector, images=images, options=options)
    (expected,) = (await serving.stub.Predict(asked)).rows
    for name in ("probabilities", "logits"):
        got, wanted = np.array(row[name], np.float32), np.array(getattr(expected, name), np.float32)
        assert got.tobytes() == wanted.tobytes()
    assert (row["entropy"], row["margin"]) == (expected.entropy, expected.margin)
    assert told["provenance"]["model_digest"]


async def test_a_form_holds_pictures_and_options(web: str) -> None:
    content = form(
        part("model", b"pictures"),
        part("top_k", b"2"),
        part("a", picture(3), "a.png"),
        part("b", picture(4), "b.png"),
    )
    reply = await post_form(web, content)
    assert reply.status == 200, reply.body
    assert [len(row["classes"]) for row in reply.json()["rows"]] == [2, 2]


async def test_pictures_are_augmented(web: str) -> None:
    path = "/v1/predict?model=pictures&tta_views=identity;hflip&tta_aggregation=mean&tta_seed=4"
    reply = await ask(web, path, picture(3))
    assert reply.status == 200, reply.body
    told = reply.json()
    assert told["provenance"]["tta"]["views"] == ["identity", "hflip"]
    assert told["rows"][0]["tta"]["views_executed"] == 2


async def test_the_handle_of_an_answer_reports_its_ground_truth(serving: Running) -> None:
    reply = await ask(serving.web, "/v1/predict?model=pictures", picture(3))
    from batchproof.handles import handle_from_text  # noqa: PLC0415 - where it is used

    handle = handle_from_text(reply.json()["rows"][0]["handle"])
    outcome = pb.Outcome(handle=handle, class_index=0)
    await serving.stub.ReportOutcome(pb.ReportOutcomeRequest(outcomes=[outcome]))


@pytest.mark.parametrize(
    ("query", "content", "status", "says"),
    [
        ("?model=pictures", b"no picture", 400, "unknown format"),
        ("?model=pictures", None, 400, "no picture"),
        ("", picture(), 400, "the model's name is empty"),
        ("?model=other", picture(), 404, "there is no model"),
        ("?model=logits", picture(), 400, "recipe"),
        ("?model=pictures&version=x", picture(), 400, "whole number"),
        ("?model=pictures&version=9", picture(), 404, "no version 9"),
        ("?model=pictures&label=x", picture(), 404, "no version label"),
        ("?model=pictures&top_k=-1", picture(), 400, "whole number"),
        ("?model=pictures&top_k=99999999999", picture(), 400, "at most"),
        ("?model=pictures&probabilities=maybe", picture(), 400, "true or false"),
        ("?model=pictures&tta=x", picture(), 400, "unknown"),
        ("?model=pictures&tta_early_exit=x", picture(), 400, "a number"),
        ("?model=pictures&x=1", picture(), 400, "unknown option"),
        ("?" + "&".join("x" * 65), picture(), 400, "more than 64 parts"),
    ],
)
async def test_bad_requests_say_what_was_expected(
    serving: Running, query: str, content: Any, status: int, says: str
) -> None:
    reply = await ask(serving.web, f"/v1/predict{query}", content, "POST")
    assert (reply.status, says in reply.error) == (status, True), reply.body
    assert serving.log.unforeseen() == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no end"),
        (b"--between-the-parts--\r\n", "no picture"),
        (form(part("a", picture(), "a.png"))[:-8], "no end"),
        (form(b"no headers"), "no headers"),
        (form(b"Content-Type: image/png\r\n\r\n"), "no name"),
        (form(b"X: " + b"x" * 5_000 + b"\r\n\r\n"), "too long"),
        (form(part("model", b"\xff")), "UTF-8"),
        (form(part("model", b"x" * 5_000)), "4096 bytes"),
        (form(*[part("a", b"", "a.png")] * 30), "more than 17 parts"),
        (form(*[part("a", picture(), "a.png")] * 8, part("model", b"pictures")), "rows"),
    ],
)
async def test_broken_forms_say_what_was_expected(web: str, content: bytes, says: str) -> None:
    reply = await post_form(web, content)
    assert (reply.status, says in reply.error) == (400, True), reply.body


async def test_a_form_needs_a_boundary(web: str) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    reply = await ask(web, "/v1/predict", b"x", headers=headers)
    assert (reply.status, "boundary" in reply.error) == (400, True)
