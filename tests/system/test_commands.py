"""What the command says before it serves: usage, settings, and where they come from."""

from pathlib import Path

import pytest

from system.bundles import write_affine
from system.conftest import Serve
from system.process import SERVING, own_lines, run


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the one model "exact"."""
    write_affine(tmp_path / "models" / "exact" / "1")
    return tmp_path / "models"


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"]])
def test_help_says_how_to_serve(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 0
    assert "serve" in ended.stdout
    assert ended.stderr == ""


def test_version_is_a_version() -> None:
    ended = run("--version")
    assert ended.returncode == 0
    assert all(part.isdigit() for part in ended.stdout.strip().split("."))


def test_a_server_of_nothing_says_what_it_may_serve() -> None:
    ended = run("serve")
    assert ended.returncode == 2
    assert "expected either PATH or --model-config-file" in ended.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["serve", "--grpc-port"], ["serve", ".", "--grpc-port", "many"]]
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert "usage: batchproof-server" in ended.stderr
    assert ended.stdout == ""


def test_every_fault_of_the_settings_is_one_line_with_its_path(
    repository: Path, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        "colour = 1\n[server]\ngrpc_port = 'eighty'\n[batching]\nbuckets_rows = [4, 2]\n"
        "[log]\nlevel = 'loud'\n[rpc]\nstream_windows = 3\n"
    )
    variables = {"BATCHPROOF_REQUESTS__MAX_TIMEOUT_S": "-1"}
    ended = run("serve", repository, "--config", file, variables=variables)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert [line.partition(":")[0] for line in sorted(own_lines(ended))] == [
        "batching",
        "colour",
        "log.level",
        "requests",
        "rpc.stream_windows",
        "server.grpc_port",
    ]
    assert len(ended.stderr.splitlines()) == 6


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), (b"\xff\xfe", "UTF-8"), (b"a = = 1", "line 1")]
)
def test_a_settings_file_that_cannot_be_read_is_one_line(
    repository: Path, tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "settings.toml"
    if content is not None:
        file.write_bytes(content)
    ended = run("serve", repository, "--config", file)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert str(file) in line
    assert said in line


def test_a_path_that_is_no_directory_or_holds_no_model_exits_2(tmp_path: Path) -> None:
    (tmp_path / "empty" / "notes").mkdir(parents=True)
    for name, said in (("absent", "no such directory"), ("empty", "found no model")):
        ended = run("serve", tmp_path / name)
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert said in line
        assert ended.stdout == ""


def test_a_model_file_is_served_for_tensors_and_the_log_says_what_pack_would_add(
    repository: Path, tmp_path: Path, serve: Serve
) -> None:
    file = (repository / "exact" / "1" / "affine.json").rename(tmp_path / "mine.json")
    server = serve(file).wait_serving()
    assert server.health("mine") == SERVING
    assert any("batchproof-server pack" in line for line in server.err)


def test_a_model_file_of_another_kind_says_what_helps(tmp_path: Path) -> None:
    (tmp_path / "old.h5").write_bytes(b"")
    ended = run("serve", tmp_path / "old.h5")
    assert ended.returncode == 2
    assert "`batchproof-server pack old.h5` judges it" in ended.stderr


def test_a_label_of_a_version_that_is_not_there_exits_2(repository: Path) -> None:
    ended = run("serve", repository, variables={"BATCHPROOF_VERSION_LABELS__EXACT__STABLE": "9"})
    assert ended.returncode == 2
    assert own_lines(ended) == [
        'version_labels.exact.stable: there is no version 9 of a model "exact"'
    ]


def test_a_host_that_is_not_ours_is_one_line(repository: Path) -> None:
    ended = run("serve", repository, "--host", "192.0.2.1", "--grpc-port", "0", "--http-port", "0")
    assert ended.returncode == 2
    (line,) = own_lines(ended)
    assert "192.0.2.1" in line


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    serve: Serve, repository: Path, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[log]\nlevel = 'error'\n[server]\nlame_duck_s = 0.0\ngrace_s = 1.0\n")
    quiet = serve(repository, "--config", str(file)).wait_serving()
    level = {"BATCHPROOF_LOG__LEVEL": "info"}
    by_environment = serve(repository, "--config", str(file), variables=level).wait_serving()
    flags = ("--config", str(file), "--log-level", "error")
    by_flag = serve(repository, *flags, variables=level).wait_serving()
    for server in (quiet, by_environment, by_flag):
        server.process.terminate()
        assert server.wait_exit() == 0
    assert (quiet.records(), by_flag.records()) == ([], [])
    events = [record["event"] for record in by_environment.records()]
    assert events[0] == "starting"
    assert "listening" in events
    assert "model changed" in events
    assert events.index("stopping") < events.index("stopped") == len(events) - 1


def test_logs_for_reading_are_no_json(serve: Serve, repository: Path) -> None:
    server = serve(repository, "--log-format", "console").wait_serving()
    server.process.terminate()
    assert server.wait_exit() == 0
    assert server.records() == []
    assert any("model changed" in line for line in server.err)
