"""What a device process is asked to do is what the server was told, whatever that is."""

import json
from pathlib import Path

import pytest

from batchproof_server.application.config import Config, LogSettings, ServerSettings
from batchproof_server.application.device_process import device_request
from batchproof_server.base.validation import parse_settings
from batchproof_server.devices.settings import DeviceSettings, ExecutionSettings
from batchproof_server.models.discovery import Place
from batchproof_server.models.weighted_versions import WeightedVersions
from batchproof_server.observing.traces.settings import TracingSettings
from batchproof_server.outcomes.settings import OutcomeSettings
from batchproof_server.proof.settings import ProofSettings
from batchproof_server.rpc.settings import RpcSettings, TlsSettings

TLS = TlsSettings(Path("server.pem"), Path("server.key"), Path("clients.pem"))


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(rpc=RpcSettings(tls=TLS)),
        Config(proof=ProofSettings(certificate_directory="kept", trusted_keys=("fleet.pub",))),
        Config(outcomes=OutcomeSettings(key_file="handles.keys")),
        Config(server=ServerSettings(grace_s=0.5), log=LogSettings(level="debug")),
        Config(
            devices=DeviceSettings("process", 1 << 30, 4), execution=ExecutionSettings(2.5, 60.0)
        ),
    ],
    ids=["defaults", "tls", "proof", "outcomes", "server", "devices"],
)
def test_every_setting_comes_through_as_it_was(config: Config) -> None:
    request = json.loads(device_request(config, Place("m", 3, Path("models/m/3"))))
    assert parse_settings(Config, request["config"]) == config
    assert request["place"] == {"name": "m", "version": 3, "directory": "models/m/3"}


def test_labels_stay_with_the_server() -> None:
    config = Config(version_labels={"m": {"stable": WeightedVersions(((3, 95), (4, 5)))}})
    request = json.loads(device_request(config, Place("m", 3, Path("models/m/3"))))
    assert parse_settings(Config, request["config"]) == Config()


def test_the_word_for_a_collector_stays_where_it_is_used() -> None:
    tracing = TracingSettings("http://localhost:4317", headers={"x-api-key": "SECRET"})

    asked = device_request(Config(tracing=tracing), Place("m", 3, Path("models/m/3")))

    assert b"SECRET" not in asked
