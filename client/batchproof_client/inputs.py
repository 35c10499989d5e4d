"""What a caller gives, turned into a request of the wire contract.

Paths, bytes, open files and Pillow images are encoded pictures: they go through the model's recipe.
Arrays are tensors: they go to the model exactly as they are, whatever they look like; nothing is
cast, scaled or resized. A uint8 array for a model of another dtype is therefore refused, since it
is a picture: whoever wants the recipe sends the file, or a Pillow image made of it.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from batchproof.tensors import TensorError, fill
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client.augmentation import Augmentation, augmentation_of
from batchproof_client.descriptions import TensorSpec
from batchproof_client.encoded import BLOCKING, ENCODED, EncodedImage, content_of
from batchproof_client.errors import LocalInputError

Array: TypeAlias = npt.NDArray[Any]
Image: TypeAlias = EncodedImage | Array | Mapping[str, Array] | Sequence[EncodedImage | Array]

_MAX_REQUEST_ID_CHARACTERS: Final = 128
_PICTURE_AXES: Final = 2
_MAX_TOP_K: Final = 2**32 - 1


@dataclass(frozen=True, slots=True, eq=False)
class PredictRequest:
    """One question.

    Attributes:
        image: a picture as path, bytes, open file or Pillow image; an array (rows on axis 0, or one
            row) for a model of one input; a mapping of input names to arrays with rows on axis 0;
            or a list of pictures, or of arrays of one row each.
        model: ``"name"``, ``"name:3"`` (version), ``"name@label"``; None when there is only one.
        top_k: how many classes to name for each row, best first.
        return_probabilities: whether to return the probabilities of all classes.
        return_logits: whether to return the logits, which only some models have.
        request_id: printable ASCII, 128 characters at most; empty to have one made.
        tta: test-time augmentation of pictures: a policy's name or more; None leaves it to the
            model's manifest.
    """

    image: Image
    model: str | None = None
    top_k: int = 5
    return_probabilities: bool = False
    return_logits: bool = False
    request_id: str = ""
    tta: str | Augmentation | None = None


def selector_of(model: str | None) -> pb.ModelSelector:
    """Parses the name of a model, with its version or label.

    Raises:
        LocalInputError: it is none of ``name``, ``name:3`` and ``name@label``.
    """
    if model is not None and not _is_text(model):
        raise _bad_selector(model)
    name, version_mark, version = (model or "").partition(":")
    name, label_mark, label = name.partition("@")
    if (version_mark and label_mark) or (label_mark and not label):
        raise _bad_selector(model)
    if version_mark:
        if not (version.isascii() and version.isdecimal()) or int(version) >= 2**63:
            raise _bad_selector(model)
        return pb.ModelSelector(name=name, version=int(version))
    return pb.ModelSelector(name=name, label=label) if label else pb.ModelSelector(name=name)


# What callers without a type checker may pass.
def _is_whole(value: object) -> bool:
    return isinstance(value, int)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _bad_selector(model: object) -> LocalInputError:
    return LocalInputError(f'model is "{model}", expected "name", "name:3" or "name@label"')


def message_of(request: PredictRequest, request_id: str) -> pb.PredictRequest:
    """Builds everything of the message but its input.

    Raises:
        LocalInputError: a value is outside what the contract allows.
    """
    if not _is_whole(request.top_k) or not 0 <= request.top_k <= _MAX_TOP_K:
        raise LocalInputError(f"top_k is {request.top_k}, expected a whole number, 0 or more")
    try:
        return _message(request, request_id)
    except (TypeError, ValueError) as unfit:  # an option of another type
        if isinstance(unfit, LocalInputError):
            raise
        raise LocalInputError(f"an option cannot be sent: {unfit}") from unfit


def _message(request: PredictRequest, request_id: str) -> pb.PredictRequest:
    return pb.PredictRequest(
        request_id=request_id,
        model=selector_of(request.model),
        options=pb.PredictOptions(
            top_k=request.top_k,
            return_probabilities=request.return_probabilities,
            return_logits=request.return_logits,
            tta=None if request.tta is None else augmentation_of(request.tta).message(),
        ),
    )


def request_id_of(request_id: str) -> str:
    """Returns the id given, or a new one.

    Raises:
        LocalInputError: it is not printable ASCII, or too long.
    """
    if not request_id:
        return uuid.uuid4().hex
    if not (_is_text(request_id) and request_id.isascii() and request_id.isprintable()):
        raise LocalInputError("request_id is not printable ASCII")
    if len(request_id) > _MAX_REQUEST_ID_CHARACTERS:
        raise LocalInputError(
            f"request_id has {len(request_id)} characters,"
            f" expected {_MAX_REQUEST_ID_CHARACTERS} at most"
        )
    return request_id


def needs_signature(image: Image) -> bool:
    """Whether the model must be asked for its input's name first: arrays without a name."""
    return isinstance(image, np.ndarray) or (
        isinstance(image, Sequence)
        and not isinstance(image, ENCODED)
        and len(image) > 0
        and isinstance(image[0], np.ndarray)
    )


