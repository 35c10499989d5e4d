"""The directory of captured rows holds whole rows, and no more than it may."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.observing.capture.captured import CapturedRow
from batchproof_server.observing.capture.settings import CaptureSettings
from batchproof_server.observing.capture.store import CaptureStore, capture_id
from batchproof_server.offline.datasets.unlabelled import read_pictures
from support.bundles_on_disk import picture

NOW_S = 1_700_000_000.0


def row(content: bytes = b"content", model: str = "shoes", suffix: str = ".png") -> CapturedRow:
    said = {"model": model, "version": 3, "sample": "random", "reasons": []}
    return CapturedRow(said, content, suffix)


def opened(folder: Path, now_s: float = NOW_S, **limits: object) -> CaptureStore:
    settings = CaptureSettings(directory=str(folder))
    store = CaptureStore(replace(settings, **limits))  # type: ignore[arg-type] # keys
    store.open(now_s)
    return store


def kept(folder: Path) -> list[str]:
    """The ids of the records, each of which has its content; nothing else is there."""
    records = sorted(folder.glob("*/*/records/*/*.json"))
    said = [json.loads(file.read_text()) for file in records]
    contents = [
        record.parents[2] / each["file"] for record, each in zip(records, said, strict=True)
    ]
    everything = {file for file in folder.rglob("*") if file.is_file()}
    assert everything == {*records, *contents}
    return [record.stem for record in records]


def test_a_row_is_a_line_of_json_and_the_picture_as_it_came(tmp_path: Path) -> None:
    store, image = opened(tmp_path), picture()
    store.keep(row(image), capture_id(7, 1), NOW_S)

    (record,) = tmp_path.glob("shoes/3/records/random/*.json")
    (line,) = record.read_text().splitlines()
    assert json.loads(line)["file"] == f"pictures/random/{record.stem}.png"
    assert record.stat().st_mode & 0o777 == 0o600
    # What the commands drift and diagnose read.
    (read,) = read_pictures(tmp_path / "shoes/3/pictures/random", (), ImageLimits())
    assert read.read() == image


@given(
    st.lists(st.tuples(st.integers(1, 2_000), st.integers(0, 50)), max_size=12),
    st.integers(1, 5),
    st.integers(500, 5_000),
    st.integers(1, 100),
)
def test_what_is_kept_is_few_small_and_young_enough_and_of_the_latest(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int]],
    max_count: int,
    max_bytes: int,
    max_age_s: int,
) -> None:
    folder, now_s = tmp_path_factory.mktemp("captured"), NOW_S
    store = opened(folder, max_count=max_count, max_bytes=max_bytes, max_age_s=float(max_age_s))
    written: list[tuple[str, float]] = []
    for number, (size, later_s) in enumerate(rows):
        now_s += later_s
        written.append((capture_id(round(now_s * 1e9), number), now_s))
        store.keep(row(b"x" * size), written[-1][0], now_s)
        there = kept(folder)
        assert len(there) <= max_count
        assert sum(file.stat().st_size for file in folder.rglob("*.*")) <= max_bytes
        young = [name for name, at_s in written if at_s >= now_s - max_age_s]
        assert there == [name for name, _ in written][len(written) - len(there) :]
        assert set(there) <= set(young)


def test_a_directory_is_taken_over_as_it_was_left_without_what_is_half(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(3):
        store.keep(row(), capture_id(number, number), NOW_S)
    folder = tmp_path / "shoes/3/pictures/random"
    (folder / f"{capture_id(9, 9)}.png").write_bytes(b"its record was never written")
    (folder / ".writing-abc").write_bytes(b"hal")
    (tmp_path / "notes.txt").write_text("not ours")

    opened(tmp_path, max_count=2).tidy(NOW_S)

    assert (tmp_path / "notes.txt").read_text() == "not ours"
    (tmp_path / "notes.txt").unlink()
    assert kept(tmp_path) == [capture_id(1, 1), capture_id(2, 2)]


def test_what_is_old_is_gone_from_the_start(tmp_path: Path) -> None:
    opened(tmp_path).keep(row(), capture_id(1, 1), NOW_S)

    opened(tmp_path, now_s=4e9)

    assert kept(tmp_path) == []


def test_a_disk_that_is_full_leaves_nothing_of_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    replace_file = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).suffix == ".json":
            raise OSError(28, "No space left on device")
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        store.keep(row(), capture_id(1, 1), NOW_S)

    assert kept(tmp_path) == []


@pytest.mark.parametrize("name", ["../../etc", "a/b", "..", ".hidden", "a:b"])
def test_no_name_of_a_model_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    top = tmp_path / "captured"
    opened(top).keep(row(model=name), capture_id(1, 1), NOW_S)

    assert [each.name for each in tmp_path.iterdir()] == ["captured"]
    assert len(kept(top)) == 1


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"random_share": 2.0}, "random_share is 2.0, expected 0 to 1"),
        ({"low_confidence": -1.0}, "low_confidence is -1.0"),
        ({"far_deviations": -1.0}, "far_deviations is -1.0, expected 0 or more"),
        ({"max_count": 0}, "max_count is 0, expected 1 or more"),
        ({"max_age_s": 0.0}, "max_age_s is 0.0, expected a positive number"),
        ({"redact": "a.b"}, "redact is 'a.b', expected such as mypackage.privacy:redact"),
    ],
    ids=["share", "confidence", "deviations", "count", "age", "redact"],
)
def test_settings_that_cannot_be_are_refused(keys: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CaptureSettings(**keys)  # type: ignore[arg-type] # keys
