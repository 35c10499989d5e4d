"""The checkout under test: its files, and how its programs are run."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PRODUCT = ("proto/batchproof", "server/batchproof_server", "client/batchproof_client")


def tracked_files() -> list[Path]:
    """Every file that git tracks or would track, as absolute paths."""
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"])
    names = filter(None, listed.stdout.split("\0"))
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def product_modules() -> list[Path]:
    """The hand-written modules of the three packages."""
    return [
        module
        for package in PRODUCT
        for module in sorted((ROOT / package).rglob("*.py"))
        if not module.stem.endswith(("_pb2", "_pb2_grpc"))
    ]


def project_table() -> dict[str, Any]:
    """``pyproject.toml`` as it stands."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    expected: int | None = 0,
) -> subprocess.CompletedProcess[str]:
    """Runs a program and returns what it wrote.

    Raises:
        AssertionError: with all that it wrote, when its exit code is not the ``expected`` one.
    """
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"UV_SYSTEM_CERTS": "1", **os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert expected in (None, ended.returncode), f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended


def uv(*arguments: str | Path) -> str:
    """Runs the pinned uv and returns its standard output."""
    return run([sys.executable, "-m", "uv", *arguments]).stdout


def clean_venv(folder: Path, *requirements: str | Path) -> Path:
    """Makes a virtual environment with nothing but ``requirements``; returns its interpreter."""
    uv("venv", "--quiet", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    if requirements:
        uv("pip", "install", "--quiet", "--python", python, *requirements)
    return python


def program(path: Path, body: str) -> Path:
    """Writes a shell script that stands in for a program; returns its path."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path
