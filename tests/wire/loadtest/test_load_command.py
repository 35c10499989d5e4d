"""``batchproof load`` over real gRPC and with real processes; no time is asserted."""

import csv
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import jsonschema
import numpy as np
import pytest

from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client.__main__ import main
from support.patience import PATIENCE_S, longer
from wire.client.fake_server import Context, FakeServer, answer, fail
from wire.loadtest.conftest import UNHURRIED, Run
from wire.loadtest.open_inference_server import OpenInferenceServer

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "load-report.schema.json").read_text())
QUICK = ("--rate", 100, "--count", 20)


def report(out: str) -> dict[str, Any]:
    """A report that was printed, checked against its schema."""
    (line,) = out.splitlines()
    found: dict[str, Any] = json.loads(line)
    jsonschema.validate(found, SCHEMA)
    return found


def cells(out: str) -> dict[str, list[str]]:
    rows = [line.split("\t") for line in out.splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_a_load_is_sent_counted_and_reported(load: Run, server: FakeServer, tmp_path: Path) -> None:
    paths = [tmp_path / f"r.{kind}" for kind in ("json", "csv", "html")]
    files = zip(("--save-json", "--save-csv", "--save-html"), paths, strict=True)
    code, out, err = load(*QUICK, "--arrivals", "constant", *itertools.chain(*files))
    figures = cells(out)

    assert (code, err) == (0, "")
    assert figures["OK"] == ["20 (100.00%)"]
    assert figures["micro-batch rows"] == ["4: 100%"]
    assert figures["latency, from due"][0] == "20"
    assert len(server.requests) == 21  # one to try
    saved = json.loads(paths[0].read_text())
    jsonschema.validate(saved, SCHEMA)
    assert saved["total"]["requests"] == 20
    assert sum(int(row["OK"]) for row in csv.DictReader(paths[1].read_text().splitlines())) == 20
    assert paths[2].read_text().count("<svg ") == 4


def test_a_closed_loop_in_two_processes_sends_exactly_its_count(
    load: Run, server: FakeServer
) -> None:
    argv = ("--concurrency", 3, "--processes", 2, "--count", 31, "--connections", 2, "--json")
    code, out, _ = load(*argv)
    found = report(out)

    assert code in {0, 3}  # a closed loop may well use its process up
    assert found["total"]["codes"] == {"OK": 31}
    assert len(found["client"]["busy_shares"]) == 2
    assert len(server.requests) == 32


def test_every_process_sends_its_share_of_an_open_loop(load: Run, server: FakeServer) -> None:
    code, out, _ = load("--rate", "50..100/2", "--duration", "1s", "--processes", 3, "--json")
    found = report(out)

    assert code == 0
    assert found["total"]["requests"] == len(server.requests) - 1
    assert [step["offered_hz"] for step in found["steps"]] == [50, 100]


def test_errors_are_counted_by_code_and_fail_the_load(load: Run, server: FakeServer) -> None:
    full = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
    server.predicts = [lambda request, _: answer(request)] * 11 + [full]
    code, out, err = load(*QUICK)

    assert code == 1
    assert cells(out)["OK"] == ["10 (50.00%)"]
    assert cells(out)["RESOURCE_EXHAUSTED"] == ["10 (50.00%)"]
    assert "50.00% of the requests were not answered, expected 1.00% at most" in err
    assert "RESOURCE_EXHAUSTED: the queue is full" in err

    server.predicts = [lambda request, _: answer(request), full]
    assert load(*QUICK, "--max-errors", "100%")[0] == 0


def test_a_missed_objective_fails_the_load(load: Run, server: FakeServer) -> None:
    code, out, err = load(*QUICK, "--slo", "p99=1us", "--json")
    assert code == 1
    assert "p99 within 1 µs missed" in err or "p99 within 1 µs missed" in out
    assert report(out)["steps"][0]["held"] is False
    assert len(server.requests) == 21


def test_a_mix_is_sent_with_its_options(load: Run, server: FakeServer, folder: Path) -> None:
    code, _, _ = load(
        *("--rate", 200, "--count", 60, "--model", "fashion:3"),
        *("--mix", f"weight=2,images={folder},rows=2,tta=flip"),
        *("--mix", "tensors=random,rows=3"),
    )
    pictures = [each for each in server.requests if each.WhichOneof("input") == "images"]
    tensors = [each for each in server.requests if each.WhichOneof("input") == "tensors"]

    assert code == 0
    assert {each.model.version for each in server.requests} == {3}
    assert {each.options.tta.policy for each in pictures} == {"flip"}
    assert {len(each.images.contents) for each in pictures} == {2}
    assert {from_proto(each.tensors.tensors["pixels"]).shape for each in tensors} == {(3, 2)}
    assert len(pictures) > len(tensors) > 0


def test_spoilt_pictures_are_sent(load: Run, server: FakeServer, folder: Path) -> None:
    code, _, _ = load(*QUICK, "--images", folder, "--corrupt", "noise:0.3")
    originals = {path.read_bytes() for path in folder.iterdir()}
    assert code == 0
    assert not originals & {each.images.contents[0] for each in server.requests}


def test_a_stream_carries_answers_and_errors(load: Run, server: FakeServer) -> None:
    numbers = itertools.count()

    def stream(
        requests: Iterator[pb.PredictStreamRequest], _context: Context
    ) -> Iterator[pb.PredictStreamResponse]:
        for each in requests:
            if next(numbers) % 2:
                error = pb.Error(code=8, message="full")
                yield pb.PredictStreamResponse(request_id=each.request.request_id, error=error)
            else:
                request_id = each.request.request_id
                yield pb.PredictStreamResponse(request_id="nobody", response=answer(each.request))
                yield pb.PredictStreamResponse(request_id=request_id, response=answer(each.request))

    server.stream = stream
    code, out, err = load(*QUICK, "--stream", "--json")
    assert code == 1
    assert err == ""
    found = report(out)
    assert found["total"]["codes"] == {"OK": 10, "RESOURCE_EXHAUSTED": 10}
    assert found["errors"] == {"RESOURCE_EXHAUSTED": "full"}


def test_no_two_requests_of_streams_have_one_id(load: Run, server: FakeServer) -> None:
    ids: list[str] = []

    def stream(
        requests: Iterator[pb.PredictStreamRequest], _context: Context
    ) -> Iterator[pb.PredictStreamResponse]:
        for each in requests:
            request_id = each.request.request_id
            ids.append(request_id)
            yield pb.PredictStreamResponse(request_id=request_id, response=answer(each.request))

    server.stream = stream
    assert load(*QUICK, "--stream", "--connections", 2, "--max-lag", "1h")[0] in {0, 3}
    assert len(set(ids)) == len(ids) == 21  # one to try


def test_a_stream_that_ends_is_opened_again(load: Run, server: FakeServer) -> None:
    calls = itertools.count()

    def stream(
        requests: Iterator[pb.PredictStreamRequest], context: Context
    ) -> Iterator[pb.PredictStreamResponse]:
        number = next(calls)
        first = next(requests).request
        yield pb.PredictStreamResponse(request_id=first.request_id, response=answer(first))
        if number == 1:
            next(requests)
            context.abort(grpc.StatusCode.INTERNAL, "broken")
        if number == 2:
            next(requests)
            return
        for each in requests:
            request_id = each.request.request_id
            yield pb.PredictStreamResponse(request_id=request_id, response=answer(each.request))

    server.stream = stream
    argv = ("--concurrency", 1, "--count", 10, "--stream", "--json", "--max-errors", "50%")
    code, out, _ = load(*argv)
    assert code in {0, 3}
    assert report(out)["total"]["codes"] == {"OK": 8, "INTERNAL": 1, "UNAVAILABLE": 1}


def test_a_stream_that_does_not_answer_ends_at_the_deadline(load: Run, server: FakeServer) -> None:
    def stream(
        requests: Iterator[pb.PredictStreamRequest], _context: Context
    ) -> Iterator[pb.PredictStreamResponse]:
        for _ in requests:
            yield from ()

    server.stream = stream
    pace = ("--rate", 100, "--count", 5)
    for timeout_s in longer(0.2):
        code, out, _ = load(*pace, "--stream", "--timeout-s", timeout_s, "--json")
        if code != 2:  # what it asks before the load was answered in time
            assert code == 1
            assert report(out)["total"]["codes"] == {"DEADLINE_EXCEEDED": 5}
            break


def test_identical_answers_pass_and_all_values_are_asked_for(
    load: Run, server: FakeServer, folder: Path
) -> None:
    code, out, err = load(*QUICK, "--images", folder, "--check-identical", "--processes", 2)
    figures = cells(out)
    assert (code, err) == (0, "")
    assert figures["different"] == ["0"]
    assert figures["compared"] == ["20 answers to 3 inputs"]
    assert all(each.options.return_probabilities for each in server.requests)


def test_a_different_answer_fails_the_load(load: Run, server: FakeServer, folder: Path) -> None:
    numbers = itertools.count()

    def waver(request: pb.PredictRequest, _context: Context) -> pb.PredictResponse:
        response = answer(request)
        if next(numbers) % 5 == 0:
            response.rows[0].probabilities[0] += 2**-12
        return response

    server.predicts = [waver]
    code, out, err = load(*QUICK, "--images", folder / "0.png", "--check-identical", "--json")
    (difference,) = report(out)["identical"]["differences"]
    assert code == 1
    assert err == ""
    assert difference["item"].endswith("0.png")
    assert difference["times"] == [16, 4]
    assert difference["greatest_difference"] == 2**-12


def test_metadata_is_sent_with_every_call(load: Run, server: FakeServer) -> None:
    assert load(*QUICK, "--metadata", "x-team=red", "--metadata", "authorization=a b")[0] == 0
    assert {each["x-team"] for each in server.metadata} == {"red"}
    assert {each["authorization"] for each in server.metadata} == {"a b"}


def test_tls_is_spoken(load: Run) -> None:
    folder = ROOT / "tests" / "wire" / "client" / "certificate"
    pem, key = folder / "certificate.pem", folder / "key.pem"
    server = FakeServer(grpc.ssl_server_credentials([(key.read_bytes(), pem.read_bytes())]))
    argv = ("--tls-ca", pem, "--tls-server-name", "batchproof.test")
    try:
        assert load(*QUICK, *argv, target=server.target)[0] == 0
    finally:
        server.stop()


def test_other_servers_are_loaded_by_the_open_inference_protocol(
    load: Run, others: OpenInferenceServer
) -> None:
    argv = ("--protocol", "oip", "--model", "double:1", "--rows", 3, "--check-identical", "--json")
    code, out, _ = load(*QUICK, *argv, target=others.target)
    found = report(out)

    assert code == 0
    assert found["total"]["rows_hz"] > found["total"]["goodput_hz"]
    assert found["identical"]["answers"] == 20
    assert others.requests[0].model_version == "1"
    assert len(others.requests) == 21
    assert np.frombuffer(others.requests[0].raw_input_contents[0], np.float32).shape == (6,)


def test_other_servers_that_waver_are_found_out(load: Run, others: OpenInferenceServer) -> None:
    others.factors = itertools.cycle([2.0, 2.0, 3.0])
    argv = ("--protocol", "oip", "--model", "double", "--rows", 3, "--check-identical")
    code, _, err = load(*QUICK, *argv, target=others.target)
    assert code == 1
    assert "inputs got more than one answer" in err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--model", "triple"], 'no model "triple"'),
        ([], 'model is "", expected "name" or "name:3"'),
        (["--model", "double@a"], 'model is "double@a"'),
        (["--model", "double", "--generate", "8x8:png"], "carries tensors in single requests"),
        (["--model", "double", "--stream"], "carries tensors in single requests"),
        (["--model", "double", "--rows", "2"], "expected three rows of two"),
    ],
)
def test_what_the_open_inference_protocol_cannot_do_is_exit_2(
    load: Run, others: OpenInferenceServer, argv: list[str], says: str
) -> None:
    code, out, err = load(*QUICK, "--protocol", "oip", *argv, target=others.target)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


