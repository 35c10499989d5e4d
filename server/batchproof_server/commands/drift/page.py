"""A comparison with the reference profile as one HTML file that needs nothing from outside."""

from collections.abc import Iterator
from html import escape
from typing import Final

from batchproof.text import PAGE_POLICY, printable
from batchproof_server.commands.drift.report import HEADINGS, accuracy_text, cells
from batchproof_server.commands.drift.result import DriftResult
from batchproof_server.drift.comparing import BinDrift, SignalDrift
from batchproof_server.drift.profile_form import DIGEST_CHARACTERS

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #5b6570; --paper: #fff;
  --line: #dfe3e8; --then: #98a2ad; --now: #0072b2; --drifted: #b35900; --severe: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --quiet: #98a2ad; --paper: #14171a;
  --line: #2c3238; --then: #6b7580; --now: #56b4e9; --drifted: #ffab5e; --severe: #ff7b72 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 960px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2rem 0 .2rem }
.quiet { color: var(--quiet) } .drifted { color: var(--drifted) } .severe { color: var(--severe) }
.scroll { overflow-x: auto } table { border-collapse: collapse }
th, td { text-align: right; padding: .25rem .7rem; border-bottom: 1px solid var(--line);
  white-space: nowrap } th:first-child, td:first-child { text-align: left }
svg { width: 100%; min-width: 600px; height: auto; font: 12px system-ui, sans-serif }
svg text { fill: var(--ink) }
:focus-visible { outline: 3px solid var(--now); outline-offset: 2px }
.then { fill: var(--then) } .now { fill: var(--now) } svg .label { text-anchor: end }
"""
_BAR_PIXELS, _ROW_PIXELS, _LABEL_PIXELS, _WIDTH_PIXELS = 9, 26, 330, 560
_LABEL_CHARACTERS: Final = 48


def drift_page(result: DriftResult) -> str:
    """Writes the whole page."""
    title = f"{result.model} version {result.version}: {result.headline}"
    digest = result.profile_digest[:DIGEST_CHARACTERS]
    parts = (
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{PAGE_POLICY}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>",
        f'<header><h1 class="{result.comparison.verdict}">{_text(title)}</h1></header><main>',
        f"<p>{_text(result.data)}: {result.pictures:,} of {result.pictures_there:,} {result.unit},",
        f"against the {result.reference_pictures:,} of profile {digest}.<br>",
        f"Accuracy: {_text(accuracy_text(result.comparison.accuracy))}.</p>",
        *(f'<p class="quiet">{_text(note)}</p>' for note in result.notes),
        *_table(result),
        '<p class="quiet">The upper, grey bar is the share in the reference,',
        f"the lower, blue one that in these {result.unit}.</p>",
        *(part for signal in result.comparison.signals for part in _plot(signal, result.unit)),
        "</main></body></html>",
    )
    return "\n".join(parts) + "\n"


def _table(result: DriftResult) -> Iterator[str]:
    yield '<div class="scroll" tabindex="0"><table><tr>'
    yield "".join(f'<th scope="col">{_text(heading)}</th>' for heading in HEADINGS) + "</tr>"
    for signal in result.comparison.signals:
        row = "".join(f"<td>{_text(cell)}</td>" for cell in cells(signal))
        yield f'<tr class="{signal.verdict}">{row}</tr>'
    yield "</table></div>"


def _plot(signal: SignalDrift, unit: str) -> Iterator[str]:
    yield f'<h2 class="{signal.verdict}">{_text(signal.name)}: {signal.verdict}</h2>'
    if not signal.observations:
        yield f'<p class="quiet">Not seen in these {unit}.</p>'
        return
    height = _ROW_PIXELS * len(signal.bins)
    width = _LABEL_PIXELS + _WIDTH_PIXELS + 60
    highest = max(max(each.share, each.reference_share) for each in signal.bins)
    name = f"shares of {signal.name} in the reference and now"
    # On a phone the bars keep their size and are moved sideways, so that their labels can be read.
    yield '<div class="scroll" tabindex="0">'
    yield f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{_text(name)}">'
    for place, each in enumerate(signal.bins):
        yield _bars(each, place * _ROW_PIXELS, _WIDTH_PIXELS / highest)
    yield "</svg></div>"


def _bars(each: BinDrift, top: int, scale: float) -> str:
    label = each.label
    if len(label) > _LABEL_CHARACTERS:
        label = f"{label[:_LABEL_CHARACTERS]}..."
    then, now = each.reference_share * scale, each.share * scale
    end = _LABEL_PIXELS + max(then, now) + 6
    said = f"{each.reference_share:.1%} then, {each.share:.1%} now"
    return (
        f"<g><title>{_text(each.label)}: {said}, {each.observations:,} observations</title>"
        f'<text class="label" x="{_LABEL_PIXELS - 8}" y="{top + 14}">{_text(label)}</text>'
        f'<rect class="then" x="{_LABEL_PIXELS}" y="{top + 2}" width="{then:.1f}" '
        f'height="{_BAR_PIXELS}"/>'
        f'<rect class="now" x="{_LABEL_PIXELS}" y="{top + 12}" width="{now:.1f}" '
        f'height="{_BAR_PIXELS}"/>'
        f'<text x="{end:.1f}" y="{top + 18}">{each.share:.1%}</text></g>'
    )


def _text(text: str) -> str:
    return escape(printable(text))
