"""The committed stubs are what the pinned generator makes, and load wherever TensorFlow does."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from repo.checkout import ROOT, clean_venv, product_modules, run

PROTO = ROOT / "proto"
STUBS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")
LOAD = "from batchproof.v1 import prediction_pb2 as p; p.PredictRequest().SerializeToString()"


def test_the_committed_stubs_are_fresh(tmp_path: Path) -> None:
    committed = _stubs(PROTO)

    run([PROTO / "generate", tmp_path], environment={"PYTHON": sys.executable})

    assert committed
    assert _stubs(tmp_path) == committed


def test_every_stub_of_a_service_is_imported_by_a_package() -> None:
    """They end up in the wheel, so one that nobody imports is dead weight in every program."""
    sources = [path.read_text() for path in product_modules()]
    services = [path.stem for path in PROTO.rglob("*_pb2_grpc.py")]

    assert services
    assert [name for name in services if not _is_imported(name, sources)] == []


@pytest.mark.parametrize("protobuf", ["protobuf==6.31.1", "protobuf>=7,<8"])
def test_the_stubs_load_over_the_protobuf_range_of_tensorflow(
    tmp_path: Path, protobuf: str
) -> None:
    python = clean_venv(tmp_path / "venv", protobuf)
    _copy_messages(tmp_path)

    run([python, "-W", "error", "-c", LOAD], environment={"PYTHONPATH": str(tmp_path)})


def test_the_stubs_refuse_a_protobuf_below_the_range_that_the_project_declares(
    tmp_path: Path,
) -> None:
    """So the lower bound in pyproject.toml is no tighter than it must be."""
    python = clean_venv(tmp_path / "venv", "protobuf==6.30.2")
    _copy_messages(tmp_path)

    refused = run([python, "-c", LOAD], environment={"PYTHONPATH": str(tmp_path)}, expected=1)

    assert "gencode 6.31.1" in refused.stderr


def test_the_generator_writes_for_the_lowest_protobuf_that_the_project_declares() -> None:
    stub = (PROTO / "batchproof" / "v1" / "prediction_pb2.py").read_text()
    (written_for,) = re.findall(r"^# Protobuf Python Version: (\S+)", stub, re.MULTILINE)
    (declared,) = re.findall(r'"protobuf>=([\d.]+),<8"', (ROOT / "pyproject.toml").read_text())

    assert written_for == declared


def _stubs(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for pattern in STUBS
        for path in folder.rglob(pattern)
    }


def _is_imported(name: str, sources: list[str]) -> bool:
    line = re.compile(rf"^from batchproof\S* import {name}\b", re.MULTILINE)
    return any(line.search(text) for text in sources)


def _copy_messages(folder: Path) -> None:
    """The message stubs alone: they need protobuf and nothing else."""
    target = folder / "batchproof" / "v1"
    target.mkdir(parents=True)
    for package in (target, target.parent):
        (package / "__init__.py").touch()
    for stub in (PROTO / "batchproof" / "v1").glob("*_pb2.py"):
        shutil.copy(stub, target)
