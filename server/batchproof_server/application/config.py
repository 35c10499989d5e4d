"""From defaults, a TOML file, the environment and flags to one checked ``Config``.

Later ones win, key by key. Environment: ``BATCHPROOF_<SECTION>__<KEY>``, such as
``BATCHPROOF_BATCHING__MAX_QUEUE_DELAY_S=0.002``, or ``BATCHPROOF_<SECTION>`` for all of a section;
a value is read as TOML when it is TOML, else as a string. The only module that reads the
environment.
"""

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import ConfigDict

from batchproof_server.backends.plug_list import check_engine_name
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.files import read_text
from batchproof_server.base.listener import is_loopback
from batchproof_server.base.validation import (
    NO_UNKNOWN_KEYS,
    InvalidSettings,
    parse_settings,
    parser_says,
    read_by,
)
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.callers.settings import AccessSettings
from batchproof_server.devices.settings import DeviceSettings, ExecutionSettings
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.models.policies import RepositorySettings
from batchproof_server.models.weighted_versions import Target, read_target
from batchproof_server.observing.capture.settings import CaptureSettings
from batchproof_server.observing.logs import LogFormat, LogLevel
from batchproof_server.observing.traces.settings import TracingSettings
from batchproof_server.offline.diagnosing.settings import DiagnosisSettings
from batchproof_server.outcomes.settings import OutcomeSettings
from batchproof_server.proof.artefact.key_files import read_trusted_keys
from batchproof_server.proof.settings import ProofSettings
from batchproof_server.rpc.management.settings import ManagementSettings
from batchproof_server.rpc.settings import FrontName, RpcSettings
from batchproof_server.selfcheck.settings import SelfCheckSettings
from batchproof_server.serving.off_loop import DecodingSettings
from batchproof_server.serving.request import RequestLimits
from batchproof_server.shadowing.settings import ShadowSettings
from batchproof_server.web.settings import WebSettings

