"""What a hostile and unlucky world costs, beside what it cost and what it should.

    python benchmarks/hostile.py [--only empties ...] [--rounds 3] [--page-only]

Measures again what is named, all without a name, and writes docs/measurements/hostile.json and the
page that is made of it. What is not measured keeps its figures. About 15 minutes, of which the
proof's corpora take ten.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import hostile_callers as callers
from subjects import KEPT

DOCS: Final = Path(__file__).resolve().parent.parent / "docs/measurements"
FIGURES: Final = DOCS / "hostile.json"
PAGE: Final = DOCS / "hostile.md"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: is done and looked at.
        before: what came of it before anything was mended.
        aim: in words.
        limit: None where there is none.
        form: of the figure.
        is_most: whether the limit is the most that it should be; else the least.
    """

    what: str
    before: str
    aim: str
    limit: float | None
    form: str = "{:.3f} s"
    is_most: bool = True

    def line(self, figure: float, measured: Mapping[str, Any]) -> str:
        """Of the table."""
        cells = (self.what, self.before, self.aim, self._shown(figure), measured["load"])
        return f"| {' | '.join(cells)} |"

    def _shown(self, figure: float) -> str:
        text = self.form.format(figure)
        if self.limit is None:
            return text
        is_met = figure <= self.limit if self.is_most else figure >= self.limit
        return text if is_met else f"**{text}**"


@dataclass(frozen=True)
class Attack:
    """What is done, given how often, and the lines that its figures are shown in."""

    measure: Callable[[int], tuple[float, ...]]
    rows: tuple[Row, ...]


_LONGEST_S: Final = 0.1


def _wait(what: str, before: str) -> Row:
    return Row(f"{what}: another caller's longest wait", before, "0.1 s", _LONGEST_S)


def _memory(what: str, before: str, limit_mb: float) -> Row:
    return Row(f"{what}: memory", before, f"{limit_mb:.0f} MB", limit_mb, "{:.0f} MB")


def _count(what: str, before: str, limit: float, *, is_most: bool = False) -> Row:
    return Row(what, before, f"{limit:.0f}", limit, "{:.0f}", is_most)


def _empties(text: str, count: int, form: grpc.Compression, waits: str, took: str) -> Attack:
    # Of what the message may become: twice, since it is copied, and what the allocator keeps.
    limit_mb = 2 * len(callers.EMPTY_INPUT) * count / 1e6 + 40
    rows = (_wait(text, waits), _memory(text, took, limit_mb))
    return Attack(partial(callers.empties, count, form), rows)


_TEN: Final = 10_000_000
_PLAIN, _GZIP = grpc.Compression.NoCompression, grpc.Compression.Gzip
_STREAMS: Final = "50,000 calls of headers alone on one connection"
_NO_AIM: Final = partial(Row, aim="-", limit=None, form="{:.0f}")
ATTACKS: Final[Mapping[str, Attack]] = {
    "empties": _empties("10 million empty `inputs`, 20 MB", _TEN, _PLAIN, "57 s", "4,600 MB"),
    "empties-gzip": _empties(
        "10 million empty `inputs`, 20 kB with gzip", _TEN, _GZIP, "57 s", "4,600 MB"
    ),
    "empties-4mb": _empties("4 MB of empty `inputs`", _TEN // 5, _PLAIN, "6 s", "1,100 MB"),
    "fields": Attack(
        callers.every_field,
        (_wait("4 MB of every repeated field in turn, with gzip, the worst", "6 s and more"),),
    ),
    "tensor": Attack(callers.large_tensor, (_wait("one tensor of 60 MB that is answered", "-"),)),
    "streams": Attack(
        partial(callers.headers_alone, "completion_queue"), (_wait(_STREAMS, "6.7 s"),)
    ),
    "streams-aio": Attack(
        partial(callers.headers_alone, "grpc_aio"), (_wait(f"{_STREAMS}, `grpc.aio`", "6.7 s"),)
    ),
    "webp": Attack(
        callers.webp,
        (
            _count("24 WebP files of 47 kB and 18 megapixels, budget 320 MB: answered", "-", 24),
            _memory("the same files", "1,253 MB (71 kB each)", 360),
        ),
    ),
    "greedy": Attack(
        callers.greedy_streams,
        (
            _count(
                "one client with 64 of 64 streams, queue full: another's, answered of 20", "0", 20
            ),
        ),
    ),
    "scrapes": Attack(
        callers.slow_scrapes,
        (
            _count("1,000 slow connections: scrapes within 1 s, of 20", "0", 20),
            Row("the longest of them", "-", "1 s", 1.0),
        ),
    ),
    "halves": Attack(
        callers.half_requests,
        (_count("400 half requests: threads more than before", "337", 1, is_most=True),),
    ),
    "rows": Attack(
        callers.bad_rows,
        (_count("60 rows that the model refuses among 420: answered of those", "301", 420),),
    ),
    "corpora": Attack(
        callers.corpora,
        (
            _NO_AIM("bad models of the proof's corpora", before="-"),
            _count("of those, proven", "12 more were", 0, is_most=True),
            _NO_AIM("good models, each behind every door", before="-"),
            _count("of those, with an alarm", "2 were", 0, is_most=True),
        ),
    ),
}

HEAD: Final = """\
<!-- Made by `python benchmarks/hostile.py` from hostile.json. -->

# A hostile and unlucky world: the measurements

What callers and models that mean no good, or have no luck, cost everybody else. *Before* is what an
attack on an early version found. *Now* is the same again: the median of the rounds, or the worst of
them where it counts what was lost. Bold is what misses its aim. *Load* is the load average of the
machine, which has two cores, when the measurement began: what others did there is in the figure.

```console
$ python benchmarks/hostile.py
$ python benchmarks/hostile.py --only streams streams-aio
```

| what | before | aim | now | load |
|---|--:|--:|--:|--:|
"""


def page(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """The page, of what was measured so far."""
    lines = [
        row.line(figure, measured[name])
        for name, attack in ATTACKS.items()
        if name in measured
        for row, figure in zip(attack.rows, measured[name]["figures"], strict=True)
    ]
    commits = sorted({each["commit"] for each in measured.values()})
    days = sorted({each["measured_at"][:10] for each in measured.values()})
    return (
        f"{HEAD}{chr(10).join(lines)}\n\nMeasured at {', '.join(commits)} on {', '.join(days)}.\n"
    )


def measure(attack: Attack, rounds: int) -> dict[str, Any]:
    """Its figures, and what must be known of them."""
    load = f"{os.getloadavg()[0]:.0f}"
    command = ["git", "describe", "--always"]
    commit = subprocess.run(command, cwd=DOCS, capture_output=True, text=True, check=False)
    return {
        "figures": list(attack.measure(rounds)),
        "rounds": rounds,
        "load": load,
        "commit": commit.stdout.strip() or "unknown",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description="What a hostile and unlucky world costs.")
    parser.add_argument("--only", nargs="+", choices=tuple(ATTACKS), default=tuple(ATTACKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in () if arguments.page_only else arguments.only:
        found = measure(ATTACKS[name], arguments.rounds)
        for row, figure in zip(ATTACKS[name].rows, found["figures"], strict=True):
            print(row.line(figure, found), flush=True)
        # After each: an interrupted run keeps what it has.
        FIGURES.write_text(json.dumps(_kept() | {name: found}, indent=1) + "\n")
    PAGE.write_text(page(_kept()), encoding="utf-8")


def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    return kept


if __name__ == "__main__":
    main()
