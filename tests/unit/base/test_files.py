import io
import sys
from pathlib import Path

import pytest

from batchproof_server.base.files import (
    TooLarge,
    read_end,
    read_named,
    read_start,
    read_text,
    write_whole,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize(("max_bytes", "start"), [(2, b"abc"), (5, b"abcde"), (9, b"abcde")])
def test_one_byte_more_than_allowed_tells_that_a_file_is_too_large(
    file: Path, max_bytes: int, start: bytes
) -> None:
    file.write_bytes(b"abcde")

    assert read_start(file, max_bytes) == start


@pytest.mark.parametrize(("max_bytes", "end"), [(0, b""), (2, b"de"), (9, b"abcde")])
def test_the_end_of_a_file_is_read_alone(file: Path, max_bytes: int, end: bytes) -> None:
    file.write_bytes(b"abcde")

    assert read_end(file, max_bytes) == end


def test_a_dash_is_standard_input_up_to_the_same_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Piped:
        buffer = io.BytesIO(b"abcde")

    monkeypatch.setattr(sys, "stdin", Piped())

    assert read_named(Path("-"), 2) == b"abc"


def test_a_text_may_have_as_many_bytes_as_allowed_and_a_byte_order_mark(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf\xc3\xa4")

    assert read_text(file, 5) == "ä"


def test_a_text_that_is_too_large_is_refused_with_the_limit(file: Path) -> None:
    file.write_bytes(b"abcde")

    with pytest.raises(TooLarge, match="more than 4 bytes"):
        read_text(file, 4)


def test_a_file_without_end_is_not_read_for_ever() -> None:
    with pytest.raises(TooLarge):
        read_text(Path("/dev/zero"), 1000)


def test_what_is_no_text_or_not_there_is_told_apart(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_text(file, 4)
    file.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text(file, 4)


def test_a_file_is_written_over_an_older_one_and_anyone_may_read_it(file: Path) -> None:
    file.write_text("old")
    write_whole(file, "neu, ä\n")

    assert file.read_bytes() == b"neu, \xc3\xa4\n"
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(file.parent.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_older_file_and_no_other(file: Path) -> None:
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "half \ud800")

    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


def test_the_error_names_the_file_that_was_asked_for(file: Path) -> None:
    with pytest.raises(OSError, match="nowhere") as fault:
        write_whole(file / "nowhere", "text")

    assert fault.value.filename == str(file / "nowhere")
