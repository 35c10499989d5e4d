"""Test-time augmentation over the Open Inference Protocol v2: the same bits as over our own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from batchproof.compat import inference_pb2 as pb
from batchproof.v1 import prediction_pb2 as own
from support.bundles_on_disk import picture
from support.compat_requests import infer, infer_images, outputs_of
from support.running import Running, failure, running
from system.bundles import encoded, write_affine

MANIFEST = """
format = 1
output = { kind = "logits" }
[recipe]
resize = { width = 8, height = 8, library = "pillow", method = "bilinear", policy = "stretch" }
"""


def asked(images: list[bytes], **parameters: Any) -> pb.ModelInferRequest:
    """A request with parameters, each in the field of its type."""
    request = infer_images(images)
    request.outputs.add(name="probabilities")
    fields = {str: "string_param", float: "double_param", int: "int64_param", bool: "bool_param"}
    for name, value in parameters.items():
        setattr(request.parameters[name], fields[type(value)], value)
    return request


async def test_the_parameters_give_the_bits_of_our_own_protocol(
    tmp_path: Path, service: Callable[[Running], Any]
) -> None:
    write_affine(tmp_path / "pictures" / "1", (8, 8, 3), MANIFEST, scale=0.03)
    images = [encoded("PNG"), encoded("PNG", 31)]
    views = ("identity", "noise(0.1)", "shift(0.1,0)")
    for parameters, tta in (
        ({"tta": "crops"}, own.TestTimeAugmentation(policy="crops")),
        (
            {
                "tta_views": "; ".join(views),
                "tta_aggregation": "vote",
                "tta_early_exit": 0.9999,
                "tta_seed": 7,
            },
            own.TestTimeAugmentation(views=views, aggregation="vote", early_exit=0.9999, seed=7),
        ),
    ):
        async with running(tmp_path) as serving:
            theirs = await service(serving).ModelInfer(asked(images, **parameters))
            request = own.PredictRequest(
                options=own.PredictOptions(tta=tta, return_probabilities=True)
            )
            request.images.contents.extend(images)
            ours = await serving.stub.Predict(request)
        expected = [np.array(row.probabilities, np.float32) for row in ours.rows]
        assert outputs_of(theirs)["probabilities"].tobytes() == np.stack(expected).tobytes()
        said = ours.provenance.tta
        assert theirs.parameters["tta_policy"].string_param == said.policy
        assert theirs.parameters["tta_policy_digest"].string_param == said.policy_digest
        assert theirs.parameters["tta_seed"].uint64_param == said.seed


async def test_warnings_come_with_the_answer_and_plain_answers_say_nothing(stub: Any) -> None:
    flipped = await stub.ModelInfer(asked([picture()], tta="flip"))
    assert flipped.parameters["tta_warnings"].string_param.startswith("hflip: may show something")
    plain = await stub.ModelInfer(asked([picture()]))
    assert [name for name in plain.parameters if name.startswith("tta")] == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tta": "flop"}, 'options.tta: unknown policy "flop", one of none, flip, d4'),
        ({"tta": 3}, 'parameter "tta" is in int64_param, expected string_param'),
        ({"tta": "flip", "tta_seed": 0.5}, "expected int64_param or uint64_param"),
        ({"tta": "flip", "tta_seed": -1}, "seed"),
        ({"tta": "flip", "tta_early_exit": "high"}, "expected double_param"),
        ({"tta": "flip", "tta_early_exit": 1.5}, "early_exit"),
        ({"tta": "flip", "tta_views": "identity"}, "policy and views are both given"),
        ({"tta_views": "identity;;hflip"}, 'view "" is not written name'),
        ({"tta_aggregation": "median"}, 'unknown aggregation "median"'),
        ({"tta_sede": 1}, 'unknown parameter "tta_sede", expected one of tta, tta_views'),
    ],
)
async def test_bad_parameters_are_refused_with_what_is_expected(
    stub: Any, parameters: dict[str, Any], message: str
) -> None:
    call = stub.ModelInfer(asked([picture()], **parameters))
    error = await failure(call)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert message in (error.details() or "")


async def test_numbers_cannot_be_augmented(stub: Any) -> None:
    request = infer([[1, 2, 3, 4]], "logits")
    request.parameters["tta"].string_param = "flip"
    error = await failure(stub.ModelInfer(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == 'parameter "tta": the inputs are numbers, expected encoded pictures'
