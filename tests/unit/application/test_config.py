"""The configuration: who wins, every fault with its path, and nothing but settings or faults."""

import contextlib
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchproof_server.application.config import (
    Config,
    ServerSettings,
    _from_environment,
    _from_file,
    _merge,
    prepare_engines,
    read_config,
)
from batchproof_server.base.validation import InvalidSettings, parse_settings
from batchproof_server.models.weighted_versions import WeightedVersions
from batchproof_server.rpc.settings import RpcSettings, TlsSettings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("BATCHPROOF_"):
            monkeypatch.delenv(name)


def written(directory: Path, text: str) -> Path:
    file = directory / "server.toml"
    file.write_text(text)
    return file


def faults(file: Path | None, flags: dict[str, Any] | None = None) -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as invalid:
        read_config(file, flags or {})
    return invalid.value.faults


def test_nothing_given_is_the_default() -> None:
    assert read_config(None, {}) == Config()


def test_the_environment_wins_over_the_file_and_flags_over_both_key_by_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(
        tmp_path, '[server]\nhost = "a"\ngrpc_port = 1\nhttp_port = 2\n[log]\nlevel = "error"\n'
    )
    monkeypatch.setenv("BATCHPROOF_SERVER__GRPC_PORT", "11")
    monkeypatch.setenv("BATCHPROOF_SERVER__HTTP_PORT", "12")
    config = read_config(file, {"server": {"http_port": 22}})
    assert config.server == ServerSettings(host="a", grpc_port=11, http_port=22)
    assert config.log.level == "error"


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        ("SERVER__GRPC_PORT", "0", "server.grpc_port", 0),
        ("SERVER__HOST", "0.0.0.0", "server.host", "0.0.0.0"),  # noqa: S104 - never bound
        ("SERVER__HOST", '"quoted"', "server.host", "quoted"),
        ("SERVER__HOST", "::1", "server.host", "::1"),
        ("SERVER__LAME_DUCK_S", "0.5", "server.lame_duck_s", 0.5),
        ("BATCHING__BUCKETS_ROWS", "[1, 2]", "batching.buckets_rows", (1, 2)),
        ("LOG__LEVEL", "debug", "log.level", "debug"),
        ("VERSION_LABELS__CATS__STABLE", "3", "version_labels", {"cats": {"stable": 3}}),
        (
            "VERSION_LABELS__CATS",
            "{ stable = { 7 = 95, 8 = 5 } }",
            "version_labels",
            {"cats": {"stable": WeightedVersions(((7, 95), (8, 5)))}},
        ),
        (
            "RPC__TLS",
            '{certificate = "c", key = "k"}',
            "rpc.tls",
            TlsSettings(Path("c"), Path("k")),
        ),
    ],
)
def test_the_environment_is_read_as_toml_or_else_as_a_string(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, path: str, expected: object
) -> None:
    monkeypatch.setenv(f"BATCHPROOF_{name}", value)
    found: Any = read_config(None, {})
    for part in path.split("."):
        found = getattr(found, part)
    assert found == expected


def test_names_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHPROOF_SERVER", "127.0.0.1:8500")  # the client's
    monkeypatch.setenv("OTHER__KEY", "1")
    assert read_config(None, {}) == Config()


def test_a_whole_section_may_be_given_by_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHPROOF_VERSION_LABELS", "{ digits = { stable = 7 } }")
    monkeypatch.setenv("BATCHPROOF_PORT", "tcp://10.0.0.1:8500")  # set by Kubernetes
    assert read_config(None, {}).version_labels["digits"]["stable"] == 7
    monkeypatch.setenv("BATCHPROOF_VERSION_LABELS", "stable=7")
    with pytest.raises(InvalidSettings, match="version_labels"):
        read_config(None, {})