@pytest.mark.parametrize("datatype", ["BYTES", "O", "complex64", "i4,i4"])
def test_strange_datatypes_are_exit_2(
    load: Run, others: OpenInferenceServer, tmp_path: Path, datatype: str
) -> None:
    others.datatype = datatype
    argv = ("--protocol", "oip", "--model", "double")
    code, _, err = load(*QUICK, *argv, target=others.target)
    assert code == 2
    assert f"dtype {datatype}, which has no random values" in err
    np.save(tmp_path / "c.npy", np.zeros((3, 2), np.complex64))
    code, _, err = load(*QUICK, *argv, "--tensors", tmp_path / "c.npy", target=others.target)
    assert code == 2
    assert 'input "x" is complex64, expected one of' in err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "expected --rate or --concurrency"),
        (["--rate", "0"], 'rate is "0"'),
        (["--rate", "x"], 'rate is "x"'),
        (["--concurrency", "0"], "--concurrency is 0, expected 1 or more"),
        (["--rate", "5", "--concurrency", "5"], "expected one"),
        (["--rate", "5", "--duration", "0"], "--duration is 0"),
        (["--rate", "5", "--count", "0"], "--count is 0"),
        (["--rate", "1..5", "--count", "5"], "expected a --duration"),
        (["--rate", "5", "--processes", "0"], "--processes is 0"),
        (["--rate", "5", "--model", "other"], 'no model "other", served: fashion'),
        (["--rate", "5", "--model", "a:b"], 'expected "name", "name:3" or "name@label"'),
        (["--rate", "5", "--images", "gone.png"], "gone.png: cannot be read"),
        (["--rate", "5", "--images", "{empty}"], "in this folder"),
        (["--rate", "5", "--images", "{bad}"], "bad.png: not a picture"),
        (["--rate", "5", "--corrupt", "noise:0.1"], "only pictures can be corrupted"),
        (["--rate", "5", "--generate", "big"], 'generate is "big"'),
        (["--rate", "5", "--find-max"], "expected --slo"),
        (["--concurrency", "5", "--find-max", "--slo", "p9=1s"], "expected --rate"),
        (["--rate", "5", "--count", "5", "--find-max", "--slo", "p9=1s"], "without --count"),
        (["--rate", "5", "--slo", "fast"], 'slo is "fast"'),
        (["--rate", "5", "--metadata", "Key=v"], "--metadata does not parse"),
        (["--rate", "5", "--metadata", "key-bin=v"], "is binary"),
        (["--rate", "5", "--save-json", "/no/such/place.json"], "no such folder"),
        (["--compare", "gone.json", "gone.json"], "gone.json: cannot be read"),
        (["--rate", "5", "--mix", "colour=red"], "is not KEY=VALUE"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2(
    load: Run, tmp_path: Path, argv: list[str], says: str
) -> None:
    (tmp_path / "bad.png").write_bytes(b"hello")
    (tmp_path / "empty").mkdir()
    places = {"{empty}": str(tmp_path / "empty"), "{bad}": str(tmp_path / "bad.png")}
    code, out, err = load(*(places.get(each, each) for each in argv))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_a_server_that_refuses_every_request_is_exit_2(load: Run, server: FakeServer) -> None:
    server.predicts = [fail(grpc.StatusCode.UNIMPLEMENTED, "no tta yet")]
    code, out, err = load(*QUICK, "--tta", "flip")
    assert (code, out, err) == (2, "", "batchproof: no tta yet\n")


def test_an_unreachable_server_is_exit_2(load: Run) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{reserved.getsockname()[1]}"
        code, out, err = load(*QUICK, "--timeout-s", 0.5, target=target)
        other = load(
            *(*QUICK, "--timeout-s", 0.5, "--protocol", "oip", "--model", "m"), target=target
        )
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"batchproof: {target}: ")
    assert other[0] == 2
    assert other[2].startswith(f"batchproof: {target}: ")


