"""What lies in a repository, and whether it is whole."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.discovery import Place
from batchproof_server.models.looking import Lying, Seen, SteadyLoader, look_at, lying, settle
from batchproof_server.models.served import ServedModel
from support.version_life import FakeLoader, served

KEY = ("m", 1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A version with one file."""
    directory = tmp_path / "m" / "1"
    directory.mkdir(parents=True)
    (directory / "affine.json").write_text("{}")
    return Place("m", 1, directory)


def test_every_version_is_found_with_a_stamp(place: Place) -> None:
    found = look_at(place.directory.parents[1])
    assert list(found.versions) == [KEY]
    assert found.versions[KEY] == lying(place)


@pytest.mark.parametrize("change", ["longer", "later", "more", "less"])
def test_the_stamp_tells_that_files_changed(place: Place, change: str) -> None:
    file, before = place.directory / "affine.json", lying(place).stamp
    match change:
        case "longer":
            file.write_text("{ }")
        case "later":
            os.utime(file, ns=(1, 1))
        case "more":
            (place.directory / "labels.txt").touch()
        case _:
            file.unlink()
    assert lying(place).stamp != before


def test_what_is_not_a_regular_file_has_no_part_in_it(place: Place) -> None:
    before = lying(place)
    os.mkfifo(place.directory / "labels.txt")
    (place.directory / "assets").mkdir()
    assert lying(place) == before


@pytest.mark.parametrize(
    ("name", "is_partial"),
    [
        ("model.keras.part", True),
        ("variables/variables.data.tmp", True),
        (".model.keras.Xa81bQ", True),  # rsync
        ("model.keras_.gstmp", True),
        ("model.keras", False),
        ("variables.data-00000-of-00001", False),
        (".hidden", False),
        ("part", False),
    ],
)
def test_names_of_copying_programs_say_that_a_version_is_not_whole(
    place: Place, name: str, *, is_partial: bool
) -> None:
    file = place.directory / name
    file.parent.mkdir(exist_ok=True)
    file.touch()
    assert bool(lying(place).partial) is is_partial


def test_a_version_is_whole_after_two_looks_that_found_the_same() -> None:
    now = Lying(Place("m", 1, Path()), "as it is")
    seen: dict[tuple[str, int], Seen] = {}
    whole = []
    for now_s in (0.0, 0.5, 1.0):
        seen = settle(seen, {KEY: now}, now_s, 1.0)
        whole.append(seen[KEY].is_whole)
    assert whole == [False, False, True]


def test_even_without_patience_one_look_is_not_enough() -> None:
    now = Lying(Place("m", 1, Path()), "as it is")
    first = settle({}, {KEY: now}, 0.0, 0.0)
    assert not first[KEY].is_whole
    assert settle(first, {KEY: now}, 0.0, 0.0)[KEY].is_whole


async def test_a_version_that_changes_while_it_is_loaded_is_refused_and_released(
    place: Place,
) -> None:
    released: list[str] = []
    device: Any = SimpleNamespace(close=lambda: released.append("device"))
    loaded = replace(served(), device=device)

    def change(_name: str, _version: int) -> ServedModel:
        (place.directory / "labels.txt").write_text("late")
        return loaded

    with pytest.raises(ModelRefused) as refused:
        await SteadyLoader(FakeLoader(change)).load(place, lambda _step: None)
    assert "copy it whole, then rename it" in refused.value.findings[0]
    assert released == ["device"]
