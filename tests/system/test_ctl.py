"""``batchproof-server ctl`` and a real server."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from system.bundles import write_affine
from system.conftest import Serve
from system.process import ServerProcess, own_lines, run, started, until

LATEST = {
    "BATCHPROOF_REPOSITORY__POLICY": "{ latest = 1 }",
    "BATCHPROOF_REPOSITORY__SETTLE_S": "0.1",
}


def two_versions(path: Path) -> Path:
    """Versions 1 and 2 of "m"."""
    for version in (1, 2):
        write_affine(path / "m" / str(version), scale=float(version))
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two versions, which the test may change."""
    return two_versions(tmp_path)


@pytest.fixture
def server(serve: Serve, repository: Path) -> ServerProcess:
    """The newest of them, and a management port."""
    return serve(repository, "--management-port", "0", variables=LATEST).wait_serving()


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The same, for all tests whose orders change nothing."""
    path = two_versions(tmp_path_factory.mktemp("repository"))
    with started(path, "--management-port", "0", variables=LATEST) as server:
        yield server.wait_serving()


def ctl(server: ServerProcess, *order: str) -> tuple[int, str]:
    """The exit code and what was written; of what was refused, why."""
    ended = run("ctl", "--server", server.addresses()["management"], *order)
    return ended.returncode, ended.stdout or " ".join(own_lines(ended))


def test_an_operator_rolls_back_and_brings_a_new_version(
    server: ServerProcess, repository: Path
) -> None:
    assert ctl(server, "label", "m", "stable=2") == (0, "stable=2\n")
    assert ctl(server, "rollback", "m") == (0, "version 1 answers, version 2 is unloaded\n")
    code, text = ctl(server, "list", "--json")
    one, two = json.loads(text)
    assert (code, one["state"], one["labels"], one["is_default"]) == (0, "ready", ["stable"], True)
    assert (two["state"], two["is_refused"]) == ("unloaded", True)
    write_affine(repository / "m" / "3", manifest="format = 7")
    code, text = ctl(server, "load", "m", "3")
    assert (code, "format: unknown 7" in text) == (1, True)
    (repository / "m" / "3" / "batchproof.toml").unlink()
    code, text = ctl(server, "reload")
    assert code == 0
    assert ["m", "3", "ready", "default"] in [line.split() for line in text.splitlines()]


def test_an_operator_lets_two_versions_share_a_label(server: ServerProcess) -> None:
    assert ctl(server, "load", "m", "1")[0] == 0
    assert ctl(server, "label", "m", "stable", "1=9", "2=1") == (0, "stable 1=9 2=1\n")
    code, text = ctl(server, "list")
    assert code == 0
    assert [line.split()[3:5] for line in text.splitlines()[1:]] == [
        ["stable", "0.9"],
        ["stable", "0.1"],
    ]
    keys = [f"user-{number}" for number in range(100)]
    few = versions_of(server, keys)
    assert 0 < list(few.values()).count(2) < 50
    assert versions_of(server, keys) == few
    assert ctl(server, "label", "m", "stable", "1=1", "2=1", "old=1")[0] == 0
    many = versions_of(server, keys)
    assert {(few[key], many[key]) for key in keys} == {(1, 1), (1, 2), (2, 2)}
    assert ctl(server, "rollback", "m")[0] == 0
    assert json.loads(ctl(server, "list", "--json")[1])[0]["label_shares"] == {
        "old": 1.0,
        "stable": 1.0,
    }
    code, text = ctl(server, "label", "m", "stable", "1=0")
    assert (code, "all weights are 0, expected one above it" in text) == (1, True)


def versions_of(server: ServerProcess, keys: list[str]) -> dict[str, int]:
    """Which version of "stable" answers each key."""
    row = pb.NamedTensors(tensors={"image": to_proto(np.zeros((1, 4), np.float32))})
    selector = pb.ModelSelector(name="m", label="stable")
    asked = pb.PredictRequest(model=selector, tensors=row)
    with grpc.insecure_channel(server.grpc) as channel:
        stub: Any = pb_grpc.PredictionServiceStub(channel)
        answers = {key: stub.Predict(asked, metadata=(("x-batchproof-key", key),)) for key in keys}
    return {key: answer.provenance.version for key, answer in answers.items()}


def test_an_operator_compares_a_shadow(serve: Serve, repository: Path) -> None:
    variables = {"BATCHPROOF_SHADOW__VERSIONS": "{ m = 2 }", "BATCHPROOF_SHADOW__SHARE": "1.0"}
    for version in (1, 2):
        (repository / "m" / str(version) / "batchproof.toml").write_text(
            'format = 1\n[output]\nkind = "logits"\n'
        )
    shadowed = serve(repository, "--management-port", "0", variables=variables).wait_serving()
    row = pb.NamedTensors(tensors={"image": to_proto(np.ones((1, 4), np.float32))})
    asked = pb.PredictRequest(model=pb.ModelSelector(name="m"), tensors=row)
    with grpc.insecure_channel(shadowed.grpc) as channel:
        stub: Any = pb_grpc.PredictionServiceStub(channel)
        answers = [stub.Predict(asked).provenance.version for _ in range(3)]
    assert answers == [1] * 3
    code, text = until(
        "the rows are compared",
        lambda: found if "0 of 3 rows" in (found := ctl(shadowed, "compare", "m"))[1] else None,
    )
    assert code == 0
    assert text.splitlines()[0] == "version 2 beside 1, as a shadow: not known"
    assert text.splitlines()[1].startswith("  counted since 20")
    assert "too few rows to tell whether that is within the tolerance of 1.00%" in text
    code, text = ctl(shadowed, "compare", "m", "--json", "--tolerance", "0.9")
    (found,) = json.loads(text)
    assert (code, found["judgement"], found["rows"]) == (0, "not worse", 3)
    code, text = ctl(shadowed, "list", "m")
    assert ["m", "2", "ready", "shadow"] in [line.split() for line in text.splitlines()]
    assert ctl(shadowed, "shadow", "m") == (0, "")
    code, text = ctl(shadowed, "compare", "m")
    assert (code, text.startswith("nothing to compare")) == (0, True)
    code, text = ctl(shadowed, "shadow", "m", "9")
    assert (code, 'model "m" has no version 9' in text) == (1, True)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            {"SHADOW__VERSIONS": "{ m = 9 }"},
            'shadow.versions.m: there is no version 9 of a model "m"',
        ),
        ({"SHADOW__VERSIONS": "{ m = 0 }"}, "versions.m is 0, expected 1 or more"),
        ({"SHADOW__SHARE": "2"}, "share is 2.0, expected 1e-09 to 1"),
        ({"VERSION_LABELS__M": "{ stable = { 1 = -5, 2 = 5 } }"}, "weight of version 1 is -5"),
        ({"VERSION_LABELS__M": "{ stable = { 1 = 0 } }"}, "all weights are 0"),
        ({"VERSION_LABELS__M": "{ stable = { 1 = 1, 9 = 1 } }"}, "there is no version 9"),
        (
            {"SHADOW__VERSIONS": "{ m = 2 }", "VERSION_LABELS__M": "{ stable = 2 }"},
            'version 2 answers for the label "stable"',
        ),
    ],
)
def test_a_hostile_configuration_ends_the_start_in_a_sentence(
    repository: Path, setting: dict[str, str], sentence: str
) -> None:
    variables = {f"BATCHPROOF_{name}": value for name, value in setting.items()}
    ended = run("serve", repository, "--grpc-port", "0", "--http-port", "0", variables=variables)
    assert ended.returncode == 2
    assert sentence in " ".join(own_lines(ended))


def test_an_operator_ends_the_server(server: ServerProcess) -> None:
    assert ctl(server, "drain") == (0, "")
    assert server.wait_exit() == 0
    code, text = ctl(server, "list")
    assert (code, text.startswith("nobody answers on 127.0.0.1:")) == (1, True)


@pytest.mark.parametrize(
    ("order", "code", "sentence"),
    [
        (("load", "x"), 1, 'there is no model "x" in the repository, which has "m"'),
        (("load", "m", "7"), 1, 'there is no version 7 of model "m" in the repository'),
        (("load", "m", "0"), 2, "the version is 0, expected 1 or more"),
        (("label", "m", "stable"), 2, '"stable" is no label, expected LABEL=VERSION'),
        (("label", "m", "stable=1"), 1, "version 1 is not loaded, expected one that is ready"),
        (("label", "m", "a=1", "a=2", "\x1b[31m=2"), 1, "cannot be printed"),
    ],
)
def test_bad_orders_are_told_in_a_sentence(
    unchanged: ServerProcess, order: tuple[str, ...], code: int, sentence: str
) -> None:
    came, text = ctl(unchanged, *order)
    assert (came, sentence in text) == (code, True), text
    assert "\x1b" not in text


def test_options_stand_before_or_behind_the_order(unchanged: ServerProcess) -> None:
    option = ("--server", unchanged.addresses()["management"])
    before, behind = run("ctl", *option, "list", "m"), run("ctl", "list", "m", *option)
    assert (behind.returncode, behind.stdout) == (0, before.stdout)
    # What stands behind is the last word.
    nobody = ("--server", "127.0.0.1:1")
    assert run("ctl", *nobody, "list", *option).returncode == 0
    assert run("ctl", *option, "list", *nobody).returncode == 1


@pytest.mark.parametrize("timeout_s", ["nan", "0", "-3", "inf"])
def test_patience_is_a_number_of_seconds(timeout_s: str) -> None:
    ended = run("ctl", "list", f"--timeout-s={timeout_s}")
    assert ended.returncode == 2
    assert f"--timeout-s is {timeout_s}, expected seconds above 0" in own_lines(ended)[0]


def test_the_port_of_callers_is_no_management_port(unchanged: ServerProcess) -> None:
    ended = run("ctl", "--server", unchanged.grpc, "list")
    assert ended.returncode == 1
    assert "is no management port" in own_lines(ended)[0]


def test_beyond_loopback_the_port_needs_tls(repository: Path) -> None:
    settings = {
        "BATCHPROOF_MANAGEMENT__ENABLED": "true",
        "BATCHPROOF_MANAGEMENT__HOST": "0.0.0.0",  # noqa: S104 - it is refused
    }
    ended = run("serve", repository, variables=settings)
    assert ended.returncode == 2
    assert "expected a loopback address, or tls with a client_ca" in own_lines(ended)[0]


@pytest.fixture
def over_tls(serve: Serve, repository: Path) -> ServerProcess:
    """A management port that lets only clients of its authority in."""
    files = {"CERTIFICATE": "server.pem", "KEY": "server.key", "CLIENT_CA": "authority.pem"}
    variables = {
        **LATEST,
        **{f"BATCHPROOF_MANAGEMENT__TLS__{key}": _certificate(each) for key, each in files.items()},
    }
    return serve(repository, "--management-port", "0", variables=variables).wait_serving()


def test_over_tls_an_operator_shows_a_certificate(over_tls: ServerProcess) -> None:
    trusting = ("--ca", _certificate("authority.pem"))
    shown = ("--certificate", _certificate("client.pem"), "--key", _certificate("client.key"))
    other = ("--certificate", _certificate("other.pem"), "--key", _certificate("other.key"))
    code, text = ctl(over_tls, "list", *trusting, *shown)
    assert code == 0, text
    assert ["m", "2", "ready", "default"] in [line.split() for line in text.splitlines()]
    assert ctl(over_tls, *trusting, *shown, "label", "m", "stable=2") == (0, "stable=2\n")
    for refused in (trusting, (*trusting, *other), ("--ca", _certificate("other.pem"), *shown), ()):
        assert ctl(over_tls, "list", *refused)[0] == 1
    code, text = ctl(over_tls, "list", *shown)
    assert (code, "--certificate and --key need --ca" in text) == (2, True)
    code, text = ctl(over_tls, "list", "--ca", _certificate("missing.pem"))
    assert (code, "missing.pem" in text) == (2, True)


def _certificate(name: str) -> str:
    return str(Path(__file__).parent / "certificates" / name)


def test_models_of_a_tensorflow_serving_configuration_are_served(
    serve: Serve, repository: Path, tmp_path: Path
) -> None:
    config = tmp_path / "models.config"
    model = f'config {{ name: "renamed" base_path: "{repository / "m"}"'
    config.write_text(f"model_config_list {{ {model} }} }}")
    server = serve(repository, "--model-config-file", str(config))
    assert server.wait_exit() == 2
    assert "either PATH or --model-config-file" in own_lines(server)[0]
    variables = {"BATCHPROOF_REPOSITORY__MODEL_CONFIG_FILE": str(config)}
    ended = run("serve", "--grpc-port", "-1", variables=variables)
    assert ended.returncode == 2
    assert "grpc_port is -1" in own_lines(ended)[0]
    # In the place of the path stands a flag.
    served = serve(Path(f"--model-config-file={config}")).wait_serving()
    ready = {(r["model"], r["version"]) for r in served.records() if r.get("state") == "ready"}
    assert ready == {("renamed", 2)}
    config.write_text(
        f"model_config_list {{ {model} model_version_policy {{ specific {{ versions: 1 }} }} }} }}"
    )
    served.process.send_signal(signal.SIGHUP)
    until(
        "the other version answers",
        lambda: (
            {r["version"]: r["state"] for r in served.records("model changed")}
            == {1: "ready", 2: "unloaded"}
        ),
    )
