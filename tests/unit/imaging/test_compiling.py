"""Machine code that numba keeps: found again, and never the reason that nothing works."""

from pathlib import Path

import numba
import numpy as np
import pytest

from batchproof_server.imaging.compiling import CompiledPasses, compile_passes


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that numba keeps machine code in during the test."""
    folder = tmp_path / "kept"
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(folder))
    return folder


def picks(passes: CompiledPasses) -> bool:
    """Whether the passes do what they should."""
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    out = np.empty((1, 2, 3), np.uint8)
    passes.pick(picture, np.array([1]), np.array([1, 0]), out)
    return np.array_equal(out, picture[[1]][:, [1, 0]])


def test_what_was_compiled_is_kept_and_broken_files_are_compiled_anew(cache: Path) -> None:
    assert picks(compile_passes())
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        path.write_bytes(b"no machine code")

    assert picks(compile_passes())


def test_where_nothing_can_be_written_nothing_is_kept(cache: Path) -> None:
    cache.write_text("a file where the folder should be")

    assert picks(compile_passes())
