"""Labels that arrive later, from one command to the other, over a real process."""

import csv
import json
import subprocess
import sys
from pathlib import Path

from support.bundles_on_disk import PICTURES, picture, write_bundle
from system.bundles import SAMPLES
from system.process import PATIENCE_S, Samples, ServerProcess, run, started

KEYS = ("ab" * 32, "cd" * 32)


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
        rows.writerow(["handle", "label"])
        rows.writerows(zip((record["handle"] for record in records), truths, strict=True))
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


def test_a_handle_counts_at_another_process_and_after_a_restart_with_the_same_keys(
    tmp_path: Path,
) -> None:
    bundle = write_bundle(tmp_path / "1", PICTURES, shape=(2, 2, 3))
    shot, keys = tmp_path / "shot.png", tmp_path / "keys"
    shot.write_bytes(picture())
    keys.write_text(KEYS[0])
    key_file = {"BATCHPROOF_OUTCOMES__KEY_FILE": str(keys)}
    with started(bundle, variables=key_file) as first:
        first.wait_serving()
        handles = [
            json.loads(client(first, "predict", "--json", shot).stdout)["handle"] for _ in range(3)
        ]
        with started(bundle, variables=key_file) as replica:
            replica.wait_serving()
            accepted = client(replica, "report-outcome", handles[0], "--class-index", "0")
            assert accepted.stdout == "1 accepted, 1 of them correct; 0 refused\n", accepted.stderr
    keys.write_text("\n".join(reversed(KEYS)))
    with started(bundle, variables=key_file) as rotated:
        rotated.wait_serving()
        assert client(rotated, "report-outcome", handles[1], "--class-index", "0").returncode == 0
    keys.write_text(KEYS[1])
    with started(bundle, variables=key_file) as forgot:
        forgot.wait_serving()
        refused = client(forgot, "report-outcome", handles[2], "--class-index", "0")
        assert (refused.returncode, "sealed under a key" in refused.stderr) == (1, True)


def test_a_server_does_not_start_with_a_key_file_that_holds_no_keys(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "1")
    keys = tmp_path / "keys"
    keys.write_text("secret\n")
    ended = run("serve", bundle, variables={"BATCHPROOF_OUTCOMES__KEY_FILE": str(keys)})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "line 1 is no key" in ended.stderr
    assert "secret" not in ended.stderr
