"""Line charts as inline SVG, without a library and without anything from outside."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 880
HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 30, 46
_TICKS: Final = 5
_MOST_MARKS: Final = 80  # more than these would hide the line
_LOG_RATIO: Final = 50.0


@dataclass(frozen=True, slots=True)
class Series:
    """One line.

    Attributes:
        name: in the legend.
        points: x and y in the order of x; a y that is NaN breaks the line.
        colour: a class of the page's style sheet, ``c0`` to ``c4``.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    colour: str


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        title: with its unit.
        written: a value as a label.
        ticks: where to put labels; empty for even ones.
        may_be_log: whether it becomes logarithmic when its values span more than a factor of 50.
        bounds: of its values; None for those of the points.
    """

    title: str
    written: Callable[[float], str]
    ticks: tuple[float, ...] = ()
    may_be_log: bool = False
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class _Scale:
    """Values to pixels."""

    low: float
    high: float
    first_px: float
    last_px: float
    is_log: bool = False
    is_lone: bool = False  # of a single value, which stands in the middle

    def px(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.is_log:
            low, high, at = math.log10(low), math.log10(high), math.log10(max(at, self.low))
        return self.first_px + (at - low) / (high - low) * (self.last_px - self.first_px)


def line_chart(title: str, x_axis: Axis, y_axis: Axis, series: Sequence[Series]) -> str:
    """Draws one chart; with nothing to draw, a sentence."""
    points = [point for each in series for point in each.points if math.isfinite(point[1])]
    if not points:
        return f'<p class="quiet">{escape(title)}: nothing was answered.</p>'
    x_scale = _scale([x for x, _ in points], x_axis, _LEFT, WIDTH - _RIGHT, from_0=False)
    y_scale = _scale([y for _, y in points], y_axis, HEIGHT - _BOTTOM, _TOP, from_0=True)
    parts = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_x_axis(x_scale, x_axis),
        *_y_axis(y_scale, y_axis),
        *(_line(each, x_scale, y_scale, x_axis, y_axis) for each in series),
        *_legend(series),
        "</svg>",
    )
    return "\n".join(parts)


def _scale(
    values: Sequence[float], axis: Axis, first_px: float, last_px: float, *, from_0: bool
) -> _Scale:
    low, high = axis.bounds or (min(values), max(values))
    positive = [value for value in values if value > 0]
    if axis.may_be_log and positive and high / min(positive) > _LOG_RATIO:
        low, high = min(positive), max(positive)
        return _Scale(10 ** math.floor(math.log10(low)), high * 1.1, first_px, last_px, is_log=True)
    if from_0:
        low, high = 0.0, high * 1.08
    if high <= low:
        return _Scale(low - 0.5, high + 0.5, first_px, last_px, is_lone=True)
    return _Scale(low, high, first_px, last_px)


def even_ticks(low: float, high: float) -> list[float]:
    """Some 5 round values from ``low`` to ``high``."""
    rough = (high - low) / _TICKS
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [step * number for number in range(math.ceil(low / step), int(high / step) + 1)]


def _ticks(scale: _Scale, axis: Axis) -> list[float]:
    if axis.ticks:
        return [tick for tick in axis.ticks if scale.low <= tick <= scale.high]
    if scale.is_lone:
        return [(scale.low + scale.high) / 2]
    if not scale.is_log:
        return even_ticks(scale.low, scale.high)
    powers = range(round(math.log10(scale.low)), math.floor(math.log10(scale.high)) + 1)
    return [10.0**power for power in powers]


def _x_axis(scale: _Scale, axis: Axis) -> Iterator[str]:
    bottom = HEIGHT - _BOTTOM
    for tick in _ticks(scale, axis):
        x = scale.px(tick)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        label = escape(axis.written(tick))
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{label}</text>'
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    title = escape(axis.title)
    yield f'<text class="axis" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{title}</text>'


def _y_axis(scale: _Scale, axis: Axis) -> Iterator[str]:
    right = WIDTH - _RIGHT
    for tick in _ticks(scale, axis):
        y = scale.px(tick)
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        label = escape(axis.written(tick))
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    title = escape(axis.title)
    yield f'<text class="axis" x="4" y="{_TOP - 14}">{title}</text>'


def _line(series: Series, x_scale: _Scale, y_scale: _Scale, x_axis: Axis, y_axis: Axis) -> str:
    path, pen_down, marks = [], False, []
    show_marks = len(series.points) <= _MOST_MARKS
    for x, y in series.points:
        if not math.isfinite(y):
            pen_down = False
            continue
        x_px, y_px = x_scale.px(x), y_scale.px(y)
        path.append(f"{'L' if pen_down else 'M'}{x_px:.1f} {y_px:.1f}")
        pen_down = True
        if show_marks:
            says = escape(f"{series.name}: {y_axis.written(y)} at {x_axis.written(x)}")
            marks.append(
                f'<circle class="{series.colour}" cx="{x_px:.1f}" cy="{y_px:.1f}" r="2.5">'
                f"<title>{says}</title></circle>"
            )
    return f'<path class="{series.colour}" d="{"".join(path)}"/>' + "".join(marks)


def _legend(series: Sequence[Series]) -> Iterator[str]:
    x = float(WIDTH - _RIGHT)
    for each in reversed(series):
        x -= 26 + 7 * len(each.name)
        yield f'<circle class="{each.colour}" cx="{x:.0f}" cy="14" r="5"/>'
        yield f'<text x="{x + 10:.0f}" y="18">{escape(each.name)}</text>'
