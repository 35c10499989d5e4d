"""Opens models that OpenVINO reads by itself: its own form, and ONNX.

Importing this module imports OpenVINO.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from batchproof_server.backends.foreign_faults import finding
from batchproof_server.backends.openvino.intermediate import OpenVinoSource
from batchproof_server.backends.openvino.runtime import openvino_core
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import Signature, TensorSpec
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.rules import found

# What breaks the promise by its type alone, in OpenVINO's names.
_BROKEN: Final = {
    "Assign": "BP203",
    "ReadValue": "BP203",
    "RandomUniform": "BP204",
    "Multinomial": "BP204",
}


class UnreadSource(OpenVinoSource):
    """A model whose rows nobody follows: only its operations' types are looked at."""

    def audit_graphs(self, buckets_rows: tuple[int, ...]) -> tuple[Finding, ...]:
        """What keeps state or draws at random; and that the rest was not read."""
        del buckets_rows
        broken = {(_BROKEN[kind], kind) for kind in _types(self.model) if kind in _BROKEN}
        unread = found("BP305", "model", "the audit does not read graphs of OpenVINO and ONNX")
        return (*(found(rule_id, kind) for rule_id, kind in sorted(broken)), unread)


def _types(model: Any) -> Iterator[str]:
    """The types of all operations, those in the bodies of loops and branches too."""
    for node in model.get_ops():
        yield node.get_type_name()
        for body in ("get_function", "get_body"):
            if hasattr(node, body):
                yield from _types(getattr(node, body)())


def open_model(artefact: Path, file: str) -> OpenVinoSource:
    """Reads a model, with inputs and outputs by their names in it.

    Args:
        artefact: its file, or the directory that it lies in.
        file: its name.

    Raises:
        ModelRefused: it is missing, broken, or its inputs or outputs cannot be served.
    """
    path = artefact / file if artefact.is_dir() else artefact
    try:
        model = openvino_core().read_model(path)
    except Exception as fault:  # OpenVINO raises what it likes
        raise ModelRefused(f"{file} cannot be read by OpenVINO", (finding(path, fault),)) from fault
    inputs, outputs = tuple(_specs(model.inputs)), tuple(_specs(model.outputs))
    faults = tuple(_faults("input", inputs)) + tuple(_faults("output", outputs))
    if faults or not inputs or not outputs:
        raise ModelRefused(
            "the model's inputs or outputs cannot be served", faults or ("signature: it is empty",)
        )
    return UnreadSource(model, Signature(inputs, outputs))


def _specs(ports: Iterable[Any]) -> Iterator[TensorSpec]:
    for number, port in enumerate(ports):
        sizes = list(port.partial_shape)[1:] if port.partial_shape.rank.is_static else []
        yield TensorSpec(
            port.get_any_name() if port.get_names() else f"tensor_{number}",
            port.element_type.to_dtype(),
            tuple(None if size.is_dynamic else size.get_length() for size in sizes),
        )


def _faults(side: str, specs: tuple[TensorSpec, ...]) -> Iterator[str]:
    for spec in specs:
        if spec.dtype.kind not in "biuf" or (spec.dtype.itemsize > _WORD_BYTES and side == "input"):
            yield f'{side} "{spec.name}" is {spec}, expected numbers of 32 bits or fewer'
        if side == "input" and None in spec.row_shape:
            yield f'input "{spec.name}" is {spec}, expected one size'
        if side == "input" and not spec.row_shape:
            yield f'input "{spec.name}" is {spec}, expected rows of one dimension or more'


_WORD_BYTES: Final = 4
