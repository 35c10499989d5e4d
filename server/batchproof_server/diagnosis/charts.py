"""The curves and the map of a diagnosis as inline SVG, without anything from outside."""

import base64
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.case import Curve
from batchproof_server.diagnosis.document import reference_kept
from batchproof_server.diagnosis.occlusion import OcclusionMap

_WIDTH, _HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 10, 34
_LEVELS: Final = (0.0, 0.5, 1.0)
_LABEL_GAP_PIXELS: Final = 34.0


def curve_svg(curve: Curve) -> str:
    """Confidence of the plain class over strength, and how many reference pictures keep theirs."""
    return "".join(_parts(curve))


def _parts(curve: Curve) -> Iterator[str]:
    title = f"{curve.family}: confidence of the plain class"
    yield (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
    )
    for level in _LEVELS:
        y = _y(level)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{level:.0%}</text>'
    yield from _axis(curve)
    shares = reference_kept(curve)
    if shares:
        yield f'<path class="reference" d="{_path(shares)}"/>'
    yield f'<path class="own" d="{_path(curve.confidence.tolist())}"/>'
    for place, (value, kept) in enumerate(zip(curve.confidence, curve.kept, strict=True)):
        name = "kept" if kept else "flipped"
        x, y = _x(place, len(curve.strengths)), _y(float(value))
        yield f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="{3 if kept else 4.5}"/>'
    yield "</svg>"


def _axis(curve: Curve) -> Iterator[str]:
    """As many strengths as there is room for."""
    count, last = len(curve.strengths), -_LABEL_GAP_PIXELS
    for place, strength in enumerate(curve.strengths):
        x = _x(place, count)
        if x - last >= _LABEL_GAP_PIXELS:
            last = x
            y = _HEIGHT - _BOTTOM + 14
            yield f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{strength:g}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield (
        f'<text x="{middle:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(curve.unit)}</text>'
    )


def _path(values: Sequence[float]) -> str:
    points = (f"{_x(place, len(values)):.1f} {_y(value):.1f}" for place, value in enumerate(values))
    return "M" + "L".join(points)


def _x(place: int, count: int) -> float:
    margin = 10
    left, right = _LEFT + margin, _WIDTH - _RIGHT - margin
    return left + (right - left) * place / max(count - 1, 1)


def _y(value: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * value


_MAP_SIDE: Final = 160


def occlusion_svg(occlusion: OcclusionMap, confidence: float) -> str:
    """The model's view, dimmed where covers cost little, with a line round where they cost most."""
    return "".join(_spots(occlusion, confidence))


def _spots(occlusion: OcclusionMap, confidence: float) -> Iterator[str]:
    title = "Map of the model's view: where covering costs most of the answer"
    source = base64.b64encode(occlusion.seen).decode("ascii")
    yield (
        f'<svg viewBox="0 0 {_MAP_SIDE} {_MAP_SIDE}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
        f'<image href="data:image/png;base64,{source}" width="{_MAP_SIDE}" height="{_MAP_SIDE}" '
        'preserveAspectRatio="none" class="seen"/>'
    )
    lost = _lost(occlusion, confidence)
    for place, share in np.ndenumerate(lost):
        if lost.max() and share < 1:
            veil = _VEIL * (1 - share)
            yield f'<rect class="veil" {_cell(place, lost.shape)} fill-opacity="{veil:.2f}"/>'
    outline = "".join(_borders(lost >= _MATTERS))
    for name in ("under", "over"):
        if outline:
            yield f'<path class="{name}" d="{outline}"/>'
        yield from _rings(occlusion, name)
    yield "</svg>"


def _lost(occlusion: OcclusionMap, confidence: float) -> Array:
    """The share of the greatest loss, 0 to 1: [places, places]; 0 where nothing is lost."""
    lost = np.clip(confidence - occlusion.left, 0, None)
    most = float(lost.max())
    shares: Array = lost / most if most >= _LEAST_LOST * confidence else np.zeros_like(lost)
    return shares


def _cell(place: tuple[int, ...], shape: tuple[int, ...]) -> str:
    width, height = _MAP_SIDE / shape[1], _MAP_SIDE / shape[0]
    return (
        f'x="{place[1] * width:g}" y="{place[0] * height:g}" width="{width:g}" height="{height:g}"'
    )


def _borders(inside: Array) -> Iterator[str]:
    """Lines between what is inside and what is not, as a path."""
    width, height = _MAP_SIDE / inside.shape[1], _MAP_SIDE / inside.shape[0]
    around = np.pad(inside, 1)
    for top, left in np.argwhere(around[:-1, 1:-1] != around[1:, 1:-1]):
        yield f"M{left * width:g} {top * height:g}h{width:g}"
    for top, left in np.argwhere(around[1:-1, :-1] != around[1:-1, 1:]):
        yield f"M{left * width:g} {top * height:g}v{height:g}"


def _rings(occlusion: OcclusionMap, name: str) -> Iterator[str]:
    height, width = (_MAP_SIDE / count for count in occlusion.kept.shape)
    for top, left in np.argwhere(~occlusion.kept):
        x, y = (left + 0.5) * width, (top + 0.5) * height
        yield f'<circle class="{name}" cx="{x:g}" cy="{y:g}" r="{width / 3.5:.1f}"/>'


_VEIL: Final = 0.75
_MATTERS: Final = 0.5
_LEAST_LOST: Final = 0.05
"""Of the confidence; a map of less would show noise."""
