"""The command that keeps the file of the tokens."""

import stat
from pathlib import Path

import pytest

from batchproof_server.__main__ import main
from batchproof_server.callers.token_file import read_file
from batchproof_server.callers.tokens import Tokens


def test_a_token_is_shown_once_and_kept_as_a_hash_that_its_owner_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"
    assert main(["token", "add", str(file), "shop"]) == 0
    token = capsys.readouterr().out.strip()
    assert Tokens(read_file(file)).name_of(token) == "shop"
    assert token not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    assert main(["token", "add", str(file), "shop"]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert len(read_file(file)) == 2


def test_one_token_is_revoked_by_its_id_and_all_of_a_caller_by_the_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"
    for name in ("shop", "shop", "shop", "other"):
        main(["token", "add", str(file), name])
    first = read_file(file)[0]
    assert main(["token", "revoke", str(file), first.id]) == 0
    assert main(["token", "revoke", str(file), "shop"]) == 0
    assert [each.name for each in read_file(file)] == ["other"]
    assert main(["token", "revoke", str(file), "shop"]) == 1
    assert "knows no token with this id" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "order", "says"),
    [
        ("half a line", ["list"], "line 1 is no token"),
        ("", ["add", "no name"], "is no name of a caller"),
    ],
    ids=["half", "name"],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, order: list[str], says: str
) -> None:
    file = tmp_path / "tokens"
    file.write_text(content)
    assert main(["token", order[0], str(file), *order[1:]]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert content not in error or not content