@pytest.mark.parametrize(("module", "package"), [("hdrh", "hdrhistogram"), ("PIL", "pillow")])
def test_without_its_extra_the_load_client_names_it(
    load: Run, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    for name in [module, *(each for each in sys.modules if each.startswith(f"{module}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    if module == "hdrh":
        monkeypatch.setitem(sys.modules, "hdrh.histogram", None)
    code, _, err = load(*QUICK, "--generate", "8x8:png")
    assert code == 2
    assert err == f'batchproof: this needs {package}: pip install ".[load]" in the repository\n'


def test_two_saved_reports_are_compared(
    load: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    load(*QUICK, "--save-json", first)
    load(*QUICK, "--seed", 1, "--save-json", second)
    assert main(["load", "--compare", str(first), str(first)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert cells(captured.out)["sent"][-1] == "1.000"
    assert main(["load", "--compare", str(first), str(second), "--json"]) == 0
    captured = capsys.readouterr()
    assert "not asked for the same" in captured.err
    assert json.loads(captured.out.splitlines()[0])["figure"] == "sent"


def test_a_report_that_cannot_be_written_is_exit_2(load: Run, tmp_path: Path) -> None:
    code, _, err = load(*QUICK, "--save-json", tmp_path)
    assert code == 2
    assert "cannot be written: Is a directory" in err


@pytest.mark.parametrize("pace", [("--rate", "50"), ("--concurrency", "2")])
def test_ctrl_c_prints_the_report_of_what_ran(
    server: FakeServer, tmp_path: Path, pace: tuple[str, str]
) -> None:
    enough = threading.Event()

    def count(request: pb.PredictRequest, _context: Context) -> pb.PredictResponse:
        if len(server.requests) > 20:
            enough.set()
        return answer(request)

    server.predicts = [count]
    command = [sys.executable, "-m", "batchproof_client", "load", *pace, "--duration", "1h"]
    with subprocess.Popen(
        [*command, *UNHURRIED, "--save-json", str(tmp_path / "report.json")],
        env=os.environ | {"BATCHPROOF_SERVER": server.target},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert enough.wait(PATIENCE_S)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    # What had come to the server may have been under way still.
    client = json.loads((tmp_path / "report.json").read_text())["client"]
    assert int(cells(out)["requests"][0]) + client["abandoned"] >= 20
    assert "stopped before its end" in err
    assert "Traceback" not in err
