"""Which recipes are plausible for a model: where a search begins. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from batchproof_server.base.signature import TensorSpec
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.mistakes import Part, changes, changes_of, with_decoder
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.presets import PRESETS, Color
from batchproof_server.imaging.recipe import Recipe, compile_recipe
from batchproof_server.imaging.resize import ResizeSettings
from batchproof_server.imaging.settings import (
    Layout,
    RecipePlan,
    RecipeSettings,
    settings_of,
)

_CHANNELS: Final = (1, 3)
_PICTURE_AXES: Final = 3


@dataclass(frozen=True, slots=True)
class RecipeInput:
    """What a recipe is compiled against.

    Attributes:
        spec: the model's image input.
        plugs: what is installed.
        limits: on bytes and pixels.
    """

    spec: TensorSpec
    plugs: Plugs
    limits: ImageLimits

    def compiled(self, plan: RecipePlan) -> Recipe | None:
        """The recipe of a plan; None where it does not fit the model or what is installed."""
        try:
            return compile_recipe(settings_of(plan), self.spec, self.plugs, self.limits)
        except InvalidSettings:
            return None

    def plain(self) -> Recipe:
        """What to begin with where the manifest has no recipe: ``load_img`` and nothing more.

        Raises:
            InvalidSettings: the input takes no pictures of one size.
        """
        shape = self.spec.row_shape
        first = len(shape) == _PICTURE_AXES and shape[0] in _CHANNELS and shape[-1] not in _CHANNELS
        layout: Layout = "channels_first" if first else "channels_last"
        channels = shape[0] if first else shape[-1]
        grey = channels == 1 or len(shape) < _PICTURE_AXES
        color: Color = "grayscale" if grey else "rgb"
        settings = RecipeSettings(
            preset="keras-load-img",
            color=color,
            layout=layout,
            dtype="uint8" if self.spec.dtype == np.uint8 else "float32",
        )
        return compile_recipe(settings, self.spec, self.plugs, self.limits)


def coarse(own: RecipePlan, model: RecipeInput) -> Iterator[RecipePlan]:
    """Recipes far from each other: every preset, and scalings, colours and policies in all ways.

    Args:
        own: the manifest's; what is not tried otherwise is as there.
        model: that takes the rows.
    """
    yield from _presets(own, model)
    plugs = model.plugs
    for framed in _framed(own, plugs):
        for ordered in (framed, *_changed(framed, "colour order", plugs)):
            yield from (ordered, *_changed(ordered, "scaling", plugs))


def near(plan: RecipePlan, model: RecipeInput) -> Iterator[RecipePlan]:
    """The usual recipes that are one change away from this one."""
    return (change.plan for change in changes(plan, model.plugs))


def _changed(plan: RecipePlan, part: Part, plugs: Plugs) -> list[RecipePlan]:
    return [change.plan for change in changes_of(part, plan, plugs)]


def _framed(plan: RecipePlan, plugs: Plugs) -> Iterator[RecipePlan]:
    """As it is, stretched, cut to its middle, and padded."""
    yield plan
    known = {plan.resize.policy} if plan.resize is not None else set()
    for framed in reversed(_changed(plan, "policy", plugs)):
        policy = framed.resize.policy if framed.resize is not None else "stretch"
        if policy in _COARSE_POLICIES and policy not in known:
            known.add(policy)
            yield framed


_COARSE_POLICIES: Final = ("stretch", "short_side_center_crop", "pad")


def _presets(own: RecipePlan, model: RecipeInput) -> Iterator[RecipePlan]:
    """Each preset that fits, in the form of the row; no two that are one recipe."""
    for name, preset in PRESETS.items():
        resize = ResizeSettings()
        if preset.resize.short_side is not None and own.resize is not None:
            side = max(own.resize.width or 0, own.resize.height or 0)
            resize = ResizeSettings(short_side=round(side * 256 / 224))
        try:
            settings = RecipeSettings(
                preset=name,
                color="grayscale" if own.color == "grayscale" else None,
                orientation=own.orientation,
                dtype=own.dtype,
                layout=own.layout,
                resize=resize,
            )
            plan = compile_recipe(settings, model.spec, model.plugs, model.limits).plan
        except (InvalidSettings, ValueError):  # such as three means for one channel
            continue
        formats = with_decoder(own, plan.decoder).formats
        yield replace(plan, formats=formats or plan.formats)
