"""Names what another program did to a picture, from the array that it made. Pure.

Geometry is looked for first, by what no scaling of a channel can change; then the scaling.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.imaging.channel_fit import channel_fit
from batchproof_server.imaging.geometry import Picture
from batchproof_server.imaging.mistakes import (
    TURNS,
    Part,
    changes_of,
    differing_parts,
    name_in,
)
from batchproof_server.imaging.normalize import NormalizeSettings, normalize_in_place
from batchproof_server.imaging.presets import Color
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.imaging.scalings import known_scalings
from batchproof_server.imaging.settings import RecipePlan
from batchproof_server.offline.recipe_look.explanation import Explanation, OtherArray, distance
from batchproof_server.offline.recipe_search.candidates import RecipeInput

_COLOURS: Final = 3
_AS_IT_IS: Final = "as it is"
# A share of the variance below which two geometries are the same but for rounding.
_SAME_FIT: Final = 1e-9
# A scaling that has a name is told where a fitted one leaves hardly less.
_NEARLY: Final = 1.05
_STEPS: Final[tuple[Part, ...]] = ("policy", "filter", "decoder", "policy", "filter")


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well a geometry fits: a share of the variance that is left, the way, and its levels."""

    left: float
    plan: RecipePlan
    turn: str
    levels: Array


@dataclass(frozen=True)
class Explainer:
    """Compares an array with what usual mistakes would have made of the same file.

    Attributes:
        recipe: the manifest's.
        model: that it is compiled against.
        encoded: the file.
    """

    recipe: Recipe
    model: RecipeInput
    encoded: bytes

    @cached_property
    def row(self) -> Array:
        """What the model sees, with its channels last: [height, width, channels]."""
        row = self.recipe.apply(self.encoded)
        if self.recipe.plan.layout == "channels_first":
            row = row.transpose(1, 2, 0)
        return row if row.ndim == _COLOURS else row[..., np.newaxis]

    @cached_property
    def levels(self) -> Array:
        """The same before colours are ordered and values scaled: float32, 0..255."""
        levels = self._levels(self.recipe.plan)
        if levels is None:
            raise InvalidInput("the recipe cannot be looked into")
        return levels

    @cached_property
    def _decoded(self) -> dict[tuple[str, str], Picture]:
        """The picture by decoder and orientation: each is decoded once."""
        return {}

    def explain(self, mine: OtherArray) -> Explanation:
        """The usual mistakes that bring the row nearest to the array."""
        before = distance(self.row, mine.row)
        if before.greatest <= mine.rounding:
            return Explanation(before, before, mine.rounding, (), mine.forms)
        fit = self._nearest_geometry(mine.row)
        plan, scaling = self._nearest_scaling(fit, mine)
        after = distance(_scaled(fit.levels, plan), mine.row)
        own = self.recipe.plan
        told = [
            (scaling if part == "scaling" and scaling else name_in(part, plan), name_in(part, own))
            for part in differing_parts(own, plan)
        ]
        if fit.turn != _AS_IT_IS:
            told.append((fit.turn, "not turned"))
        return Explanation(before, after, mine.rounding, tuple(told), mine.forms)

    def _levels(self, plan: RecipePlan) -> Array | None:
        """None where the plan cannot be had, or refuses the picture."""
        plain = replace(
            plan,
            color="grayscale" if plan.color == "grayscale" else "rgb",
            normalize=None,
            dtype="float32",
            layout="channels_last",
        )
        shape = (*self.row.shape[:2], plain.channels)
        spec = TensorSpec(self.model.spec.name, np.dtype(np.float32), shape)
        compiled = replace(self.model, spec=spec).compiled(plain)
        if compiled is None:
            return None
        way = plan.decoder, plan.orientation
        try:
            if way not in self._decoded:
                self._decoded[way] = compiled.picture(self.encoded)
            return compiled.row(self._decoded[way])
        except InvalidInput:
            return None

    def _nearest_geometry(self, mine: Array) -> _Fit:
        """Step by step: orientation and turns with every policy, then filters, then decoders."""
        own = self.recipe.plan
        plans = [own, *self._near(own, "orientation")]
        plans += [framed for plan in plans for framed in self._near(plan, "policy")]
        best = min(self._fits(plans, mine, (_AS_IT_IS, *TURNS)), key=_left)
        for part in _STEPS:
            if best.left <= _SAME_FIT:
                break
            fits = self._fits(self._near(best.plan, part), mine, (best.turn,))
            best = min([best, *fits], key=_left)
        return best

    def _near(self, plan: RecipePlan, part: Part) -> list[RecipePlan]:
        return [change.plan for change in changes_of(part, plan, self.model.plugs)]

    def _fits(
        self, plans: Iterable[RecipePlan], mine: Array, turns: tuple[str, ...]
    ) -> Iterator[_Fit]:
        for plan in plans:
            levels = self._levels(plan)
            if levels is None:
                continue
            for turn in turns:
                turned = levels if turn == _AS_IT_IS else TURNS[turn](levels)
                for color in _orders(plan.color) if turned.shape == mine.shape else ():
                    ordered = turned[..., ::-1] if color == "bgr" else turned
                    left = channel_fit(ordered, mine).residual_ratio
                    yield _Fit(left, replace(plan, color=color), turn, turned)

    def _nearest_scaling(self, fit: _Fit, mine: OtherArray) -> tuple[RecipePlan, str]:
        """The plan with the usual scaling that is nearest, or a fitted one and its words."""
        plan = fit.plan
        usual = [plan, *(replace(plan, normalize=each) for each in _every_scaling(plan))]
        lefts = [self._left_of(fit, each, mine) for each in usual]
        best = usual[int(np.argmin(lefts))]
        fitted, words = _fitted(fit.levels, plan, mine.row)
        possible = self._left_of(fit, fitted, mine)
        if min(lefts) <= _NEARLY * possible + mine.rounding:
            return best, ""
        return fitted, words

    def _left_of(self, fit: _Fit, plan: RecipePlan, mine: OtherArray) -> float:
        return distance(_scaled(fit.levels, plan), mine.row).root_mean_square


