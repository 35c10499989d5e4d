"""The keys of handles: what a file may hold, and what is said when it does not."""

from pathlib import Path

import pytest

from batchproof_server.base.validation import InvalidSettings
from batchproof_server.outcomes.handle import SealingKey
from batchproof_server.outcomes.keys import process_key, read_keys

FIRST, SECOND = "ab" * 32, "CD" * 40


def test_each_line_is_a_key_and_the_first_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of this month\n{FIRST}\n\n  {SECOND}  \n")
    assert read_keys(file) == (SealingKey(b"\xab" * 32), SealingKey(b"\xcd" * 40))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has 0 keys, expected 1 to 16, one a line"),
        ("# none\n", "has 0 keys"),
        (f"{FIRST[:-2]}\n", "line 1 is no key, expected 64 hexadecimal digits or more, as"),
        (f"{FIRST}\n{FIRST}a\n", "line 2 is no key"),
        (f"{'xy' * 32}\n", "line 1 is no key"),
        (f"{FIRST}\n{FIRST.upper()}\n", "has the same key twice"),
        ("\n".join(f"{number:064x}" for number in range(17)), "has 17 keys"),
        ("a" * 70_000, "cannot be read as a short text file"),
    ],
)
def test_a_file_with_a_fault_is_refused_without_telling_what_stands_in_it(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(InvalidSettings, match=says) as caught:
        read_keys(file)
    told = str(caught.value)
    assert told.startswith(f"outcomes.key_file: {file} ")
    assert not any(line and line.strip("# ") in told for line in text.splitlines())


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_is_missing_or_no_text_is_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidSettings, match="cannot be read as a short text file"):
        read_keys(file)


def test_the_key_of_a_process_is_another_one_each_time() -> None:
    assert process_key()[0].id != process_key()[0].id
