"""The stock clients of Triton and TensorFlow Serving, unmodified, against the embedded model."""

import argparse
import fcntl
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from system.bundles import SAMPLES
from system.process import PATIENCE_S, ServerProcess, environment
from system.traffic import ask, connected, images

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(__file__).parent / "clients"
INTEROP = ROOT / ".venv-interop"
MODEL = "fashion-mnist"
ADDRESSES_OF_THE_PAGE = ("127.0.0.1:8500", "127.0.0.1:8501")
PICTURE = min(SAMPLES.glob("*.png"))

Answers = dict[str, Any]
RunClient = Callable[..., Answers]


@pytest.fixture(scope="session")
def interpreter() -> Path:
    """The interpreter of the environment that holds the stock clients, which is made if need be."""
    made = _made("interop")
    assert made.returncode == 0, made.stderr
    return INTEROP / "bin" / "python"


def _made(job: str) -> subprocess.CompletedProcess[str]:
    # Several workers may want it at the same time.
    with (Path(tempfile.gettempdir()) / "batchproof-interop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.run(
            ["make", "--silent", job, f"PYTHON={sys.executable}"],  # noqa: S607 - the user's make
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="session")
def client(interpreter: Path) -> RunClient:
    """Runs a client in a process of its own and reads the JSON that it prints."""

    def run(script: str, *arguments: str | Path) -> Answers:
        ended = subprocess.run(
            [interpreter, CLIENTS / script, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=environment({"PATIENCE_S": str(PATIENCE_S)}),
        )
        assert ended.returncode == 0, ended.stderr
        answers: Answers = json.loads(ended.stdout)
        return answers

    return run


@pytest.fixture(scope="session")
def triton(embedded: ServerProcess, client: RunClient) -> Answers:
    """What tritonclient got."""
    return client("stock_triton.py", embedded.grpc, MODEL, PICTURE)


async def own_bits(server: ServerProcess) -> tuple[str, str, str]:
    """Logits, probabilities and best label of the picture over our own protocol."""
    asked = images([PICTURE.read_bytes()], return_logits=True, return_probabilities=True)
    async with connected(server.grpc) as stub:
        outcome = await ask(stub, asked)
    assert outcome.answer is not None
    (row,) = outcome.answer.rows
    bits = [np.array(each, np.float32).tobytes().hex() for each in (row.logits, row.probabilities)]
    return bits[0], bits[1], row.classes[0].label


async def test_tritonclient_works_unmodified(embedded: ServerProcess, triton: Answers) -> None:
    logits, probabilities, label = await own_bits(embedded)
    _check_about(triton["about"])
    infer = triton["infer"]
    assert infer["id"] == "mine"
    assert (infer["bits"], infer["probabilities"]) == (logits, probabilities)
    assert infer["label"] == [label]
    assert infer["compressed"] == [logits, logits]
    assert infer["classes"][0].split(":")[2] == label
    assert len(infer["classes"]) == 3
    assert triton["asyncio"]["bits"] == [logits]
    assert triton["asyncio"]["streamed"] == [[str(number), None] for number in range(5)]
    stream = triton["stream"]
    assert stream["errors"] == [False, True, False]
    assert "expected float32 [rows, 28, 28, 1]" in stream["error"]
    assert stream["ids"] == ["0", "2"]
    assert len(set(stream["bits"])) == 1


def _check_about(about: Answers) -> None:
    assert (about["live"], about["ready"], about["model_ready"]) == (True, True, True)
    assert about["other_ready"] is False
    assert about["server"]["name"] == "batchproof"
    assert about["server"]["extensions"] == ["classification", "model_configuration", "statistics"]
    (taken,) = about["metadata"]["inputs"]
    assert (taken["datatype"], taken["shape"]) == ("FP32", ["-1", "28", "28", "1"])
    assert about["config"]["max_batch_size"] > 1
    assert "dynamic_batching" in about["config"]
    assert about["config"]["input"][0]["dims"] == ["28", "28", "1"]
    (only,) = about["index"]
    assert (only["name"], only["version"], only["state"]) == (MODEL, "1", "READY")


def test_statistics_have_what_perf_analyzer_reads(triton: Answers) -> None:
    did = triton["statistics"]
    assert (did["rows"], did["executions"]) == (6, 2)
    assert set(did["counts"].values()) == {2}
    assert did["ns"]["success"] >= did["ns"]["queue"] + did["ns"]["compute_infer"] > 0


def test_tritonclient_raises_what_it_would_raise_at_triton(triton: Answers) -> None:
    refusals = triton["refusals"]
    codes = {case: status.removeprefix("StatusCode.") for case, (status, _) in refusals.items()}
    assert codes == {
        "model": "NOT_FOUND",
        "version": "NOT_FOUND",
        "bytes": "INVALID_ARGUMENT",
        "datatype": "INVALID_ARGUMENT",
        "rank": "INVALID_ARGUMENT",
        "missing": "INVALID_ARGUMENT",
        "output": "INVALID_ARGUMENT",
        "priority": "UNIMPLEMENTED",
        "statistics": "NOT_FOUND",
        "load": "UNIMPLEMENTED",
        "shared memory": "UNIMPLEMENTED",
        "trace": "UNIMPLEMENTED",
    }
    assert all(len(sentence.split()) > 3 for _, sentence in refusals.values())


async def test_tritonclient_over_http_works_unmodified(
    embedded: ServerProcess, client: RunClient
) -> None:
    got = client("stock_triton_http.py", embedded.web, MODEL, PICTURE)
    logits, probabilities, label = await own_bits(embedded)
    about, infer = got["about"], got["infer"]
    ready = [about[name] for name in ("live", "ready", "model_ready", "version_ready")]
    assert (ready, about["other_ready"]) == ([True] * 4, False)
    assert (about["server"]["name"], about["statistics"]) == ("batchproof", MODEL)
    assert about["metadata"]["inputs"][0]["shape"] == [-1, 28, 28, 1]
    assert about["config"]["input"][0]["dims"] == [28, 28, 1]
    assert [each["state"] for each in about["index"]] == ["READY"]
    assert infer["id"] == "mine"
    assert (infer["bits"], infer["probabilities"]) == (logits, probabilities)
    assert infer["label"] == [label]
    assert infer["classes"][0].split(":")[2] == label
    every = [infer["json_bits"], *infer["compressed"], *infer["asynchronous"], *got["asyncio"]]
    assert set(every) == {logits}
    assert len(set(got["numbers"])) == 1


def test_tritonclient_over_http_raises_what_it_would_raise_at_triton(
    embedded: ServerProcess, client: RunClient
) -> None:
    refusals = client("stock_triton_http.py", embedded.web, MODEL, PICTURE)["refusals"]
    assert {case: status for case, (status, _) in refusals.items()} == {
        "model": "404",
        "version": "404",
        "datatype": "400",
        "rank": "400",
        "output": "400",
        "priority": "501",
        "statistics": "404",
        "load": "501",
        "shared memory": "501",
        "trace": "501",
    }
    assert all(len(sentence.split()) > 3 for _, sentence in refusals.values())


async def test_the_stubs_of_tensorflow_serving_work_unmodified(
    embedded: ServerProcess, client: RunClient
) -> None:
    got = client("stock_tensorflow.py", embedded.grpc, MODEL, PICTURE)
    logits, _, label = await own_bits(embedded)
    assert got["method"] == "tensorflow/serving/predict"
    assert got["states"] == [[1, 30]]
    assert got["versions"] == [1, 1]
    predictions = got["predictions"]
    assert predictions["content"] == predictions["typed"] == predictions["splat"]
    assert predictions["picture"] == predictions["field"] == logits
    assert predictions["outputs"] == ["label", "probabilities"]
    assert (predictions["label"], predictions["spec"]) == (label, [MODEL, 1])
    refusals = got["refusals"]
    assert {case: code for case, (code, _) in refusals.items()} == {
        "model": "NOT_FOUND",
        "version": "NOT_FOUND",
        "label": "INVALID_ARGUMENT",
        "name": "INVALID_ARGUMENT",
        "bytes": "INVALID_ARGUMENT",
        "dtype": "INVALID_ARGUMENT",
        "rank": "INVALID_ARGUMENT",
        "missing": "INVALID_ARGUMENT",
        "output": "INVALID_ARGUMENT",
        "classify": "UNIMPLEMENTED",
    }
    assert refusals["model"][1].startswith("Servable not found for request: Latest(other)")


async def test_contracts_are_the_originals_and_live_beside_them(
    embedded: ServerProcess, client: RunClient
) -> None:
    got = client("stock_contracts.py", embedded.grpc, PICTURE)
    _, _, label = await own_bits(embedded)
    assert got["differences"] == []
    assert got["messages"] > 40
    assert got["label"] == label


def _snippets() -> list[tuple[str, str]]:
    """Each program of the page, and what it says that it prints."""
    page = (ROOT / "docs" / "interop.md").read_text()
    pairs = re.findall(
        r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE
    )
    assert len(pairs) == page.count("```python")
    return pairs


@pytest.mark.parametrize("number", range(len(_snippets())))
def test_the_programs_of_the_page_print_what_it_says(
    embedded: ServerProcess, interpreter: Path, number: int
) -> None:
    program, printed = _snippets()[number]
    assert sum(map(program.count, ADDRESSES_OF_THE_PAGE)) == 1
    for named, real in zip(ADDRESSES_OF_THE_PAGE, (embedded.grpc, embedded.web), strict=True):
        program = program.replace(named, real)
    ended = subprocess.run(
        [interpreter, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=environment(),
    )
    assert (ended.returncode, ended.stdout) == (0, printed), ended.stderr


def perf_analyzer_commands() -> list[list[str]]:
    """Those of docs/interop.md."""
    page = (ROOT / "docs" / "interop.md").read_text()
    lines = re.findall(r"^perf_analyzer -.*$", page, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def perf_analyzer_options() -> argparse.ArgumentParser:
    """The options of perf_analyzer that the page uses."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--service-kind", default="triton", choices=["triton", "tfserving"])
    parser.add_argument("-i", choices=["grpc"], required=True)
    parser.add_argument("-u", required=True)
    parser.add_argument("-m", required=True)
    parser.add_argument("-b", type=int)
    parser.add_argument("--concurrency-range")
    parser.add_argument("--shape", default="")
    parser.add_argument("--streaming", action="store_true")
    parser.add_argument("--input-data", required=True)
    return parser


def test_the_page_sends_perf_analyzer_finite_rows_of_the_shape_that_each_mode_asks_for() -> None:
    parser = perf_analyzer_options()
    asked = [parser.parse_args(command[1:]) for command in perf_analyzer_commands()]
    assert [each.service_kind for each in asked] == ["triton", "triton", "tfserving"]
    for each in asked:
        # Its random bytes hold NaN, which is refused; only Triton's mode knows shapes by itself.
        assert each.input_data == "zero"
        assert each.m == MODEL
        assert each.u in ADDRESSES_OF_THE_PAGE
        assert each.shape == ("image:1,28,28,1" if each.service_kind == "tfserving" else "")


@pytest.fixture(scope="session")
def perf_analyzer() -> Path:
    """Triton's load generator, brought beside the stock clients if need be."""
    made = _made("perf-analyzer")
    if made.returncode != 0:
        pytest.skip(f"perf_analyzer cannot be brought here: {made.stderr.strip()}")
    return INTEROP / "perf-analyzer" / "run"


@pytest.mark.parametrize("number", range(3), ids=["triton", "streaming", "tfserving"])
def test_perf_analyzer_measures_without_an_error(
    embedded: ServerProcess, perf_analyzer: Path, number: int
) -> None:
    _, *command = perf_analyzer_commands()[number]
    here = [embedded.grpc if word in ADDRESSES_OF_THE_PAGE else word for word in command]
    here = ["1:1" if word == "1:16" else word for word in here]
    ended = _measured([perf_analyzer, *here, "--request-count", "32"])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Throughput" in ended.stdout


def _measured(command: list[str | Path]) -> "subprocess.CompletedProcess[str]":
    # perf_analyzer itself stood still once in some hundred runs. A server that does not answer
    # fails the second run, too.
    start = partial(subprocess.run, command, capture_output=True, text=True, check=False)
    try:
        return start(timeout=PATIENCE_S / 4)
    except subprocess.TimeoutExpired:
        return start(timeout=PATIENCE_S)
