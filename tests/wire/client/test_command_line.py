import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import AsyncClient, PredictResult
from batchproof_client.__main__ import main
from batchproof_client.commands.arguments import PredictArguments, parse
from batchproof_client.commands.predict import predict
from support.patience import PATIENCE_S
from wire.client.conftest import Run
from wire.client.fake_server import Context, FakeServer, answer, fail

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures whose first byte is the answer."""
    for index in range(4):
        (tmp_path / f"{index}.png").write_bytes(bytes([index]))
    return tmp_path


class StandardInput:
    """What another program writes into this one."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_picture_is_classified(run: Run, folder: Path) -> None:
    code, out, err = run("predict", folder / "1.png", "--top-k", 2)
    name = str(folder / "1.png")
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows == [
        ["picture", "rank", "class", "score"],
        [name, "1", "bag", "0.7500"],
        [name, "2", "boot", "0.1250"],
    ]
    assert (code, err) == (0, "")


def test_options_may_stand_before_the_command(run: Run, folder: Path) -> None:
    before = run("--top-k", 2, "--json", "predict", folder / "1.png")
    after = run("predict", folder / "1.png", "--json", "--top-k", 2)
    assert before[0] == after[0] == 0
    assert lines(before[1])[0]["classes"] == lines(after[1])[0]["classes"]
    assert len(lines(before[1])[0]["classes"]) == 2


