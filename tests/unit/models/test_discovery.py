"""What lies below a path: a bundle, a model's versions, or a repository."""

from pathlib import Path

import pytest

from batchproof_server.models.discovery import NothingToServe, Place, discover
from support.bundles_on_disk import write_bundle


def found(path: Path) -> list[tuple[str, int]]:
    return [(place.name, place.version) for place in discover(path)]


def test_a_bundle_is_named_after_its_folder(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "cats")
    assert discover(bundle) == (Place("cats", 1, bundle.resolve()),)


def test_a_bundle_in_a_version_folder_is_named_after_the_folder_above(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "cats" / "7")
    assert discover(bundle) == (Place("cats", 7, bundle.resolve()),)


@pytest.mark.parametrize("file", ["batchproof.toml", "model.keras", "saved_model.pb"])
def test_a_folder_with_any_part_of_a_bundle_is_one_good_or_bad(tmp_path: Path, file: str) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / file).touch()
    assert found(tmp_path / "cats") == [("cats", 1)]


def test_the_versions_of_a_model_are_found_in_numeric_order(tmp_path: Path) -> None:
    for version in (10, 9, 1):
        write_bundle(tmp_path / "cats" / str(version))
    assert found(tmp_path / "cats") == [("cats", 1), ("cats", 9), ("cats", 10)]


def test_a_repository_holds_models_with_versions(tmp_path: Path) -> None:
    for place in ("dogs/1", "cats/2", "cats/1"):
        write_bundle(tmp_path / place)
    assert found(tmp_path) == [("cats", 1), ("cats", 2), ("dogs", 1)]


def test_a_version_folder_without_a_bundle_is_found_so_that_its_fault_is_told(
    tmp_path: Path,
) -> None:
    (tmp_path / "cats" / "1").mkdir(parents=True)
    assert found(tmp_path) == [("cats", 1)]


@pytest.mark.parametrize(
    "junk",
    [
        ".git/1",
        "cats/.2",
        "cats/tmp",
        "cats/0",
        "cats/-1",
        "cats/1.5",
        "cats/²",  # a digit to Python
        "cats/٣",
        f"cats/{2**63}",
        "cats/" + "9" * 200,
        "lost+found",
        "line\nbreak/1",
        "not-utf8-\udcff/1",
    ],
)
def test_hidden_entries_and_what_is_no_model_or_version_are_passed_over(
    tmp_path: Path, junk: str
) -> None:
    write_bundle(tmp_path / "cats" / "1")
    (tmp_path / junk).mkdir(parents=True)
    (tmp_path / "2").touch()
    (tmp_path / "cats" / "3").touch()
    assert found(tmp_path) == [("cats", 1)]


def test_the_largest_version_that_the_contract_can_carry_is_found(tmp_path: Path) -> None:
    write_bundle(tmp_path / str(2**63 - 1))
    assert discover(tmp_path)[0].version == 2**63 - 1


def test_one_version_in_two_folders_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "cats" / "7")
    write_bundle(tmp_path / "cats" / "007")
    with pytest.raises(NothingToServe, match=r"the same version as 0*7, expected one"):
        discover(tmp_path)


def test_a_path_without_models_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(NothingToServe, match="no such directory"):
        discover(tmp_path / "none")
    (tmp_path / "boots.keras").touch()
    with pytest.raises(NothingToServe, match=r"is a file, expected the folder .* into boots/1/"):
        discover(tmp_path / "boots.keras")
    with pytest.raises(NothingToServe, match="found no model; expected a bundle, or <model>/"):
        discover(tmp_path)


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(NothingToServe, match=f"{tmp_path}: cannot be read"):
        discover(tmp_path)


def test_a_relative_path_is_named_after_what_it_stands_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "cats")
    monkeypatch.chdir(tmp_path / "cats")
    assert found(Path()) == [("cats", 1)]
