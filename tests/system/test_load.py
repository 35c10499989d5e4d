"""``batchproof load`` against a real server: plain and augmented requests, mixed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from system.bundles import samples
from system.process import PATIENCE_S, Samples, ServerProcess, environment

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs" / "schemas" / "load-report.schema.json").read_text()
)
# Its own speed is never judged.
UNHURRIED = ("--warm-up", "0", "--max-lag", "1h", "--timeout-s", str(PATIENCE_S), "--seed", "4")


def load(server: ServerProcess, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "batchproof_client", "load", "--server", server.grpc]
    return subprocess.run(
        [*command, *UNHURRIED, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=environment(),
    )


def augmented_since(before: Samples, now: Samples, policy: str) -> tuple[float, float]:
    """Rows and views of a policy that were counted between two readings."""
    labels = {"model": "pictures", "version": "1", "policy": policy}
    rows, views = "batchproof_tta_rows_total", "batchproof_tta_views_total"
    return (
        now.of(rows, **labels) - before.of(rows, **labels),
        now.of(views, **labels) - before.of(views, **labels),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A few of the embedded model's sample pictures."""
    for place, picture in enumerate(samples()[:5]):
        (tmp_path / f"{place}.png").write_bytes(picture)
    return tmp_path


@pytest.mark.parametrize("pace", [("--concurrency", "6"), ("--rate", "200")])
def test_a_mix_of_plain_and_augmented_requests_is_answered_identically(
    exact: ServerProcess, folder: Path, pace: tuple[str, str]
) -> None:
    before = exact.metrics()
    mixes = (
        f"weight=3,images={folder}",
        f"weight=2,images={folder},tta=flip,rows=2",
        f"weight=1,images={folder},tta=d4,stream=true",
        "weight=1,generate=64x48:jpeg,tta=crops",
        "weight=1,tensors=random,rows=3",
    )
    ended = load(
        exact,
        *(*pace, "--count", "120", "--check-identical", "--processes", "2", "--json"),
        *(part for mix in mixes for part in ("--mix", mix)),
    )
    assert ended.stderr == ""
    report: dict[str, Any] = json.loads(ended.stdout)
    jsonschema.validate(report, SCHEMA)
    assert ended.returncode in {0, 3}  # a closed loop may well use its processes up
    assert report["total"]["codes"] == {"OK": 120}
    views_of_a_row = {"flip": 2, "d4": 8, "crops": 6}

    def all_views_are_counted(now: Samples) -> bool:
        grown = {name: augmented_since(before, now, name) for name in views_of_a_row}
        return all(
            rows and views == rows * views_of_a_row[name] for name, (rows, views) in grown.items()
        )

    exact.metrics_when("all views of all rows are counted", all_views_are_counted)


def test_an_unknown_policy_is_one_line_and_exit_2(exact: ServerProcess, folder: Path) -> None:
    ended = load(
        exact, "--concurrency", "2", "--count", "10", "--images", str(folder), "--tta", "flop"
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert 'unknown policy "flop"' in ended.stderr


def test_augmented_tensors_are_one_line_and_exit_2(exact: ServerProcess) -> None:
    ended = load(exact, "--concurrency", "2", "--count", "10", "--tta", "flip")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "batchproof: random tensor #0: options.tta: the request has tensors, expected images\n"
    )