PREFIX = "BATCHPROOF_"
_MAX_PORT = 65535
_MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Addresses and the life-cycle.

    Attributes:
        host: both ports listen on it.
        grpc_port: 0 takes a free one.
        front: what speaks HTTP/2 there; ``auto`` is the quickest that works with this grpcio.
        http_port: metrics and probes; 0 takes a free one.
        listen_from: whether the ports of requests open at the ``start``, where health says
            NOT_SERVING while versions are loaded, or when they are ``ready``, so that callers who
            do not ask for health come no sooner.
        failed_model: what a model of which no version answers, since one failed, means for
            ``/readyz`` and the health of the server as a whole: nothing (``passed_over``), or that
            they say ``not_ready``.
        lame_duck_s: after SIGTERM, how long to go on accepting while health says NOT_SERVING, so
            that load balancers can notice.
        leaving_s: then, how long to go on answering open connections and take no new ones, so that
            callers who do not ask for health leave when their connection has its age.
        grace_s: after that, how long accepted requests may take to finish.
        reflection: whether the gRPC port says what it takes; ``loopback``: only where nobody beyond
            this machine reaches it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    host: str = "127.0.0.1"
    grpc_port: int = 8500
    front: FrontName = "auto"
    http_port: int = 8080
    listen_from: Literal["start", "ready"] = "start"
    failed_model: Literal["passed_over", "not_ready"] = "passed_over"
    lame_duck_s: float = 0.0
    leaving_s: float = 0.0
    grace_s: float = 30.0
    reflection: Literal["loopback", "on", "off"] = "loopback"

    @property
    def shows_methods(self) -> bool:
        """Whether reflection answers."""
        is_near = self.reflection == "loopback" and is_loopback(self.host)
        return is_near or self.reflection == "on"

    def __post_init__(self) -> None:
        for name in ("grpc_port", "http_port"):
            port = getattr(self, name)
            if not 0 <= port <= _MAX_PORT:
                raise ValueError(f"{name} is {port}, expected 0 to {_MAX_PORT}")
        if self.grpc_port == self.http_port != 0:
            raise ValueError(f"grpc_port and http_port are both {self.grpc_port}")
        for name in ("lame_duck_s", "leaving_s", "grace_s"):
            duration_s = getattr(self, name)
            if not 0 <= duration_s < math.inf:
                raise ValueError(f"{name} is {duration_s}, expected 0 or more, and finite")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how. Logs go to standard error."""

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    level: LogLevel = "info"
    format: LogFormat = "json"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set.

    Attributes:
        batching: for bundles that declare none.
        version_labels: model -> label -> version, or weights by versions.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    server: ServerSettings = field(default_factory=ServerSettings)
    rpc: RpcSettings = field(default_factory=RpcSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    web: WebSettings = field(default_factory=WebSettings)
    requests: RequestLimits = field(default_factory=RequestLimits)
    images: ImageLimits = field(default_factory=ImageLimits)
    decoding: DecodingSettings = field(default_factory=DecodingSettings)
    batching: BatchingSettings = field(default_factory=BatchingSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    devices: DeviceSettings = field(default_factory=DeviceSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    proof: ProofSettings = field(default_factory=ProofSettings)
    self_check: SelfCheckSettings = field(default_factory=SelfCheckSettings)
    shadow: ShadowSettings = field(default_factory=ShadowSettings)
    diagnosis: DiagnosisSettings = field(default_factory=DiagnosisSettings)
    outcomes: OutcomeSettings = field(default_factory=OutcomeSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)
    log: LogSettings = field(default_factory=LogSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    repository: RepositorySettings = field(default_factory=RepositorySettings)
    management: ManagementSettings = field(default_factory=ManagementSettings)
    version_labels: Mapping[str, Mapping[str, Annotated[Target, read_by(read_target)]]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        check_engine_name(self.engine.name)
        self.web.check_asked(has_callers=self.access.is_on)
        _check_leaving(self.server.leaving_s, self.rpc.connections.max_age_s)


def _check_leaving(leaving_s: float, max_age_s: float) -> None:
    """Raises ValueError where connections would be older than the time that they have to leave."""
    # gRPC lets each connection live up to a tenth longer or shorter.
    if leaving_s and not 0 < 1.1 * max_age_s < leaving_s:
        raise ValueError(
            f"server.leaving_s is {leaving_s} and rpc.connections.max_age_s {max_age_s}, expected "
            "leaving_s above 1.1 x max_age_s, and max_age_s above 0: connections end by their age"
        )


def read_config(file: Path | None, flags: Mapping[str, Any]) -> Config:
    """Assembles the configuration.

    Args:
        file: a TOML file, or None.
        flags: section -> key -> value of what was given on the command line.

    Raises:
        InvalidSettings: with every fault and its path.
    """
    values: dict[str, Any] = {}
    for source in (_from_file(file), _from_environment(os.environ), flags):
        _merge(values, source)
    config = parse_settings(Config, values)
    try:
        read_trusted_keys(config.proof.trusted_keys)
    except ValueError as fault:
        raise InvalidSettings((f"proof.trusted_keys: {fault}",)) from fault
    return config


def prepare_engines() -> None:
    """Sets what engines read from the environment; to be called before one is imported.

    Keras must run on TensorFlow. TensorFlow's start-up notes stay off standard error, unless the
    user decided otherwise.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def onednn_setting() -> str:
    """What ``TF_ENABLE_ONEDNN_OPTS`` says, which decides TensorFlow's kernels; or ``default``."""
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default")


def _from_file(file: Path | None) -> Mapping[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(read_text(file, _MAX_CONFIG_BYTES))
    except (OSError, UnicodeDecodeError) as fault:
        raise InvalidSettings((f"{file}: cannot be read as UTF-8 text",)) from fault
    except (ValueError, RecursionError) as fault:  # too long, no TOML, too large a number, too deep
        raise InvalidSettings((f"{file}: {parser_says(fault)}",)) from fault


def _from_environment(environment: Mapping[str, str]) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    for name in sorted(environment):
        path = name.removeprefix(PREFIX).lower().split("__")
        if name.startswith(PREFIX) and (len(path) > 1 or path[0] in _WHOLE_SECTIONS):
            nested = _toml_value(environment[name])
            for key in reversed(path):
                nested = {key: nested}
            _merge(values, nested)
    return values


# Others without "__" are the client's, or what Kubernetes says of a service called "batchproof".
_WHOLE_SECTIONS: Final = frozenset(each.name for each in fields(Config)) - {"server"}


def _toml_value(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return values["value"] if len(values) == 1 else text  # a line break begins a second key


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, change in changes.items():
        old = values.get(key)
        if isinstance(old, dict) and isinstance(change, Mapping):
            _merge(old, change)
        else:
            values[key] = dict(change) if isinstance(change, Mapping) else change
