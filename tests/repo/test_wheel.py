"""What the wheel holds, and what an installation without extras brings along."""

import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from repo.checkout import ROOT, clean_venv, project_table, run, uv

PACKAGES = {"batchproof", "batchproof_server", "batchproof_client"}
SERVER_ONLY = (
    *("tensorflow", "keras", "h5py", "PIL", "pydantic", "structlog"),
    *("prometheus_client", "grpc_reflection"),
)


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of a clean environment with the wheel and no extra."""
    return clean_venv(tmp_path_factory.mktemp("bare") / "venv", wheel).parent


def test_the_wheel_holds_exactly_the_three_typed_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.split("/")[0] for name in names}

    assert {name for name in packages if not name.endswith(".dist-info")} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert [name for name in names if name.endswith((".pyc", ".h5", ".keras"))] == []


def test_the_wheel_holds_every_module_and_stub_of_the_checkout(wheel: Path) -> None:
    roots = [ROOT / folder for folder in ("proto", "server", "client")]
    expected = {
        str(path.relative_to(root))
        for root in roots
        for path in root.rglob("*.py*")
        if path.suffix in (".py", ".pyi")
    }

    assert expected <= set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_carries_the_licence_and_both_commands(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (licence,) = (name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
    (commands,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))

    assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert archive.read(commands).decode().split() == [
        "[console_scripts]",
        *("batchproof", "=", "batchproof.command_line:client"),
        *("batchproof-server", "=", "batchproof.command_line:server"),
    ]


def test_the_bare_install_brings_the_client_and_nothing_of_the_server(bare: Path) -> None:
    question = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n)])"

    run([bare / "python", "-W", "error", "-c", "import batchproof_client"])

    assert run([bare / "python", "-c", question, *SERVER_ONLY]).stdout == "[]\n"
    assert "predict" in run([bare / "batchproof", "--help"]).stdout


def test_every_module_of_the_client_loads_in_the_bare_install(bare: Path) -> None:
    _import_all(bare / "python", "batchproof", but="batchproof.keras")  # whoever trains has Keras
    _import_all(bare / "python", "batchproof_client")


def test_the_server_without_its_extra_names_the_extra_in_one_line(bare: Path) -> None:
    shown = run([bare / "batchproof-server", "--help"])
    refused = run([bare / "batchproof-server", "serve", "."], expected=2)

    assert "serve" in shown.stdout
    assert ".[cpu]" in refused.stderr
    assert "[server]" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert refused.stdout == ""


def test_the_lowest_versions_that_are_declared_run_the_client(wheel: Path, tmp_path: Path) -> None:
    python = clean_venv(tmp_path / "venv")
    install = ("pip", "install", "--quiet", "--python", python)

    uv(*install, "--resolution", "lowest-direct", "--requirements", ROOT / "pyproject.toml")
    uv(*install, "--no-deps", wheel)

    freeze = uv("pip", "freeze", "--python", python)
    installed = {line.partition("==")[0]: line.partition("==")[2] for line in freeze.split()}
    for requirement in map(Requirement, project_table()["project"]["dependencies"]):
        (lowest,) = (bound for bound in requirement.specifier if bound.operator == ">=")
        assert Version(installed[requirement.name]) == Version(lowest.version)
    _import_all(python, "batchproof_client")
    run([python.parent / "batchproof", "--help"])


def _import_all(python: Path, package: str, but: str = "") -> None:
    program = (
        "import importlib, pkgutil, sys\n"
        "top = importlib.import_module(sys.argv[1])\n"
        "for found in pkgutil.walk_packages(top.__path__, top.__name__ + '.'):\n"
        "    if found.name != sys.argv[2]:\n"
        "        importlib.import_module(found.name)\n"
    )
    run([python, "-W", "error", "-c", program, package, but])
