"""The benchmarks measure answers of real servers, and write what they measured."""

import json
from pathlib import Path

from batchproof.v1 import prediction_pb2 as pb
from support.patience import PATIENCE_S
from system.bundles import samples
from system.process import ServerProcess, run_benchmark


def benchmark(script: str, *arguments: str) -> str:
    """What a benchmark prints that succeeds."""
    ended = run_benchmark(script, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_scenario_leaves_its_figures_and_a_page(tmp_path: Path) -> None:
    options = ("--scenarios=b", "--seconds=0.1", "--repeats=1", f"--to={tmp_path}")
    benchmark("run.py", *options)
    measured = json.loads((tmp_path / "performance.json").read_text())["scenarios"]["b"]
    (table,) = measured["outcome"]["tables"]
    for _, side, *figures in table["rows"]:
        if side in {"echo", "batchproof"}:
            assert all(figure > 0 for figure in figures), table
    page = (tmp_path / "performance.md").read_text()
    assert all(aim["text"] in page for aim in measured["outcome"]["aims"])


def test_an_open_loop_counts_how_its_calls_ended(embedded: ServerProcess, tmp_path: Path) -> None:
    files = []
    for number, picture in enumerate(samples()[:2]):
        request = pb.PredictRequest(images=pb.EncodedImages(contents=[picture]))
        files.append(tmp_path / f"{number}.bin")
        files[-1].write_bytes(request.SerializeToString())
    rate_hz, seconds, deadline_s = "20", "3", str(PATIENCE_S)
    options = (embedded.grpc, rate_hz, seconds, deadline_s, *map(str, files))
    printed = benchmark("open_loop.py", *options)
    total = json.loads(printed)
    assert total["codes"] == {"OK": total["requests"]}
    assert total["requests"] > 0
    assert 0 < total["p50_s"] <= total["p99_s"] <= PATIENCE_S
