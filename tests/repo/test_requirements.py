"""The hashed requirements say what pyproject.toml says."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from repo.checkout import ROOT, project_table

FILES = ("build", "cpu", "dev", "grpcio-oldest", "interop", "openvino", "stubs")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)", re.MULTILINE)


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_a_pin_with_a_hash(name: str) -> None:
    """Comments aside: no index, no editable, no address."""
    entries = re.sub(r" \\\n\s+", " ", re.sub(r"^\s*#.*\n", "", _text(name), flags=re.MULTILINE))

    assert entries
    for entry in entries.splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==\S+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+ *", entry)


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("cpu", ("", "server", "cpu", "load", "otel")),
        (
            "dev",
            ("", "server", "cpu", "otel", "pictures", "plots", "load", "group build", "group dev"),
        ),
        ("grpcio-oldest", ("", "server", "load", "otel", "group dev")),
        ("openvino", ("", "server", "openvino", "otel")),
        ("build", ("group build",)),
        ("interop", ("", "group interop")),
        ("stubs", ("group stubs",)),
    ],
)
def test_every_declared_dependency_is_pinned_within_its_bounds(
    name: str, sources: tuple[str, ...]
) -> None:
    pins = _pins(name)
    declared = [line for source in sources for line in _declared(source)]

    assert declared
    for requirement in declared:
        versions = pins.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement} is not in requirements/{name}.txt: run make lock"
        assert all(requirement.specifier.contains(version) for version in versions)


@pytest.mark.parametrize("smaller", ["build", "cpu", "openvino"])
def test_development_uses_the_very_versions_that_are_shipped(smaller: str) -> None:
    shipped, developed = _pins(smaller), _pins("dev")

    assert {name: developed.get(name) for name in shipped} == shipped


def test_the_oldest_grpcio_that_is_allowed_is_the_one_that_is_tried() -> None:
    project = project_table()["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    bounds = [Requirement(line) for line in lines if line.startswith("grpcio")]
    pins = _pins("grpcio-oldest")

    assert len(bounds) == 3
    assert [str(each.specifier) for each in bounds] == [">=1.76"] * 3
    assert [pins[each.name] for each in bounds] == [{"1.76.0"}] * 3


@pytest.mark.parametrize("name", ["cpu", "dev", "grpcio-oldest", "interop"])
def test_what_is_installed_beside_the_tools_that_install_agrees_with_them(name: str) -> None:
    """``scripts/make-venv`` gives uv both files at once, which refuses two pins of one package."""
    tools, beside = _pins("build"), _pins(name)

    assert {each: beside[each] for each in tools.keys() & beside.keys()} == {
        each: tools[each] for each in tools.keys() & beside.keys()
    }


def test_no_extra_and_no_pin_is_without_a_lower_bound() -> None:
    project = project_table()["project"]
    lines = [*project["dependencies"], *_flat(project["optional-dependencies"].values())]

    assert [line for line in lines if ">=" not in line and not line.startswith("batchproof[")] == []


def test_every_engine_extra_brings_the_server() -> None:
    extras = project_table()["project"]["optional-dependencies"]

    assert all("batchproof[server]" in extras[name] for name in ("cpu", "tensorflow", "gpu"))


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize(
    ("system", "machine", "engine"),
    [
        ("linux", "x86_64", "tensorflow-cpu"),
        ("linux", "aarch64", "tensorflow"),
        ("darwin", "arm64", "tensorflow"),
        ("win32", "AMD64", "tensorflow-cpu"),
    ],
)
def test_the_cpu_extra_takes_the_one_tensorflow_that_is_published_for_the_machine(
    system: str, machine: str, engine: str, python: str
) -> None:
    """tensorflow-cpu 2.20 and 2.21 have wheels for manylinux x86_64 and for win_amd64 only."""
    markers = {"sys_platform": system, "platform_machine": machine, "python_version": python}

    assert _engines(_declared("cpu"), markers) == [engine]
    for name in ("cpu", "dev", "interop"):
        assert _engines(_pinned(name), markers) == [engine]


def test_every_dependency_has_its_reason_in_decision_0010() -> None:
    page = (ROOT / "docs" / "decisions" / "0010-dependencies.md").read_text()
    groups = [f"group {name}" for name in ("build", "dev", "interop", "stubs")]
    sources = (
        "",
        "server",
        "plots",
        "load",
        "otel",
        "cpu",
        "openvino",
        "tensorflow",
        "gpu",
        *groups,
    )
    names = {requirement.name for source in sources for requirement in _declared(source)}

    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def _text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def _engines(requirements: Iterable[Requirement], markers: dict[str, str]) -> list[str]:
    """The names of the TensorFlow that a machine is given."""
    return [
        each.name
        for each in requirements
        if each.name in {"tensorflow", "tensorflow-cpu"}
        and (each.marker is None or each.marker.evaluate(markers))
    ]


def _pinned(name: str) -> Iterator[Requirement]:
    """The pins of a file with their markers, without their hashes."""
    for line in _text(name).splitlines():
        if PIN.match(line):
            yield Requirement(line.rstrip("\\ "))


def _pins(name: str) -> dict[str, set[str]]:
    """Canonical name -> the pinned versions: several where Pythons differ."""
    pins: dict[str, set[str]] = {}
    for found in PIN.finditer(_text(name)):
        pins.setdefault(canonicalize_name(found["name"]), set()).add(found["version"])
    return pins


def _declared(source: str) -> list[Requirement]:
    """The requirements of the bare install (``""``), an extra, or a ``group NAME``."""
    table = project_table()
    if source.startswith("group "):
        lines: list[Any] = table["dependency-groups"][source.removeprefix("group ")]
    elif source:
        lines = table["project"]["optional-dependencies"][source]
    else:
        lines = table["project"]["dependencies"]
    plain = [line for line in lines if isinstance(line, str)]
    return [Requirement(line) for line in plain if not line.startswith("batchproof[")]


def _flat(lists: Iterable[list[str]]) -> list[str]:
    return [line for lines in lists for line in lines]
