"""The file that keeps what was counted of shadows."""

from pathlib import Path

import pytest

from batchproof_server.shadowing.records import ShadowRecord
from batchproof_server.shadowing.tally import Tallies
from batchproof_server.shadowing.tally_book import (
    WRITE_EVERY_S,
    TallyBook,
    beside,
    read_tally_book,
)
from support.fakes import FakeClock, until

ROW = ShadowRecord("m", 1, 2, "same", 0.25)


class Bench:
    """A book that a test fills."""

    def __init__(self, folder: Path) -> None:
        self.file = beside(folder / "orders.json")
        self.tallies = Tallies(lambda: 7)
        self.clock = FakeClock()
        self.told: list[str] = []
        self.book = TallyBook(self.file, self.tallies.kept, self.clock, self.told.append)

    def kept(self) -> int:
        """Rows in the file."""
        return sum(each.tally.compared for each in read_tally_book(self.file).values())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """In a folder of its own."""
    made = Bench(tmp_path / "kept")
    made.file.parent.mkdir()
    return made


async def test_what_is_counted_is_written_now_and_then_and_at_the_end(bench: Bench) -> None:
    bench.book.start()
    bench.tallies.count(ROW)
    bench.clock.advance(WRITE_EVERY_S / 2)
    assert not bench.file.exists()
    bench.clock.advance(WRITE_EVERY_S)
    await until(lambda: bench.kept() == 1)
    assert bench.file.stat().st_mode & 0o777 == 0o600
    bench.tallies.count(ROW)
    await bench.book.end()
    assert bench.kept() == 2
    bench.tallies.count(ROW)
    bench.clock.advance(9 * WRITE_EVERY_S)
    assert bench.kept() == 2


async def test_what_has_not_changed_is_not_written_again(bench: Bench) -> None:
    bench.tallies.count(ROW)
    await bench.book.end()
    bench.file.unlink()
    await bench.book.end()
    assert not bench.file.exists()


async def test_a_file_that_cannot_be_written_is_told_once_until_it_can(bench: Bench) -> None:
    bench.file.parent.rmdir()
    bench.tallies.count(ROW)
    for _ in range(2):
        await bench.book.end()
    assert bench.told == [f"{bench.file}: No such file or directory"]
    bench.file.parent.mkdir()
    await bench.book.end()
    assert bench.kept() == 1
    assert len(bench.told) == 1


async def test_without_a_file_nothing_is_written_and_nobody_is_told() -> None:
    told: list[str] = []
    tallies, clock = Tallies(lambda: 7), FakeClock()
    book = TallyBook(None, tallies.kept, clock, told.append)
    book.start()
    tallies.count(ROW)
    clock.advance(9 * WRITE_EVERY_S)
    await book.end()
    assert told == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"format": 2}', b"[]", b" " * 2**21])
def test_a_file_that_holds_something_else_is_refused_with_its_name(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "orders.shadows.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"orders\.shadows\.json: "):
        read_tally_book(file)
