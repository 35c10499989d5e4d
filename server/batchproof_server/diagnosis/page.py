"""Diagnoses as one HTML file that needs nothing from outside: verdict first, then the evidence."""

import base64
import html
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from batchproof.text import PAGE_POLICY, printable
from batchproof_server.diagnosis.case import Case
from batchproof_server.diagnosis.charts import curve_svg, occlusion_svg
from batchproof_server.diagnosis.document import row_difference
from batchproof_server.diagnosis.findings import CheckResult, Level
from batchproof_server.diagnosis.occlusion import OcclusionMap
from batchproof_server.diagnosis.text import measured, summary_text
from batchproof_server.diagnosis.verdict import CheckReport, Diagnosis

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #57606a; --paper: #fff; --line: #d5dae0;
  --card: #f6f8fa; --own: #0063a3; --reference: #6e7781; --bad: #b8400a; --unsure: #8a6d00;
  --good: #00755a }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --quiet: #a2acb6; --paper: #14171a;
  --line: #333a41; --card: #1c2024; --own: #56b4e9; --reference: #8b949e; --bad: #ff8c42;
  --unsure: #e0c341; --good: #2fc79a } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1000px; margin: 1.5rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem }
.quiet { color: var(--quiet) } pre { white-space: pre-wrap; font: inherit }
.verdict { background: var(--card); border-left: 6px solid var(--good); padding: .7rem 1rem;
  margin: 1rem 0 } .verdict.likely { border-color: var(--bad) }
.verdict.suspicious { border-color: var(--unsure) } .verdict p { margin: .2rem 0 }
.verdict ol { margin: .4rem 0 0; padding-left: 1.4rem } .verdict li { margin: .4rem 0 }
figure { margin: 0 } figcaption { font-size: .85rem; color: var(--quiet) }
img { image-rendering: pixelated; width: 96px; height: auto; max-width: 100%;
  border: 1px solid var(--line); background: var(--card) }
