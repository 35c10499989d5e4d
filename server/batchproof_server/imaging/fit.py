"""Whether a recipe and a model's input belong together."""

import dataclasses

import numpy as np

from batchproof_server.base.signature import TensorSpec
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.resize import ResizePlan, check_short_side
from batchproof_server.imaging.settings import RecipePlan

_IMAGE_AXES = 3
_GREY_AXES = 2


def fit_to_input(plan: RecipePlan, spec: TensorSpec, plugs: Plugs) -> RecipePlan:
    """The plan with the size that it leaves to the model.

    Raises:
        InvalidSettings: with every fault, each beginning with its path.
    """
    last = channels_last(plan, spec)
    sized = dataclasses.replace(plan, resize=_sized(plan.resize, last))
    faults = [*_unregistered(sized, plugs), *_misfits(sized, last, spec)]
    if faults:
        raise InvalidSettings(tuple(faults))
    return sized


def channels_last(plan: RecipePlan, spec: TensorSpec) -> TensorSpec:
    """The input as it would be with its channels last: [height, width, channels]."""
    if plan.layout != "channels_first" or len(spec.row_shape) != _IMAGE_AXES:
        return spec
    channels, height, width = spec.row_shape
    return dataclasses.replace(spec, row_shape=(height, width, channels))


def _sized(resize: ResizePlan | None, spec: TensorSpec) -> ResizePlan | None:
    if resize is None or resize.width is not None or len(spec.row_shape) < _GREY_AXES:
        return resize
    height, width = spec.row_shape[:2]
    return dataclasses.replace(resize, width=width, height=height)


def _unregistered(plan: RecipePlan, plugs: Plugs) -> list[str]:
    faults = []
    if plan.decoder not in plugs.decoders:
        faults.append(f"recipe.decoder: {_absent(plan.decoder, tuple(plugs.decoders))}")
    if plan.resize is not None and plan.resize.library not in plugs.resizers:
        absent = _absent(plan.resize.library, tuple(plugs.resizers))
        faults.append(f"recipe.resize.library: {absent}")
    return faults


def _absent(name: str, known: tuple[str, ...]) -> str:
    return f'"{name}" is not installed or not switched on here, one of {", ".join(known)}'


def _misfits(plan: RecipePlan, spec: TensorSpec, own: TensorSpec) -> list[str]:
    """Args are the input with its channels last, and as it is."""
    if plan.layout == "channels_first" and len(own.row_shape) != _IMAGE_AXES:
        return [f'recipe.layout: "channels_first", and the input "{spec.name}" is {own}']
    made = _made(plan, spec)
    if made.dtype != spec.dtype or not _same_shape(made, spec):
        turned = "" if own is spec else ", channels_first"
        hint = _layout_hint(plan, own)
        return [f'recipe: makes {made}{turned}, the input "{spec.name}" is {own}{hint}']
    if plan.resize is None:
        return []
    if plan.resize.width is None or plan.resize.height is None:
        open_input = f'the input "{spec.name}" is {own}'
        return [f"recipe.resize: width and height are missing, and {open_input}; {_ONE_SIZE}"]
    try:
        check_short_side(plan.resize)
    except ValueError as fault:
        return [f"recipe.{fault}"]
    return []


_ONE_SIZE = (
    "each size would need a proof of its own, so pictures are brought to one: where the model "
    "resizes itself, write the width, height, library and method of its own layer, such as "
    'resize = { width = 224, height = 224, library = "tensorflow", method = "bilinear" }'
)


def _layout_hint(plan: RecipePlan, own: TensorSpec) -> str:
    shape = own.row_shape
    is_first = len(shape) == _IMAGE_AXES and shape[0] == plan.channels != shape[-1]
    if is_first and plan.layout == "channels_last":
        return '; its channels come first: write layout = "channels_first"'
    return ""


def _made(plan: RecipePlan, spec: TensorSpec) -> TensorSpec:
    size = (plan.resize.height, plan.resize.width) if plan.resize else spec.row_shape[:2]
    grey = len(spec.row_shape) == _GREY_AXES and plan.channels == 1
    channels = () if grey else (plan.channels,)
    return TensorSpec("row", np.dtype(plan.dtype), (*size, *channels))


def _same_shape(made: TensorSpec, spec: TensorSpec) -> bool:
    return len(made.row_shape) == len(spec.row_shape) and all(
        want is None or size == want
        for size, want in zip(made.row_shape, spec.row_shape, strict=True)
    )