def test_a_dash_is_the_picture_on_standard_input(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", StandardInput(b"\x02"))
    code, out, _ = run("predict", "-", folder / "1.png", "--json")
    assert [(each["picture"], each["classes"][0]["label"]) for each in lines(out)] == [
        ("-", "shirt"),
        (str(folder / "1.png"), "bag"),
    ]
    assert code == 0


def test_nothing_on_standard_input_is_one_line_and_exit_2(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", StandardInput(b""))
    code, out, err = run("predict", "-")
    assert (code, out) == (2, "")
    assert err == "batchproof: standard input is empty, expected a picture\n"


def test_probabilities_are_shown_on_request(run: Run, folder: Path) -> None:
    _, out, _ = run("predict", folder / "1.png", "--top-k", 1, "--probabilities")
    assert out.splitlines()[2].split("\t")[2:] == ["probabilities", "0.1250 0.7500 0.1250"]
    _, out, _ = run("predict", folder / "1.png", "--probabilities", "--json")
    assert lines(out)[0]["probabilities"] == [0.125, 0.75, 0.125]


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_json_is_one_object_a_picture_in_the_order_of_the_arguments(
    run: Run, folder: Path, concurrency: int
) -> None:
    code, out, err = run(
        "predict", folder, folder / "2.png", "--json", "--concurrency", concurrency
    )
    records = lines(out)
    assert [Path(each["picture"]).name for each in records] == [
        *("0.png", "1.png", "2.png", "3.png"),
        "2.png",
    ]
    assert [each["classes"][0]["label"] for each in records] == [
        *("boot", "bag", "shirt", "boot"),
        "shirt",
    ]
    assert records[0]["provenance"]["executions"][0]["bucket_rows"] == 4
    assert set(records[0]) == {
        *("picture", "request_id", "classes", "labels", "entropy", "margin", "handle"),
        "provenance",
    }
    assert (code, err) == (0, "")


def test_a_bad_picture_fails_alone(run: Run, folder: Path, server: FakeServer) -> None:
    def picky(request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        if request.images.contents[0] == b"\x01":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a picture")
        return answer(request)

    server.predicts = [picky]
    arguments = ("predict", folder / "0.png", folder / "1.png", "gone.png", f"{folder}/*.gif")
    code, out, err = run(*arguments, "--json")
    fine, bad, gone, nothing = lines(out)
    assert fine["classes"][0]["label"] == "boot"
    assert bad["error"]["kind"] == "InvalidRequest"
    assert bad["error"]["code"] == "INVALID_ARGUMENT"
    assert bad["error"]["message"] == "not a picture"
    assert len(bad["error"]["request_id"]) == 32
    assert gone["error"]["kind"] == "LocalInputError"
    assert gone["error"]["code"] is None
    assert "no file matches" in nothing["error"]["message"]
    assert (code, err) == (1, "")
    code, out, _ = run(*arguments)
    assert code == 1
    assert "error: not a picture" in out


def test_the_output_of_a_raw_model_is_shown(run: Run, folder: Path, server: FakeServer) -> None:
    raw = to_proto(np.array([[1, 2]], np.int32))
    server.predicts = [lambda *_: pb.PredictResponse(outputs={"y": raw})]
    _, out, _ = run("predict", folder / "0.png", "--json")
    assert lines(out)[0]["outputs"] == {
        "y": {"dtype": "int32", "shape": [1, 2], "values": [[1, 2]]}
    }
    _, out, _ = run("predict", folder / "0.png")
    assert "output y: int32 [1, 2]" in out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["predict"], "required: IMAGE"),
        (["predict", "a", "--tls-cert", "c"], "needs its key"),
        (["predict", "a", "--tls-ca", "no-such-file"], "no-such-file: cannot be read"),
        (["predict", "a", "--model", "a:b"], 'expected "name", "name:3" or "name@label"'),
        (["predict", "a", "--model", "other"], 'no model "other", served: fashion'),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2(run: Run, argv: list[str], says: str) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert says in err
    assert err.startswith("batchproof: ")
    assert err.count("\n") == 1


def test_a_fault_of_all_pictures_ends_the_command(
    run: Run, folder: Path, server: FakeServer
) -> None:
    server.predicts = [fail(grpc.StatusCode.PERMISSION_DENIED, "not for you")]
    code, out, err = run("predict", folder, "--concurrency", 2)
    assert (code, out, err) == (2, "", "batchproof: not for you\n")


@pytest.mark.parametrize("command", [["predict", "a"], ["models"], ["status"]])
def test_an_unreachable_server_is_one_line_and_exit_2(run: Run, command: list[str]) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{reserved.getsockname()[1]}"
        code, out, err = run(*command, "--server", target)
    assert (code, out) == (2, "")
    assert err.startswith(f"batchproof: {target}: ")
    assert err.count("\n") == 1


def test_models_are_listed(run: Run) -> None:
    code, out, _ = run("models")
    assert [line.split("\t") for line in out.splitlines()] == [
        ["model", "version", "state", "verdict", "default", "labels", "findings"],
        ["fashion", "3", "READY", "PROVEN", "yes", "stable", ""],
        ["fashion", "4", "FAILED", "", "", "", "labels.txt: 9 labels, expected 10"],
    ]
    assert code == 0
    _, out, _ = run("models", "--json")
    assert lines(out)[1] == {
        "name": "fashion",
        "version": 4,
        "state": "FAILED",
        "verdict": "UNSPECIFIED",
        "is_default": False,
        "labels": [],
        "findings": ["labels.txt: 9 labels, expected 10"],
    }


def test_status_is_0_only_when_serving(run: Run, server: FakeServer) -> None:
    code, out, _ = run("status")
    assert (code, out) == (0, "of\tstatus\nserver\tSERVING\nmodel fashion\tSERVING\n")
    server.set_health("", NOT_SERVING)
    code, out, _ = run("status", "--json")
    assert code == 1
    assert lines(out) == [{"server": "NOT_SERVING", "models": {"fashion": "SERVING"}}]


def test_a_model_without_health_and_a_strange_answer_are_unknown(
    run: Run, server: FakeServer
) -> None:
    server.set_health("fashion", health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
    _, out, _ = run("status")
    assert "model fashion\tUNKNOWN" in out
    check = server.checks

    def know_no_model(request: Any, context: Any) -> Any:
        if request.service:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return check(request, context)

    server.checks = know_no_model
    _, out, _ = run("status")
    assert "model fashion\tUNKNOWN" in out


def test_a_server_that_is_not_serving_owes_no_list(run: Run, server: FakeServer) -> None:
    server.list_refusal = grpc.StatusCode.FAILED_PRECONDITION
    assert run("status")[0] == 2
    server.set_health("", NOT_SERVING)
    assert run("status")[:2] == (1, "of\tstatus\nserver\tNOT_SERVING\n")


def test_status_waits_for_the_server(run: Run, server: FakeServer) -> None:
    server.set_health("", NOT_SERVING)
    seen = threading.Event()
    check = server.health.Check

    def check_and_tell(request: Any, context: Any) -> Any:
        if seen.is_set():
            server.set_health("", SERVING)
        seen.set()
        return check(request, context)

    server.checks = check_and_tell
    code, _, err = run("status", "--wait", PATIENCE_S)
    assert code == 0
    assert err.strip("\n").strip(".") == ""
    assert "." in err


class SleepTime:
    """Stands in for ``asyncio`` where somebody waits: time passes only while he sleeps."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def get_running_loop(self) -> "SleepTime":
        """Tells the time."""
        return self

    def time(self) -> float:
        """The instant."""
        return self._now_s

    async def sleep(self, duration_s: float) -> None:
        """Lets it pass."""
        self._now_s += duration_s


def test_waiting_ends(run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchproof_client.commands.status.asyncio", SleepTime())
    server.set_health("", NOT_SERVING)
    code, _, err = run("status", "--wait", "0.1")
    assert code == 1
    assert err == ".\n"


def test_waiting_for_nobody_ends_too(run: Run) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{reserved.getsockname()[1]}"
        code, _, err = run("status", "--wait", "0.01", "--server", target)
    assert code == 2
    assert target in err


@pytest.mark.parametrize("argv", [["--help"], ["predict", "--help"], ["--version"]])
def test_help_is_0(run: Run, argv: list[str]) -> None:
    code, out, err = run(*argv)
    assert (code, err) == (0, "")
    assert out


def test_the_server_has_a_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BATCHPROOF_SERVER", raising=False)
    assert main(["models", "--timeout-s", "0.001"]) == 2
    assert "127.0.0.1:8500: " in capsys.readouterr().err


def test_ctrl_c_is_130_without_a_word(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("batchproof_client.__main__.parse", interrupt)
    assert run("models") == (130, "", "")


def test_ctrl_c_shows_what_was_answered_so_far(server: FakeServer, folder: Path) -> None:
    def hang_at_the_second(request: pb.PredictRequest, _context: Context) -> pb.PredictResponse:
        if request.images.contents[0] == b"\x01":
            server.released.wait()
        return answer(request)

    server.predicts = [hang_at_the_second]
    with command(server, "predict", folder, "--json") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (130, "")
    named = [Path(each["picture"]).name for each in lines(first + rest)]
    assert named[0] == "0.png"
    assert "1.png" not in named


async def test_an_interrupted_table_has_every_picture_that_was_answered(
    server: FakeServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stuck, answered = asyncio.Event(), asyncio.Semaphore(0)

    class HangsAtTheSecond(AsyncClient):
        async def predict(self, image: Any, **options: Any) -> PredictResult:
            if Path(image).name == "1.png":
                stuck.set()
                await asyncio.Event().wait()
            result = await super().predict(image, **options)
            answered.release()
            return result

    parsed = parse(["predict", str(folder)], server.target)
    assert isinstance(parsed, PredictArguments)
    async with HangsAtTheSecond(server.target) as client:
        running = asyncio.create_task(predict(client, parsed))
        await stuck.wait()
        for _ in range(3):
            await answered.acquire()
        await asyncio.sleep(0)  # the tasks that were answered end in this turn of the loop
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    shown = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [Path(cells[0]).name for cells in shown if cells[1] == "1"] == [
        "0.png",
        "2.png",
        "3.png",
    ]


def test_a_fault_of_the_server_halfway_shows_what_was_answered(
    run: Run, folder: Path, server: FakeServer
) -> None:
    def refuse_the_last(request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        if request.images.contents[0] == b"\x03":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for you")
        return answer(request)

    server.predicts = [refuse_the_last]
    code, out, err = run("predict", folder, "--concurrency", 1)
    assert (code, err) == (2, "batchproof: not for you\n")
    assert [line.split("\t")[0] for line in out.splitlines() if "\t1\t" in line] == [
        str(folder / f"{index}.png") for index in range(3)
    ]


def command(server: FakeServer, *argv: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "batchproof_client", *(str(each) for each in argv)],
        env=os.environ | {"BATCHPROOF_SERVER": server.target},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_module_runs_as_a_process(server: FakeServer, folder: Path) -> None:
    with command(server, "predict", folder / "2.png", "--json") as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, "")
    assert lines(out)[0]["classes"][0]["label"] == "shirt"


def test_a_reader_that_went_away_is_no_traceback(server: FakeServer, folder: Path) -> None:
    with command(server, "predict", *[folder] * 500, "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, "")


def test_a_signal_ends_a_process_without_a_traceback(server: FakeServer, folder: Path) -> None:
    arrived = threading.Event()

    def hang(request: pb.PredictRequest, _context: Context) -> pb.PredictResponse:
        arrived.set()
        server.released.wait()
        return answer(request)

    server.predicts = [hang]
    with command(server, "predict", folder / "0.png") as process:
        assert arrived.wait(PATIENCE_S)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (130, "", "")
