"""TensorFlow Serving's model_config_file: what is understood, and what is said of what is not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.application.config import Config
from batchproof_server.application.sources import read_sources
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.models.looking import look_at_models
from batchproof_server.models.policies import RepositorySettings, VersionPolicy
from batchproof_server.rpc.tensorflow_serving.model_config import read_config_file

GOOD = """
# from TensorFlow Serving's documentation
model_config_list {
  config {
    name: 'first'
    base_path: '/models/first'
    model_platform: 'tensorflow'
  }
  config: {
    name: "second", base_path: "/models/second"
    model_version_policy { specific { versions: 42 versions: 43 } }
    version_labels { key: 'stable' value: 42 }
    version_labels { key: 'canary' value: 43 }
  }
  config { name: "third" base_path: "/models/third" model_version_policy: { all {} } }
  config { name: "fourth" base_path: "/m/4" model_version_policy { latest { num_versions: 2 } } }
  config { name: "fifth" base_path: "/m/5" model_version_policy { latest { } } }
}
"""


def refused(tmp_path: Path, text: str | bytes) -> str:
    """What is said of a file."""
    file = tmp_path / "models.config"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidSettings) as invalid:
        read_config_file(file)
    return str(invalid.value)


def test_models_policies_and_labels_are_read(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(GOOD)
    models = {each.name: each for each in read_config_file(file)}
    assert {name: each.policy for name, each in models.items()} == {
        "first": VersionPolicy(latest=1),
        "second": VersionPolicy(specific=(42, 43)),
        "third": VersionPolicy(),
        "fourth": VersionPolicy(latest=2),
        "fifth": VersionPolicy(latest=1),
    }
    assert models["second"].labels == {"stable": 42, "canary": 43}
    assert models["first"].base_path == Path("/models/first")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ('base_path: "/m"', 'name is "", expected a name'),
        ('name: ".m" base_path: "/m"', 'name is ".m", expected a name'),
        ('name: "m" base_path: "models/m"', 'base_path is "models/m", expected an absolute path'),
        ('name: "m" base_path: "gs://b/m"', "expected an absolute path of this machine"),
        ('name: "m" base_path: "/m" model_platform: "onnx"', 'model_platform is "onnx"'),
        (
            'name: "m" base_path: "/m" model_version_policy { specific { } }',
            "specific is empty, expected versions",
        ),
        (
            'name: "m" base_path: "/m" version_labels { key: "a" value: -1 }',
            "version_labels.a is -1, expected 1 or more",
        ),
        ('name: "m" base_path: "/m" model_platfrom: "x"', 'no field named "model_platfrom"'),
        ('name: "m" base_path: "/m" } config { name: "m" base_path: "/n"', "m: is there twice"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, config: str, sentence: str) -> None:
    said = refused(tmp_path, f"model_config_list {{ config {{ {config} }} }}")
    assert sentence in said
    assert "models.config: " in said
    assert "batchproof" not in said.replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected a model"),
        (b"\xff", "is not UTF-8 text"),
        (b" " * ((1 << 20) + 1), "more than 1048576 bytes"),
        ("custom_model_config { }", "custom_model_config"),
        ("model_config_list {" * 5_000, "no ModelServerConfig in text format"),
    ],
)
def test_what_is_no_configuration_is_refused(
    tmp_path: Path, text: str | bytes, sentence: str
) -> None:
    assert sentence in refused(tmp_path, text)


@given(st.text(alphabet="model_cnfigst{}:<>[]'\"/0123.\\ \n#abc", max_size=80))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text("model_config_list { config { " + text)
    with pytest.raises(InvalidSettings):
        read_config_file(file)


def test_the_file_takes_the_place_of_the_path(tmp_path: Path) -> None:
    base = tmp_path / "folders" / "any name"
    for version in ("1", "2"):
        (base / version).mkdir(parents=True)
    file = tmp_path / "models.config"
    file.write_text(
        f'model_config_list {{ config {{ name: "m" base_path: "{base}" '
        'version_labels { key: "stable" value: 1 } } }'
    )
    config = Config(repository=RepositorySettings(model_config_file=str(file)))
    sources = read_sources(config, None)
    assert sorted(sources.look().versions) == [("m", 1), ("m", 2)]
    assert sources.settings.policy_of("m") == VersionPolicy(latest=1)
    assert sources.labels == {"m": {"stable": 1}}
    for settings, path in ((config, tmp_path), (Config(), None)):
        with pytest.raises(InvalidSettings, match="either PATH or --model-config-file"):
            read_sources(settings, path)


def test_a_base_path_without_versions_says_nothing_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    found = look_at_models({"m": tmp_path / "m", "n": tmp_path / "n"})
    assert list(found.versions) == [("m", 1)]
    assert 'found no version of model "n"' in found.unread["n"]
    with pytest.raises(ValueError, match='found no version of model "n"'):
        look_at_models({"n": tmp_path / "n"})
