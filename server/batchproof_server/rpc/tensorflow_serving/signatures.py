"""The signatures of a model, as TensorFlow Serving names them."""

from typing import Final

from batchproof.compat import tensorflow_pb2
from batchproof.compat import tensorflow_serving_pb2 as pb
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.models.served import ServedModel
from batchproof_server.rpc.tensorflow_serving.tensors import images_info, tensor_info

_SERVING_DEFAULT: Final = "serving_default"
# Not TensorFlow Serving's: the same model, its input as encoded pictures.
_ENCODED_IMAGES: Final = "encoded_images"
_PREDICT_METHOD: Final = "tensorflow/serving/predict"


def signature_name(spec: pb.ModelSpec, model: ServedModel) -> str:
    """The signature that a request names.

    Raises:
        InvalidInput: the model has no such signature.
    """
    name = spec.signature_name or _SERVING_DEFAULT
    known: tuple[str, ...] = (_SERVING_DEFAULT,)
    if model.loaded.recipe is not None:
        known = (_SERVING_DEFAULT, _ENCODED_IMAGES)
    if name not in known:
        names = ", ".join(f'"{each}"' for each in known)
        raise InvalidInput(
            f'Serving signature key "{cut(name)}" not found; expected one of {names}'
        )
    return name


def signatures_of(model: ServedModel) -> pb.SignatureDefMap:
    """What the model takes: tensors, and encoded pictures where it has a recipe."""
    signature = model.loaded.backend.signature
    outputs = {spec.name: tensor_info(spec) for spec in signature.outputs}
    signatures = {_SERVING_DEFAULT: {spec.name: tensor_info(spec) for spec in signature.inputs}}
    if model.loaded.recipe is not None:
        name = signature.inputs[0].name
        signatures[_ENCODED_IMAGES] = {name: images_info(name)}
    return pb.SignatureDefMap(
        signature_def={
            name: tensorflow_pb2.SignatureDef(
                inputs=inputs, outputs=outputs, method_name=_PREDICT_METHOD
            )
            for name, inputs in signatures.items()
        }
    )
