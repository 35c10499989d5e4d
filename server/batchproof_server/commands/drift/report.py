"""A comparison with the reference profile as a table for people."""

from collections.abc import Iterator
from typing import Final

from batchproof.text import joined
from batchproof_server.commands.drift.result import DriftResult
from batchproof_server.commands.tables import table
from batchproof_server.drift.comparing import AccuracyEstimate, SignalDrift
from batchproof_server.drift.profile_form import DIGEST_CHARACTERS

HEADINGS: Final = (
    "signal", "verdict", "observations", "PSI above noise", "test / limit", "changed bin",
    "mean shift",
)  # fmt: skip
_MOST_BINS: Final = 3


def drift_report(result: DriftResult) -> str:
    """What was compared, a table of the signals, what changed; ends without a line break."""
    taken = f"{result.pictures:,} of {result.pictures_there:,} {result.unit}"
    digest = result.profile_digest[:DIGEST_CHARACTERS]
    lines = [
        f"{result.model} version {result.version}: {result.headline}",
        f"  data          {result.data}: {taken}",
        f"  reference     profile {digest}: {result.reference_pictures:,} pictures",
        *([f"  engine        {result.engine}"] if result.engine else []),
        f"  accuracy      {accuracy_text(result.comparison.accuracy)}",
        "",
        *table([HEADINGS, *map(cells, result.comparison.signals)], left=2),
        "",
        *changed_lines(result),
        "  Alerts fire on drifted and severe: PSI more than 0.1 or 0.25 above its noise, and 200",
        "  observations. What is significant is real, but small. See docs/drift-rules.md.",
    ]
    if result.comparison.unusable:
        lines.append(f"  unusable      {result.comparison.unusable} rows or values")
    lines += [f"  note          {note}" for note in result.notes]
    return joined(lines)


def accuracy_text(accuracy: AccuracyEstimate) -> str:
    """One line."""
    known = f"{accuracy.reference_ratio:.1%} in the reference"
    estimates = {"ATC": accuracy.atc_ratio, "DoC": accuracy.doc_ratio}
    there = [f"{name} {ratio:.1%}" for name, ratio in estimates.items() if ratio is not None]
    if not there:
        return f"{known}; {accuracy.withheld or 'no estimate: no confidence is known'}"
    return f"{known}; estimates now: {', '.join(there)}"


def cells(signal: SignalDrift) -> tuple[str, ...]:
    """A row of the table; nothing is said of what was not seen."""
    if not signal.observations:
        return signal.name, signal.verdict, "0", "", "", "", ""
    return (
        signal.name,
        signal.verdict,
        f"{signal.observations:,}",
        f"{signal.psi_above_noise:.3f}",
        f"{signal.significance:.2f}",
        f"{signal.tv_distance:.1%}",
        "" if signal.mean_shift is None else f"{signal.mean_shift:+.2f}",
    )


def changed_lines(result: DriftResult) -> Iterator[str]:
    """Of each signal that drifted, the bins whose shares changed most."""
    for signal in result.alerting:
        by_change = sorted(signal.bins, key=lambda each: -abs(each.share - each.reference_share))
        parts = "; ".join(
            f"{each.label}: {each.reference_share:.1%} -> {each.share:.1%}"
            for each in by_change[:_MOST_BINS]
        )
        yield f"  {signal.name}: {parts}"
    if result.alerting:
        yield ""
