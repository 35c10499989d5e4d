"""From TensorFlow's functions to a model of OpenVINO, of which only the number of rows is open.

Importing this module imports TensorFlow and OpenVINO.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import tensorflow as tf

from batchproof_server.backends.foreign_faults import first_line
from batchproof_server.backends.openvino.intermediate import OpenVinoSource
from batchproof_server.backends.openvino.runtime import openvino
from batchproof_server.backends.source import GraphSource
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import Signature
from batchproof_server.proof.graph.operations import operation_types

# OpenVINO leaves these out without a word, so that it would answer rows that the model refuses.
_CHECKS: Final = frozenset({"Assert", "CheckNumerics", "CheckNumericsV2"})
# What OpenVINO computes in another precision on processors: numbers of 64 bits in 32, and
# halves in float32.
_OTHER_PRECISION: Final = frozenset({"f64", "f16", "bf16", "u64", "u32"})


def convert(source: GraphSource, buckets_rows: tuple[int, ...]) -> OpenVinoSource:
    """The same model in OpenVINO's form.

    Raises:
        ModelRefused: an input or output cannot be served; or OpenVINO cannot read the model, would
            leave out a part of it, or would compute it in another precision.
    """
    signature = source.signature(buckets_rows)
    _refuse(
        f'input "{spec.name}" is {spec}; OpenVINO is given one size only'
        for spec in signature.inputs
        if None in spec.row_shape
    )
    function = source.function_of_any_rows()
    _refuse(
        f"OpenVINO leaves out the model's {name}, which refuses rows"
        for name in sorted(_CHECKS & operation_types(function))
    )
    _refuse(
        f'OpenVINO computes the {spec.dtype.name} of the input "{spec.name}" in 32 bits'
        for spec in signature.inputs
        if spec.dtype.itemsize > _WORD_BYTES
    )
    try:
        # Weights that are shared with TensorFlow lie in memory that nothing keeps: it is given away
        # when the variables are collected, and the model answers with whatever stands there then.
        model = openvino.convert_model(_numbered(function, signature), share_weights=False)
    except Exception as fault:  # OpenVINO and TensorFlow raise what they like
        raise ModelRefused(
            "the model cannot be converted", (f"OpenVINO: {first_line(str(fault), fault)}",)
        ) from fault
    _refuse(
        f"OpenVINO computes the {name} of this model in another precision"
        for name in sorted(_element_types(model) & _OTHER_PRECISION)
    )
    return OpenVinoSource(model, signature)


_WORD_BYTES: Final = 4


def _refuse(findings: Iterator[str]) -> None:
    if found := tuple(findings):
        raise ModelRefused("OpenVINO does not compute this model as it is", found)


def _numbered(function: Any, signature: Signature) -> Any:
    """The same function with outputs by number: names of the inside may be those of an output."""

    def answer(*tensors: Any) -> Mapping[str, Any]:
        outputs = function(*tensors)
        return {
            f"output_{number}": tf.identity(outputs[spec.name])
            for number, spec in enumerate(signature.outputs)
        }

    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=f"input_{number}")
        for number, tensor in enumerate(function.inputs[: len(signature.inputs)])
    ]
    return tf.function(answer, input_signature=specs, autograph=False).get_concrete_function()


def _element_types(model: openvino.Model) -> frozenset[str]:
    return frozenset(
        output.element_type.get_type_name() for node in model.get_ops() for output in node.outputs()
    )