def test_a_misspelt_name_in_the_environment_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHPROOF_SERVER__PORT", "1")
    monkeypatch.setenv("BATCHPROOF_SERVR__HOST", "x")
    assert faults(None) == (
        'server.port: unknown key; the nearest known one is "http_port"',
        'servr: unknown key; the nearest known one is "server"',
    )


@pytest.mark.parametrize("value", ["x\ny = 1", "[[[" * 5000, "1" * 5000])
def test_a_value_that_is_no_single_toml_value_is_a_string(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("BATCHPROOF_SERVER__HOST", value)
    assert read_config(None, {}).server.host == value


def test_a_second_key_cannot_be_smuggled_behind_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHPROOF_SERVER__GRPC_PORT", "1\nhost = 2")
    (fault,) = faults(None)
    assert fault.startswith("server.grpc_port: ")


def test_every_fault_is_named_with_its_path(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        nonsense = 1
        [server]
        grpc_port = 70000
        [rpc]
        max_streams = 0
        [rpc.tls]
        certificate = "c"
        [log]
        level = "loud"
        [batching]
        buckets_rows = [4, 2]
        colour = 1
        [version_labels.cats]
        stable = "one"
        canary = { 7 = 0, 8 = 0 }
        """,
    )
    found = dict(fault.split(": ", 1) for fault in faults(file))
    assert found["server"] == "grpc_port is 70000, expected 0 to 65535"
    assert found["rpc.tls.key"] == "missing"
    assert found["log.level"].startswith('unknown "loud", one of ')
    assert found["batching.colour"] == "unknown key"
    assert found["version_labels.cats.stable"].startswith('"one" is no version, expected a number')
    assert found["version_labels.cats.canary"] == "all weights are 0, expected one above it"
    assert found["nonsense"] == "unknown key"


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        ({"http_port": -1}, "http_port is -1, expected 0 to 65535"),
        ({"grpc_port": 9, "http_port": 9}, "grpc_port and http_port are both 9"),
        ({"lame_duck_s": -1.0}, "lame_duck_s is -1.0, expected 0 or more, and finite"),
        ({"leaving_s": math.inf}, "leaving_s is inf, expected 0 or more, and finite"),
        ({"grace_s": math.nan}, "grace_s is nan, expected 0 or more, and finite"),
        ({"grace_s": math.inf}, "grace_s is inf, expected 0 or more, and finite"),
    ],
)
def test_a_server_that_makes_no_sense_is_refused(server: dict[str, Any], sentence: str) -> None:
    assert faults(None, {"server": server}) == (f"server: {sentence}",)


@pytest.mark.parametrize("max_age_s", [0.0, 10.0, 60.0])
def test_connections_must_reach_their_age_before_the_server_has_left(max_age_s: float) -> None:
    sections = {"server": {"leaving_s": 11.0}, "rpc": {"connections": {"max_age_s": max_age_s}}}
    (fault,) = faults(None, sections)
    assert f"leaving_s is 11.0 and rpc.connections.max_age_s {max_age_s}, expected" in fault


def test_a_server_may_leave_for_longer_than_connections_live() -> None:
    sections = {"server": {"leaving_s": 11.1}, "rpc": {"connections": {"max_age_s": 10.0}}}
    assert read_config(None, sections).server.leaving_s == 11.1


def test_two_ports_of_zero_are_two_free_ports() -> None:
    config = read_config(None, {"server": {"grpc_port": 0, "http_port": 0}})
    assert (config.server.grpc_port, config.server.http_port) == (0, 0)


@pytest.mark.parametrize(
    "name", ["max_message_bytes", "max_concurrent_requests", "max_streams", "stream_window"]
)
def test_a_limit_of_zero_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="every limit must be 1 or more"):
        parse_settings(RpcSettings, {name: 0})


@pytest.mark.parametrize(
    ("rpc", "sentence"),
    [
        (
            {"max_message_bytes": 9, "max_bytes_in_flight": 8},
            "rpc: max_bytes_in_flight is 8, expected max_message_bytes, which is 9, or more",
        ),
        (
            {"max_message_bytes": 1 << 31, "max_bytes_in_flight": 1 << 31},
            "rpc: max_message_bytes is 2147483648, expected 2147483647 at most",
        ),
        (
            {"message_timeout_s": 0},
            "rpc: message_timeout_s is 0.0, expected 0.001 to 2000000",
        ),
        (
            {"connections": {"max_calls": 0}},
            "rpc.connections: max_calls is 0, expected 1 to 2147483647",
        ),
        (
            {"connections": {"max_connections": -1}},
            "rpc.connections: max_connections is -1, expected 0 to 2147483647",
        ),
        (
            {"connections": {"max_age_s": math.nan}},
            "rpc.connections: max_age_s is nan, expected 0 to 2000000",
        ),
        (
            {"connections": {"keepalive_timeout_s": 0.0}},
            "rpc.connections: keepalive_timeout_s is 0.0, expected 0.001 to 2000000",
        ),
    ],
)
def test_a_port_that_makes_no_sense_is_refused(rpc: dict[str, Any], sentence: str) -> None:
    assert faults(None, {"rpc": rpc}) == (sentence,)


@pytest.mark.parametrize("text", ["[server", "x = 1\nx = 2\n", "x = " + "1" * 5000])
def test_a_file_that_is_not_toml_is_a_fault_with_its_name(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    (fault,) = faults(file)
    assert fault.startswith(f"{file}: ")


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path / "none.toml") == (
        f"{tmp_path / 'none.toml'}: cannot be read as UTF-8 text",
    )
    (tmp_path / "latin.toml").write_bytes(b"x = '\xff'")
    assert len(faults(tmp_path / "latin.toml")) == 1
    assert len(faults(tmp_path)) == 1
    assert faults(Path("/dev/zero")) == ("/dev/zero: more than 1048576 bytes",)


def test_keras_runs_on_tensorflow_which_is_quiet_unless_the_user_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    prepare_engines()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    prepare_engines()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2"


keys = st.sampled_from(
    ("server", "rpc", "tls", "log", "batching", "host", "grpc_port", "level", "buckets_rows",
     "version_labels", "max_streams", "grace_s", "x", "")
)  # fmt: skip
values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(keys, values, max_size=4))
def test_any_flags_are_either_a_configuration_or_faults(flags: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidSettings):
        assert isinstance(read_config(None, flags), Config)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=st.text(max_size=60) | st.from_regex(r"\[?[a-z]{1,6}\]?( = )?[\[{0-9a-z\"}\]]{0,9}"))
def test_any_file_is_either_a_configuration_or_faults(tmp_path: Path, text: str) -> None:
    file = tmp_path / "any.toml"
    file.write_bytes(text.encode("utf-8", "replace"))
    with contextlib.suppress(InvalidSettings):
        assert isinstance(parse_settings(Config, _from_file(file)), Config)


@given(
    st.dictionaries(
        st.from_regex(r"BATCHPROOF_[A-Z_]{0,20}", fullmatch=True), st.text(max_size=20), max_size=5
    )
)
def test_any_environment_is_either_a_configuration_or_faults(environment: dict[str, str]) -> None:
    with contextlib.suppress(InvalidSettings):
        assert isinstance(parse_settings(Config, _from_environment(environment)), Config)


@given(st.dictionaries(keys, values, max_size=4), st.dictionaries(keys, values, max_size=4))
def test_merging_keeps_what_the_later_one_does_not_say(
    earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    merged: dict[str, Any] = {}
    _merge(merged, earlier)
    _merge(merged, later)
    assert merged.keys() == earlier.keys() | later.keys()
    for key, value in later.items():
        if not isinstance(value, dict):
            assert repr(merged[key]) == repr(value)
    for key in earlier.keys() - later.keys():
        assert repr(merged[key]) == repr(earlier[key])