def touches_files(image: Image) -> bool:
    """Whether reading the image may take a while."""
    if isinstance(image, BLOCKING):
        return True
    return (
        isinstance(image, Sequence)
        and not isinstance(image, ENCODED)
        and any(isinstance(each, BLOCKING) for each in image)
    )


def read_images(image: Image) -> list[bytes]:
    """Reads one picture or a list of pictures.

    Raises:
        LocalInputError: a file cannot be read or is empty, the list is empty, or an element is not
            a picture.
    """
    if isinstance(image, ENCODED):
        return [content_of(image)]
    if not isinstance(image, Sequence):
        raise LocalInputError(
            f"image is {type(image).__name__},"
            " expected a path, bytes, an open file, a Pillow image, an array, a mapping of arrays,"
            " or a list of these"
        )
    if not image:
        raise LocalInputError("the list of images is empty, expected 1 or more")
    return [content_of(each) for each in image]


def write_tensors(message: pb.PredictRequest, tensors: Mapping[str, Array]) -> None:
    """Puts arrays by input name into a request, as they are.

    Raises:
        LocalInputError: there is none, or the contract cannot carry one.
    """
    if not tensors:
        raise LocalInputError("the mapping of tensors is empty, expected 1 or more")
    for name, array in tensors.items():
        try:
            fill(message.tensors.tensors[name], np.asarray(array))
        except TensorError as unfit:
            raise LocalInputError(f'input "{name}": {unfit}') from unfit


def array_for(image: Any, inputs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Names a bare array, and adds the row axis where it is missing.

    Raises:
        LocalInputError: the model has several inputs, the arrays of a list differ in shape, or they
            are pixels and the input is not.
    """
    if len(inputs) != 1:
        names = ", ".join(f'"{spec.name}"' for spec in inputs) or "none"
        raise LocalInputError(
            f"the model has the inputs {names}, expected exactly 1 for an array without a name"
        )
    spec = inputs[0]
    _check_is_no_picture(image if isinstance(image, np.ndarray) else image[0], spec)
    if isinstance(image, np.ndarray):
        one_row = image.ndim == len(spec.shape) - 1
        return {spec.name: image[np.newaxis] if one_row else image}
    return {spec.name: _stacked(image)}


def _check_is_no_picture(array: object, spec: TensorSpec) -> None:
    if not isinstance(array, np.ndarray) or array.ndim < _PICTURE_AXES:
        return
    if array.dtype == np.uint8 and spec.dtype != "uint8":
        raise LocalInputError(
            f"the array is uint8 {list(array.shape)} and the model's input {spec.dtype}"
            f" {list(spec.shape)}: pixels go through the recipe as an encoded picture, so send the"
            " file, or PIL.Image.fromarray(array); an array is sent as the tensor that it is, so"
            f" cast it to {spec.dtype} if it is the model's input already"
        )


def _stacked(rows: Any) -> Array:
    for row in rows:
        if not isinstance(row, np.ndarray):
            raise LocalInputError(
                f"an element of the list is {type(row).__name__}, expected an array like the first"
            )
        if row.shape != rows[0].shape or row.dtype != rows[0].dtype:
            raise LocalInputError(
                f"an array of the list is {row.dtype} {list(row.shape)},"
                f" expected {rows[0].dtype} {list(rows[0].shape)} like the first"
            )
    return np.stack(rows)
