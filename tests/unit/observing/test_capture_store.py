"""A folder or an object store of captured rows holds whole rows, and no more than it may."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from uuid import uuid4

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.observing.capture.captured import CapturedRow
from batchproof_server.observing.capture.kept_files import LocalFiles
from batchproof_server.observing.capture.object_files import ObjectFiles
from batchproof_server.observing.capture.settings import CaptureSettings
from batchproof_server.observing.capture.store import CaptureStore, capture_id
from batchproof_server.offline.datasets.unlabelled import read_pictures
from support.bundles_on_disk import picture
from support.patience import PATIENCE_S

NOW_S = 1_700_000_000.0


def row(content: bytes = b"content", model: str = "shoes", suffix: str = ".png") -> CapturedRow:
    said = {"model": model, "version": 3, "sample": "random", "reasons": []}
    return CapturedRow(said, content, suffix)


class Place:
    """Where rows are kept, as seen from outside of the store."""

    def __init__(self, where: str) -> None:
        self.where = where

    def contents(self) -> dict[str, bytes]:
        """All that is there, by its path."""
        if "://" in self.where:
            memory = fsspec.filesystem("memory")
            top = self.where.removeprefix("memory:/")
            found = memory.find(top) if memory.exists(top) else []
            return {name.removeprefix(f"{top}/"): memory.cat_file(name) for name in found}
        files = [file for file in Path(self.where).rglob("*") if file.is_file()]
        return {file.relative_to(self.where).as_posix(): file.read_bytes() for file in files}

    def put(self, path: str, content: bytes) -> None:
        """Somebody else puts a file there."""
        if "://" in self.where:
            fsspec.filesystem("memory").pipe_file(f"{self.where}/{path}", content)
        else:
            (Path(self.where) / path).write_bytes(content)

    def kept(self) -> list[str]:
        """The ids of the records, each of which has its content; nothing else is there."""
        contents = self.contents()
        records = sorted(path for path in contents if PurePosixPath(path).parts[2] == "records")
        named = {
            f"{PurePosixPath(path).parents[2]}/{json.loads(contents[path])['file']}"
            for path in records
        }
        assert contents.keys() == {*records, *named}
        return [PurePosixPath(path).stem for path in records]

    def opened(self, now_s: float = NOW_S, **limits: object) -> CaptureStore:
        """A store of it, which begins."""
        settings = CaptureSettings(directory=self.where)
        remote = ObjectFiles(self.where, PATIENCE_S) if settings.is_object_store else None
        files = remote or LocalFiles(Path(self.where))
        store = CaptureStore(replace(settings, **limits), files)  # type: ignore[arg-type] # keys
        store.tidy(now_s)
        return store


@pytest.fixture(params=["folder", "object store"], scope="module")
def new_place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Place]:
    """Makes one that is empty."""
    if request.param == "folder":
        return lambda: Place(str(tmp_path_factory.mktemp("captured")))
    return lambda: Place(f"memory://bucket/{uuid4().hex}")


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    return new_place()


def id_at(number: int, now_s: float = NOW_S) -> str:
    return capture_id(round(now_s * 1e9) + number, number)


def test_a_row_is_a_line_of_json_and_the_picture_as_it_came(tmp_path: Path) -> None:
    store, image = Place(str(tmp_path)).opened(), picture()
    store.keep(row(image), id_at(7), NOW_S)

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
    new_place: Callable[[], Place],
    rows: list[tuple[int, int]],
    max_count: int,
    max_bytes: int,
    max_age_s: int,
) -> None:
    place, now_s = new_place(), NOW_S
    limits = {"max_count": max_count, "max_bytes": max_bytes, "max_age_s": float(max_age_s)}
    store = place.opened(**limits)
    written: list[tuple[str, float]] = []
    for number, (size, later_s) in enumerate(rows):
        now_s += later_s
        written.append((id_at(number, now_s), now_s))
        store.keep(row(b"x" * size), written[-1][0], now_s)
        there = place.kept()
        assert len(there) <= max_count
        assert sum(map(len, place.contents().values())) <= max_bytes
        young = [name for name, at_s in written if at_s + 1e-3 >= now_s - max_age_s]
        assert there == [name for name, _ in written][len(written) - len(there) :]
        assert set(there) <= set(young)
    before = place.contents()
    place.opened(now_s, **limits)
    assert place.contents() == before


def test_what_was_left_is_taken_over_without_what_is_half(place: Place) -> None:
    store = place.opened()
    for number in range(3):
        store.keep(row(), id_at(number), NOW_S)
    place.put(f"shoes/3/pictures/random/{id_at(9)}.png", b"its record was never written")
    place.put(f"shoes/3/records/random/{id_at(8)}.json", b"its content is gone")
    place.put("notes.txt", b"not ours")
    place.put("shoes/3/pictures/random/mine.png", b"not ours")

    place.opened(max_count=2)

    ours = {f"shoes/3/records/random/{id_at(number)}.json" for number in (1, 2)}
    pictures = {f"shoes/3/pictures/random/{id_at(number)}.png" for number in (1, 2)}
    left = {"notes.txt", "shoes/3/pictures/random/mine.png"}
    assert place.contents().keys() == ours | pictures | left


def test_a_file_that_was_being_written_is_gone_from_the_start(tmp_path: Path) -> None:
    Place(str(tmp_path)).opened().keep(row(), id_at(1), NOW_S)
    (tmp_path / "shoes/3/pictures/random/.writing-abc").write_bytes(b"hal")

    Place(str(tmp_path)).opened()

    assert Place(str(tmp_path)).kept() == [id_at(1)]


def test_what_is_old_is_gone_from_the_start(place: Place) -> None:
    place.opened().keep(row(), id_at(1), NOW_S)

    place.opened(now_s=4e9)

    assert place.kept() == []


def test_a_disk_that_is_full_leaves_nothing_of_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Place(str(tmp_path)).opened()
    replace_file = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).suffix == ".json":
            raise OSError(28, "No space left on device")
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        store.keep(row(), id_at(1), NOW_S)

    assert Place(str(tmp_path)).kept() == []


@pytest.mark.parametrize("name", ["../../etc", "a/b", "..", ".hidden", "a:b"])
def test_no_name_of_a_model_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    top = tmp_path / "captured"
    Place(str(top)).opened().keep(row(model=name), id_at(1), NOW_S)

    assert [each.name for each in tmp_path.iterdir()] == ["captured"]
    assert len(Place(str(top)).kept()) == 1


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"random_share": 2.0}, "random_share is 2.0, expected 0 to 1"),
        ({"low_confidence": -1.0}, "low_confidence is -1.0"),
        ({"far_deviations": -1.0}, "far_deviations is -1.0, expected 0 or more"),
        ({"max_count": 0}, "max_count is 0, expected 1 or more"),
        ({"max_age_s": 0.0}, "max_age_s is 0.0, expected a positive number"),
        ({"store_timeout_s": 0.0}, "store_timeout_s is 0.0, expected a positive number"),
        ({"directory": "s3://"}, "a URL of another form, expected such as s3://bucket/prefix"),
        ({"directory": "zip://a::s3://b"}, "a URL of another form"),
        ({"directory": "local://folder"}, "begins with local://, expected the path alone"),
        ({"redact": "a.b"}, "redact is 'a.b', expected such as mypackage.privacy:redact"),
    ],
    ids=[
        "share",
        "confidence",
        "deviations",
        "count",
        "age",
        "timeout",
        "bucket",
        "chain",
        "file",
        "redact",
    ],
)
def test_settings_that_cannot_be_are_refused(keys: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CaptureSettings(**keys)  # type: ignore[arg-type] # keys


@pytest.mark.parametrize("url", ["s3://me:hush@bucket/prefix", "az://box/prefix?sig=hush"])
def test_a_url_with_a_secret_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(ValueError, match="credentials where the store's own tools") as refused:
        CaptureSettings(directory=url)

    assert "hush" not in str(refused.value)
