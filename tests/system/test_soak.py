"""A soak of seconds: everything is on, every caller comes, and nothing is lost or wrong."""

import re
from pathlib import Path

from system.bundles import write_image_model
from system.process import run_benchmark

SECONDS = 4
CALLERS = 11
OTHERS = ("cancelling", "garbage", "half asking", "metrics", "operating", "vanishing")


def test_a_soak_loses_nothing_and_prints_the_slopes(tmp_path: Path) -> None:
    bundle = write_image_model(tmp_path / "pictures" / "1")
    ended = run_benchmark("soak.py", f"--minutes={SECONDS / 60}", f"--bundle={bundle}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert ended.stdout.endswith("\nnothing was lost\n")
    counts = re.findall(
        r"^(?:native|open inf|tensorf|rest).* +(\d+) +(\d+) +\d+ +0 +0$", ended.stdout, re.MULTILINE
    )
    assert len(counts) == CALLERS
    assert all(int(answered) > 0 for _, answered in counts)
    came = dict(re.findall(r"([a-z ]+) (\d+)(?:,|\n)", ended.stdout.split("came as well:")[1]))
    assert all(int(came[f" {name}"]) > 0 for name in OTHERS)
    for quantity in ("memory_mb", "descriptors", "threads"):
        assert re.search(rf"^{quantity} .* [+-][\d.]+$", ended.stdout, re.MULTILINE)
