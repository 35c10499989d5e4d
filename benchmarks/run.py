"""The benchmarks, as ratios: measures, writes the figures as JSON, and makes the page of them.

    python benchmarks/run.py [--scenarios "a e"] [--seconds 1.5] [--repeats 3] [--page-only]
                             [--to docs]

Servers and the in-process ceilings run on the first core with one engine thread, the load on the
second. What is not measured again keeps its figures.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import added_latency
import bare
import beside_engine
import ceiling
import charts
import cold_start
import consistency
import memory
import overload
import pictures
import policies
import rest
import two_cores
from bench import Bench
from page import page
from results import SCHEMA, Outcome, outcome_from_json
from subjects import KEPT

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
FIGURES: Final = "performance.json"
NOTES: Final = "performance-notes.md"
PAGE: Final = "performance.md"
SCENARIOS: Final[Mapping[str, Callable[[Bench], Outcome]]] = {
    "a": ceiling.run,
    "b": added_latency.run,
    "c": consistency.run_strict,
    "d": consistency.run_watched,
    "e": overload.run,
    "f": cold_start.run,
    "g": memory.run,
    "h": pictures.run,
    "i": policies.run,
    "j": rest.run,
    "k": two_cores.run,
    "l": bare.run,
    "m": beside_engine.run,
}


def main() -> int:
    """Measures and writes."""
    arguments = _arguments()
    unknown = set(arguments.scenarios.split()) - set(SCENARIOS)
    if unknown:
        known = " ".join(SCENARIOS)
        print(f"no scenario {' '.join(sorted(unknown))}; there are {known}", file=sys.stderr)
        return 2
    docs: Path = arguments.to
    figures = docs / FIGURES
    results = json.loads(figures.read_text()) if figures.exists() else {"scenarios": {}}
    KEPT.mkdir(parents=True, exist_ok=True)
    if not arguments.page_only:
        results["schema"] = SCHEMA
        bench = Bench(arguments.seconds, arguments.repeats, _progress)
        for letter in arguments.scenarios.split() or SCENARIOS:
            results["scenarios"][letter] = _measured(letter, bench)
            # After each: an interrupted run keeps what it has.
            figures.write_text(json.dumps(results, indent=1) + "\n")
    _write_page(docs, results)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--scenarios", default="", help="their letters; all without it")
    parser.add_argument("--seconds", type=float, default=1.5, help="of one measurement")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement")
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    parser.add_argument("--to", type=Path, default=DOCS, help="a folder, for figures and page")
    return parser.parse_args()


def _measured(letter: str, bench: Bench) -> dict[str, Any]:
    started_s = time.monotonic()
    outcome = SCENARIOS[letter](bench)
    took_s = time.monotonic() - started_s
    _progress("")
    _print(letter, outcome)
    return {
        "outcome": outcome.as_json(),
        "duration_s": round(took_s, 1),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _machine(),
        "seconds": bench.seconds,
        "repeats": bench.repeats,
    }


def _write_page(docs: Path, results: Mapping[str, Any]) -> None:
    for each in results["scenarios"].values():
        for chart in outcome_from_json(each["outcome"]).charts:
            charts.draw(chart, docs / "images")
    notes = docs / NOTES
    text = notes.read_text(encoding="utf-8") if notes.exists() else ""
    (docs / PAGE).write_text(page(results, text), encoding="utf-8")
    print(f"wrote {FIGURES}, {PAGE} and their charts")


def _print(letter: str, outcome: Outcome) -> None:
    print(f"\n({letter}) {outcome.title}")
    for table in outcome.tables:
        print("\t".join(table.columns))
        for row in table.rows:
            print("\t".join("-" if one is None else _short(one) for one in row))
    for aim in outcome.aims:
        met = "met" if aim.is_met else "NOT met"
        print(f"aim {met}: {aim.text}: {aim.figure:.3g}, wanted {aim.limit:g}")


def _short(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def _machine() -> dict[str, str]:
    models = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in models if "model name" in line), "?")
    packages = ("tensorflow-cpu", "keras", "openvino", "grpcio", "numpy")
    return {
        "processor": f"{processor}, {os.cpu_count()} cores",
        "Linux": platform.release().split("-")[0],
        "Python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    run = subprocess.run(command, cwd=DOCS, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
