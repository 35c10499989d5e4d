"""Labels that arrive later, from one command to the other, over a real process."""

import csv
import json
import subprocess
import sys
from pathlib import Path

from system.bundles import SAMPLES
from system.process import PATIENCE_S, Samples, ServerProcess


def client(server: ServerProcess, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "batchproof_client", *map(str, arguments)]
    hurry = ("--server", server.grpc, "--timeout-s", str(PATIENCE_S))
    return subprocess.run([*command, *hurry], capture_output=True, text=True, check=False)


def test_what_predict_answers_can_be_reported_from_a_file_and_is_counted_once(
    embedded: ServerProcess, tmp_path: Path
) -> None:
    labels = (SAMPLES.parent / "labels.txt").read_text().splitlines()
    answered = client(embedded, "predict", "--json", SAMPLES)
    records = [json.loads(line) for line in answered.stdout.splitlines()]
    truths = [labels[int(Path(record["picture"]).name[:2])] for record in records]
    right = sum(
        record["classes"][0]["label"] == truth
        for record, truth in zip(records, truths, strict=True)
    )
    file = tmp_path / "outcomes.csv"
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["request_id", "label"])
        rows.writerows(zip((record["request_id"] for record in records), truths, strict=True))
    before = embedded.metrics()

    first = client(embedded, "report-outcome", "--file", file)
    again = client(embedded, "report-outcome", "--file", file)

    assert first.stdout == f"{len(records)} accepted, {right} of them correct; 0 refused\n"
    assert (first.returncode, again.returncode) == (0, 1)
    assert again.stdout == f"0 accepted, 0 of them correct; {len(records)} refused\n"

    def grown(after: Samples, correct: str) -> float:
        series = {"model": "fashion-mnist", "version": "1", "correct": correct}
        name = "batchproof_outcomes_total"
        return after.of(name, **series) - before.of(name, **series)

    after = embedded.metrics_when(
        "every outcome is counted",
        lambda now: grown(now, "true") + grown(now, "false") >= len(records),
    )
    assert grown(after, "true") == right
    assert grown(after, "false") == len(records) - right