.side { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start }
.side figure { width: 9rem }
.side .map { width: 16rem }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 1rem }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif } svg text { fill: var(--quiet) }
svg .grid { stroke: var(--line) } svg path { fill: none; stroke-width: 2 }
svg .own { stroke: var(--own) }
svg .reference { stroke: var(--reference); stroke-dasharray: 5 4 }
svg .seen { image-rendering: pixelated }
svg .veil { fill: #000 } svg .under, svg .over { fill: none; stroke-linecap: square }
svg .under { stroke: #000; stroke-width: 4 } svg .over { stroke: #fff; stroke-width: 1.6 }
svg .kept { fill: var(--own) } svg .flipped { fill: var(--bad) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word } th { color: var(--quiet); font-weight: 600 }
td.level { white-space: nowrap } .likely .level { color: var(--bad); font-weight: 600 }
.suspicious .level { color: var(--unsure); font-weight: 600 }
summary { cursor: pointer; font-weight: 600; padding: .3rem 0 }
:focus-visible { outline: 3px solid var(--own); outline-offset: 2px }
"""
"""Light and dark, of a report and of the server's own page."""
_CLASSES: Final = {Level.FINE: "fine", Level.SUSPICIOUS: "suspicious", Level.LIKELY: "likely"}
_READING: Final = (
    "Solid: the probability of the class that the unchanged picture gets; a large point is another"
    " class. Dashed: the share of reference pictures that keep theirs."
)


_MAP: Final = (
    "The model's view. What is bright matters: there a cover of a quarter of each side costs most"
    " of what any does, inside the line half of it or more. A ring is another class. Without a line"
    " no place matters."
)


def page(diagnoses: Sequence[Diagnosis], refused: Sequence[str]) -> str:
    """Writes the whole page.

    Args:
        diagnoses: one or more.
        refused: a sentence for each picture that cannot be used.
    """
    subject = diagnoses[0].case.subject
    title = f"Diagnosis: {subject.model} version {subject.version}"
    about = f"{subject.engine}; certificate: {subject.verdict or 'none'}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{PAGE_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_shown(title)}</title><style>{STYLE}</style></head><body>",
        f"<header><h1>{_shown(title)}</h1>",
        f'<p class="quiet">{_shown(about)}</p></header><main>',
        *_summary(diagnoses, refused),
        *(
            line
            for place, each in enumerate(diagnoses)
            for line in _section(place, each, is_one_of_many=len(diagnoses) > 1)
        ),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _shown(text: str) -> str:
    """Text from outside as text of a page: no markup, and nothing that turns a line round."""
    return html.escape(printable(text))


def _summary(diagnoses: Sequence[Diagnosis], refused: Sequence[str]) -> Iterator[str]:
    """Of several pictures what they have in common, with a way to each."""
    if len(diagnoses) == 1 and not refused:
        return
    lines = summary_text(diagnoses, refused).split("\n")
    yield f"<pre>{html.escape(chr(10).join(lines))}</pre><nav><ul>"
    for place, each in enumerate(diagnoses):
        case = each.case
        text = f"{case.name}: {case.label} ({case.confidence:.1%}): {each.sentence}"
        yield f'<li><a href="#picture-{place}">{_shown(text)}</a></li>'
    yield "</ul></nav>"
    yield from (f"<p>{_shown(sentence)}</p>" for sentence in refused)


def _section(place: int, diagnosis: Diagnosis, *, is_one_of_many: bool) -> Iterator[str]:
    """Verdict and pictures; of one picture of many the rest is folded, so that all can be seen."""
    case = diagnosis.case
    yield f'<section id="picture-{place}"><h2>{_shown(case.name)}</h2>'
    yield from _verdict(diagnosis)
    yield from _pictures(case)
    if is_one_of_many:
        yield "<details><summary>All that was measured</summary>"
    yield from _measured(diagnosis)
    yield "</details></section>" if is_one_of_many else "</section>"


def _measured(diagnosis: Diagnosis) -> Iterator[str]:
    case = diagnosis.case
    if case.occlusion is not None:
        yield from _where(case, case.occlusion)
    if case.curves:
        yield f'<h3>How little changes the answer</h3><p class="quiet">{_READING}</p>'
        yield '<div class="curves">'
        for curve in case.curves:
            yield f"<figure><figcaption>{_shown(curve.family)}</figcaption>"
            yield f"{curve_svg(curve)}</figure>"
        yield "</div>"
    yield from _recipes(case)
    yield "<h3>All checks</h3>"
    for answered in diagnosis.answered:
        yield from _check(answered)


def _verdict(diagnosis: Diagnosis) -> Iterator[str]:
    case, causes = diagnosis.case, diagnosis.causes
    level = causes[0].level if causes else Level.FINE
    label = case.given.label
    truth = "" if label is None else f"; it is {case.subject.labels[label]}"
    yield f'<div class="verdict {_CLASSES[level]}">'
    yield f"<p><strong>{_shown(diagnosis.sentence)}</strong></p>"
    yield f"<p>Answer: {_shown(f'{case.label} ({case.confidence:.1%}){truth}')}</p>"
    if causes:
        yield "<ol>"
        yield from (_cause(each) for each in causes)
        yield "</ol>"
    yield "</div>"


def _cause(cause: CheckResult) -> str:
    advice = f"<br><em>What to do:</em> {_shown(cause.advice)}" if cause.advice else ""
    head = f"<strong>{_shown(cause.title)}</strong> ({cause.level.text})"
    return f"<li>{head}<br>{_shown(cause.evidence)}{advice}</li>"


def _pictures(case: Case) -> Iterator[str]:
    yield '<h3>The picture and its nearest reference pictures</h3><div class="side">'
    width, height = case.size
    own = f"this picture, {width} x {height}: {case.label} ({case.confidence:.1%})"
    yield _figure(case.thumbnail, own)
    for each in case.neighbours:
        text = f"{each.name}: {each.answer} ({each.confidence:.1%}), {each.distance:.1f} nats away"
        yield _figure(each.thumbnail, text)
    yield "</div>"


def _where(case: Case, occlusion: OcclusionMap) -> Iterator[str]:
    yield "<h3>Where the model looks</h3>"
    yield f'<div class="side"><figure class="map">{occlusion_svg(occlusion, case.confidence)}'
    yield f"<figcaption>{_shown(_MAP)}</figcaption></figure></div>"


def _figure(png: bytes, caption: str) -> str:
    source = base64.b64encode(png).decode("ascii")
    shown = _shown(caption)
    return (
        f'<figure><img src="data:image/png;base64,{source}" alt="{shown}">'
        f"<figcaption>{shown}</figcaption></figure>"
    )


def _recipes(case: Case) -> Iterator[str]:
    if not case.tried:
        return
    answered = [each.answers for each in case.tried if each.answers is not None]
    others = sum(int(each.decided[0]) != int(case.answers.decided[0]) for each in answered)
    yield "<h3>What other recipes would have answered</h3>"
    yield f"<details><summary>{others} of {len(case.tried)} change the class</summary>"
    rows = [("as declared", "0", f"{case.label} ({case.confidence:.1%})")]
    for each in case.tried:
        said = "no finite answer"
        if each.answers is not None:
            said = f"{case.label_of(each.answers)} ({each.answers.confidence[0]:.1%})"
        rows.append((each.title, f"{row_difference(case, each):.3g}", said))
    yield _table(("recipe", "greatest difference of the tensor", "answer"), rows) + "</details>"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_shown(heading)}</th>' for heading in headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{_shown(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _check(answered: CheckReport) -> Iterator[str]:
    open_ = " open" if any(each.level > Level.FINE for each in answered.findings) else ""
    yield f"<details{open_}><summary>{_shown(answered.question)}</summary>"
    yield '<div class="scroll" tabindex="0"><table><tbody>'
    for each in answered.findings:
        reason = f"Limit: {each.threshold.reason}." if each.threshold else ""
        yield (
            f'<tr class="{_CLASSES[each.level]}"><td class="level">{each.level.text}</td>'
            f"<td>{_shown(each.evidence + measured(each))}"
            f'<br><span class="quiet">{_shown(reason)}</span></td></tr>'
        )
    yield "</tbody></table></div></details>"
