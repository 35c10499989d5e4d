"""Where the command line takes a token from, and that it tells nobody."""

from pathlib import Path

import pytest

from batchproof_client.commands.arguments import ModelsArguments, parse
from batchproof_client.errors import LocalInputError

SERVER = "127.0.0.1:8500"


def test_a_file_is_taken_before_the_environment_and_neither_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("of-the-file\n")
    brought = {
        "Bearer of-the-file": parsed(["models", "--token-file", str(file)], "other"),
        "Bearer of-the-environment": parsed(["models"], "of-the-environment"),
    }
    for authorization, arguments in brought.items():
        assert arguments.server.metadata == (("authorization", authorization),)
        assert authorization not in repr(arguments)
    assert parsed(["models"]).server.metadata == ()


def test_a_priority_goes_beside_the_token() -> None:
    arguments = parsed(["models", "--priority", "best_effort"], "secret")
    assert arguments.server.metadata == (
        ("authorization", "Bearer secret"),
        ("x-batchproof-priority", "best_effort"),
    )


def parsed(words: list[str], token: str = "") -> ModelsArguments:
    arguments = parse(words, SERVER, token)
    assert isinstance(arguments, ModelsArguments)
    return arguments


@pytest.mark.parametrize("content", ["", "\n", "two words", "a\x00b"], ids=repr)
def test_what_is_no_token_is_refused_without_being_repeated(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(LocalInputError, match="token") as refused:
        parse(["models", "--token-file", str(file)], SERVER)
    assert not content.strip() or content not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalInputError, match="gone"):
        parse(["models", "--token-file", str(tmp_path / "gone")], SERVER)
