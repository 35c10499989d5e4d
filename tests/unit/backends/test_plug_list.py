"""Two lines in the plug list are all that a new artefact kind and a new engine need."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from batchproof_server.__main__ import main
from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.backends import plug_list
from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.discovery import NothingToServe, discover
from batchproof_server.models.loading import load_version
from support.bundles_on_disk import write_bundle
from support.toy import write_toy

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two lines."""
    kinds = {**plug_list.ARTEFACT_KINDS, "toy": "support.toy"}
    engines = {**plug_list.ENGINES, "toy": "support.toy"}
    monkeypatch.setattr(plug_list, "ARTEFACT_KINDS", kinds)
    monkeypatch.setattr(plug_list, "ENGINES", engines)


def test_every_plug_has_the_name_of_its_line() -> None:
    assert [kind.name for kind in plug_list.artefact_kinds()] == list(plug_list.ARTEFACT_KINDS)
    assert [engine.name for engine in plug_list.engines()] == list(plug_list.ENGINES)
    assert {"keras", "numpy", "tensorflow", "tensorflow-cpu"} <= set(plug_list.packages())


def test_every_kind_has_a_file_of_its_own_and_an_engine() -> None:
    kinds = plug_list.artefact_kinds()
    assert len({kind.file for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert [engine for engine in plug_list.engines() if engine.executes(kind)]


@pytest.mark.usefixtures("_toy")
def test_a_new_kind_on_a_new_engine_is_found_proven_and_executed(tmp_path: Path) -> None:
    (place,) = discover(write_toy(tmp_path / "adder" / "1"))
    loaded = load_version(place, loading_plugs(Config()))
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(loaded.backend.execute({"x": rows})["y"], rows + np.float32(0.5))
    assert loaded.bundle.backend == "toy"
    assert loaded.certificate is not None
    assert loaded.certificate.verdict == "proven"
    assert loaded.certificate.subject.environment.engine == "toy 1"
    assert "pytest" in loaded.certificate.subject.environment.versions


@pytest.mark.usefixtures("_toy")
def test_the_commands_know_a_new_kind_and_a_new_engine(tmp_path: Path, capsys: Captured) -> None:
    bundle = str(write_toy(tmp_path / "adder" / "1"))
    assert main(["certify", bundle, "--engine", "toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "proven"
    assert main(["certify", bundle, "--engine", "tensorflow"]) == 2
    assert "expected toy" in capsys.readouterr().err
    assert main(["repair", bundle, "-o", str(tmp_path / "out")]) == 1
    assert "toy.txt has nothing to repair" in capsys.readouterr().err


@pytest.mark.usefixtures("_toy")
def test_what_the_files_of_a_new_kind_say_refuses_it_unopened(tmp_path: Path) -> None:
    bundle = write_toy(tmp_path / "adder" / "1")
    (bundle / "toy.txt").write_text("")
    with pytest.raises(ModelRefused, match="not safe to load") as refused:
        load_version(discover(bundle)[0], loading_plugs(Config()))
    (finding,) = refused.value.findings
    assert finding.startswith("BP001 toy.txt: is empty")


def test_without_its_line_a_kind_is_unknown(tmp_path: Path) -> None:
    bundle = write_toy(tmp_path / "adder" / "1")
    (bundle / "batchproof.toml").unlink()
    with pytest.raises(NothingToServe):
        discover(bundle)


@pytest.mark.usefixtures("_toy")
def test_without_an_engine_that_accepts_it_an_artefact_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plug_list, "ENGINES", {"toy": "support.toy"})
    (place,) = discover(write_bundle(tmp_path / "affine" / "1"))
    with pytest.raises(ModelRefused, match="no engine executes the artefact") as refused:
        load_version(place, loading_plugs(Config()))
    assert refused.value.findings == ("engine: none accepts this kind of artefact; there are toy",)


LIGHT = """
import sys
from batchproof_server.backends import plug_list
names = (*plug_list.ARTEFACT_KINDS, *plug_list.ENGINES)
print([name for name in ("numpy", "pydantic") if name in sys.modules])
plugs = (*plug_list.artefact_kinds(), *plug_list.engines())
print([name for name in ("tensorflow", "keras", "h5py", "openvino") if name in sys.modules])
"""


def test_the_names_need_no_package_and_the_values_no_engine() -> None:
    said = subprocess.run([sys.executable, "-c", LIGHT], check=True, capture_output=True, text=True)
    assert said.stdout.split("\n") == ["[]", "[]", ""]
