"""TensorFlow Serving's ``ModelServerConfig``: from a file or a message to models and policies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf import text_format

from batchproof.compat import PRIVATE
from batchproof.compat import tensorflow_serving_pb2 as pb
from batchproof_server.base.errors import cut
from batchproof_server.base.files import TooLarge, read_text, reason_of
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.models.policies import VersionPolicy

_MAX_CONFIG_BYTES: Final = 1 << 20
_PLATFORMS: Final = ("", "tensorflow")


@dataclass(frozen=True, slots=True)
class ConfiguredModel:
    """One model of a configuration.

    Attributes:
        base_path: holds its versions.
        labels: label -> version.
    """

    name: str
    base_path: Path
    policy: VersionPolicy
    labels: dict[str, int]


def read_config_file(file: Path) -> tuple[ConfiguredModel, ...]:
    """The models of a configuration in protobuf's text format.

    Raises:
        InvalidSettings: it cannot be read, or has faults; with every fault.
    """
    try:
        text = read_text(file, _MAX_CONFIG_BYTES)
        config = text_format.Parse(text, pb.ModelServerConfig())
    except (TooLarge, UnicodeDecodeError) as fault:
        reason = str(fault) if isinstance(fault, TooLarge) else "is not UTF-8 text"
        raise InvalidSettings((f"{file}: {reason}",)) from fault
    except OSError as fault:
        raise InvalidSettings((f"{file}: {reason_of(fault)}",)) from fault
    except (text_format.ParseError, ValueError, RecursionError) as fault:
        reason = cut(str(fault).replace(PRIVATE, ""), 300)
        raise InvalidSettings(
            (f"{file}: no ModelServerConfig in text format: {reason}",)
        ) from fault
    try:
        return configured(config)
    except InvalidSettings as invalid:
        raise InvalidSettings(tuple(f"{file}: {fault}" for fault in invalid.faults)) from invalid


def configured(config: pb.ModelServerConfig) -> tuple[ConfiguredModel, ...]:
    """The models of a configuration.

    Raises:
        InvalidSettings: with every fault.
    """
    models = config.model_config_list.config
    faults = tuple(fault for model in models for fault in _faults(model))
    names = [model.name for model in models]
    faults += tuple(
        f"{cut(name)}: is there twice" for name in sorted(set(names)) if names.count(name) > 1
    )
    if not models:
        faults += ("model_config_list is empty, expected a model",)
    if faults:
        raise InvalidSettings(faults)
    return tuple(
        ConfiguredModel(
            model.name,
            Path(model.base_path),
            _policy(model.model_version_policy),
            dict(model.version_labels),
        )
        for model in models
    )


def _faults(model: pb.ModelConfig) -> Iterator[str]:
    name = cut(model.name)
    if not model.name or not model.name.isprintable() or model.name.startswith("."):
        yield f'name is "{name}", expected a name without dot at its start that can be printed'
    if not Path(model.base_path).is_absolute() or "\0" in model.base_path:
        came = cut(model.base_path)
        yield f'{name}: base_path is "{came}", expected an absolute path of this machine'
    if model.model_platform not in _PLATFORMS:
        came = cut(model.model_platform)
        yield f'{name}: model_platform is "{came}", expected "tensorflow"'
    policy = model.model_version_policy
    if policy.HasField("specific") and not policy.specific.versions:
        yield f"{name}: model_version_policy.specific is empty, expected versions"
    for label, version in model.version_labels.items():
        if version < 1:
            yield f"{name}: version_labels.{cut(label)} is {version}, expected 1 or more"


def _policy(policy: pb.FileSystemStoragePathSourceConfig.ServableVersionPolicy) -> VersionPolicy:
    """Without a word, the newest version; 0 newest versions are 1, as TensorFlow Serving says."""
    match policy.WhichOneof("policy_choice"):
        case "all":
            return VersionPolicy()
        case "specific":
            return VersionPolicy(specific=tuple(policy.specific.versions))
        case _:
            return VersionPolicy(latest=max(1, policy.latest.num_versions))
