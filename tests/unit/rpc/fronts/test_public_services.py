"""Reflection shows the contracts of others under their public names, beside ours."""

from typing import Any

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from batchproof.compat import inference_pb2, tensorflow_serving_pb2
from batchproof.v1 import prediction_pb2
from batchproof_server.rpc.fronts.reflection import reflection_pool
from batchproof_server.rpc.methods import MethodSpec, Service, service_of


async def nothing(_message: Any, _call: Any) -> None:
    """A behaviour for every method."""


def everything(service: ServiceDescriptor) -> Service:
    """A service whose methods do nothing."""
    spec = MethodSpec(nothing)
    return service_of(service, {method.name: spec for method in service.methods})


@pytest.fixture
def pool() -> DescriptorPool:
    """What reflection shows."""
    services = [
        everything(inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]),
        everything(tensorflow_serving_pb2.DESCRIPTOR.services_by_name["PredictionService"]),
        everything(tensorflow_serving_pb2.DESCRIPTOR.services_by_name["ModelService"]),
        everything(prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"]),
    ]
    assert [service.name for service in services] == [
        "inference.GRPCInferenceService",
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "batchproof.v1.PredictionService",
    ]
    return reflection_pool([service.descriptor for service in services])


def test_the_services_have_their_public_names_and_messages(pool: DescriptorPool) -> None:
    method = pool.FindMethodByName("inference.GRPCInferenceService.ModelInfer")
    assert method.input_type.full_name == "inference.ModelInferRequest"
    method = pool.FindMethodByName("tensorflow.serving.PredictionService.Predict")
    assert method.output_type.full_name == "tensorflow.serving.PredictResponse"


def test_the_types_of_fields_are_public_too(pool: DescriptorPool) -> None:
    entry: Any = pool.FindFieldByName("tensorflow.serving.PredictRequest.inputs").message_type
    assert entry.fields_by_name["value"].message_type.full_name == "tensorflow.TensorProto"
    states: Any = pool.FindFieldByName("tensorflow.serving.ModelVersionStatus.state").enum_type
    assert states.full_name == "tensorflow.serving.ModelVersionStatus.State"


def test_our_own_service_is_shown_as_it_is(pool: DescriptorPool) -> None:
    own = pool.FindServiceByName("batchproof.v1.PredictionService")
    assert own.full_name == "batchproof.v1.PredictionService"


def test_no_private_name_is_shown(pool: DescriptorPool) -> None:
    for name in ("batchproof.compat.inference.ModelInferRequest", "batchproof.compat.Any"):
        with pytest.raises(KeyError):
            pool.FindMessageTypeByName(name)


def test_a_method_without_behaviour_is_an_error_at_once() -> None:
    service = tensorflow_serving_pb2.DESCRIPTOR.services_by_name["ModelService"]
    with pytest.raises(KeyError, match="GetModelStatus"):
        service_of(service, {})
