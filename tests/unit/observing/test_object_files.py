"""An object store that refuses, fails or hangs costs its rows, and nothing else."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from batchproof_server.observing.capture.captured import CapturedRow
from batchproof_server.observing.capture.object_files import (
    ObjectFiles,
    ObjectStoreFailed,
    find_store,
)
from batchproof_server.observing.capture.settings import CaptureSettings
from batchproof_server.observing.capture.store import CaptureStore, capture_id
from support.patience import HOPELESS_S, PATIENCE_S

NOW_S = 1_700_000_000.0
ROW = CapturedRow({"model": "shoes", "version": 3, "sample": "random"}, b"content", ".png")


class Faulty(MemoryFileSystem):  # type: ignore[misc] # ships no types
    """Keeps objects in memory, except where a test has it fail or wait."""

    protocol = "faulty"
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    fault: ClassVar[tuple[str, Exception] | None] = None
    go_on: ClassVar[threading.Event] = threading.Event()
    puts: ClassVar[list[str]] = []

    def pipe_file(
        self, path: str, value: bytes, mode: str = "overwrite", **options: object
    ) -> None:
        """Puts an object, or raises, once it may go on."""
        self.puts.append(path)
        assert self.go_on.wait(PATIENCE_S)
        if self.fault and self.fault[0] in path:
            raise self.fault[1]
        super().pipe_file(path, value, mode, **options)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Faulty]]:
    fsspec.register_implementation("faulty", Faulty, clobber=True)
    clean: dict[str, object] = {"store": {}, "pseudo_dirs": [""], "puts": [], "fault": None}
    for name, value in clean.items():
        monkeypatch.setattr(Faulty, name, value)
    monkeypatch.setattr(Faulty, "go_on", threading.Event())
    Faulty.go_on.set()
    yield Faulty
    Faulty.go_on.set()
    for thread in threading.enumerate():  # what is late would put into the next test's store
        if thread.name == "capture-store":
            thread.join(PATIENCE_S)


def new_store() -> CaptureStore:
    url = f"faulty://{uuid4().hex}/prefix"
    return CaptureStore(CaptureSettings(directory=url), ObjectFiles(url, PATIENCE_S))


def objects(faulty: type[Faulty]) -> list[str]:
    return sorted(Path(name).suffix for name in faulty.store)


@pytest.mark.parametrize("where", [".batchproof-trial", "/pictures/", "/records/"])
def test_a_store_that_fails_leaves_nothing_and_works_again_when_it_does(
    faulty: type[Faulty], where: str
) -> None:
    store = new_store()
    faulty.fault = (where, RuntimeError("no https://me:hush@store/x?sig=hush for you"))
    with pytest.raises(ObjectStoreFailed, match="RuntimeError: no ") as failed:
        store.keep(ROW, capture_id(round(NOW_S * 1e9), 1), NOW_S)
    assert "hush" not in str(failed.value)
    assert objects(faulty) == []

    faulty.fault = None
    store.keep(ROW, capture_id(round(NOW_S * 1e9), 2), NOW_S)

    assert objects(faulty) == [".json", ".png"]


def test_a_store_that_hangs_is_asked_once_and_holds_one_thread(faulty: type[Faulty]) -> None:
    url = f"faulty://{uuid4().hex}/prefix"
    files = ObjectFiles(url, PATIENCE_S)
    store = CaptureStore(CaptureSettings(directory=url), files)
    store.tidy(NOW_S)
    faulty.puts.clear()
    faulty.go_on.clear()
    files._timeout_s = HOPELESS_S
    for number, says in enumerate(["did not answer within 0.05 s", *["operation before"] * 3]):
        with pytest.raises(ObjectStoreFailed, match=says):
            store.keep(ROW, capture_id(round(NOW_S * 1e9), number), NOW_S)

    assert len(faulty.puts) == 1
    assert [thread.name for thread in threading.enumerate()].count("capture-store") == 1


def test_what_was_put_too_late_is_found_and_bounded(faulty: type[Faulty]) -> None:
    url = f"faulty://{uuid4().hex}/prefix"
    settings = CaptureSettings(directory=url, max_count=1)
    files = ObjectFiles(url, PATIENCE_S)
    store = CaptureStore(settings, files)
    store.tidy(NOW_S)
    faulty.go_on.clear()
    files._timeout_s = HOPELESS_S
    with pytest.raises(ObjectStoreFailed):
        store.keep(ROW, capture_id(round(NOW_S * 1e9), 1), NOW_S)
    faulty.go_on.set()
    assert files._late is not None
    files._late.join(PATIENCE_S)
    files._timeout_s = PATIENCE_S
    assert objects(faulty) == [".png"]

    store.keep(ROW, capture_id(round(NOW_S * 1e9), 2), NOW_S)

    assert objects(faulty) == [".json", ".png"]
    assert all("-000002" in name for name in faulty.store)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nowhere://bucket/x", "nowhere:// is no object store that is known, expected such as s3"),
        ("s3://bucket/x", 's3:// needs a package that is not installed.*pip install "s3fs"'),
    ],
)
def test_a_store_without_its_package_is_refused_with_the_way_out(
    url: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)

    with pytest.raises(ValueError, match=says):
        find_store(url)