def _left(fit: _Fit) -> tuple[float, bool]:
    """Equal where only rounding differs: a recipe is likelier than a turn, then the first one."""
    return round(fit.left, 10), fit.turn != _AS_IT_IS


def _orders(own: Color) -> tuple[Color, ...]:
    """The recipe's own first: of a grey picture both fit alike."""
    if own == "grayscale":
        return (own,)
    return ("bgr", "rgb") if own == "bgr" else ("rgb", "bgr")


def _scaled(levels: Array, plan: RecipePlan) -> Array:
    """What a plan makes of levels whose colours are red, green, blue."""
    ordered = levels[..., ::-1] if plan.color == "bgr" else levels
    row = np.array(ordered, np.float32, order="C")
    return row if plan.normalize is None else normalize_in_place(row, plan.normalize)


def _every_scaling(plan: RecipePlan) -> Iterator[NormalizeSettings | None]:
    """Those that have a name, with their channels in either order."""
    for color in _orders(plan.color):
        yield from (each.normalize for each in known_scalings(replace(plan, color=color)))


def _fitted(levels: Array, plan: RecipePlan, mine: Array) -> tuple[RecipePlan, str]:
    """The scaling of each channel that is nearest by least squares, and its words."""
    steps = channel_fit(_scaled(levels, replace(plan, normalize=None)), mine).mean_and_std
    if steps is None:
        return plan, ""
    means, stds = (
        ", ".join(f"{each:.4g}" for each in values or ()) for values in (steps.mean, steps.std)
    )
    return replace(plan, normalize=steps), f"(x - [{means}]) / [{stds}]"
