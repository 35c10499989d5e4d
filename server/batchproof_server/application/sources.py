"""Where versions lie and what is wanted of them: a path, or TensorFlow Serving's configuration."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from batchproof_server.application.config import Config
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.models.discovery import Place
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.looking import Sources, found_at, look_at, look_at_models
from batchproof_server.rpc.tensorflow_serving.model_config import read_config_file


def read_sources(config: Config, path: Path | None) -> Sources:
    """Reads what the configuration says of the repository.

    Args:
        config: what the user set.
        path: of a bundle, a model or a repository; None where the configuration names a file.

    Raises:
        InvalidSettings: there is neither a path nor a file, or both; or the file has faults.
    """
    settings, labels = config.repository, config.version_labels
    if (path is None) == (not settings.model_config_file):
        raise InvalidSettings(
            ("expected either PATH or --model-config-file (repository.model_config_file)",)
        )
    if path is not None:
        return Sources(partial(look_at, path), settings, labels)
    models = read_config_file(Path(settings.model_config_file))
    paths = {model.name: model.base_path for model in models}
    policies = {model.name: model.policy for model in models}
    return Sources(
        partial(look_at_models, paths),
        replace(settings, policies=policies | settings.policies),
        {**labels, **{model.name: model.labels for model in models if model.labels}},
    )


def fixed_sources(config: Config, places: tuple[Place, ...]) -> Sources:
    """Versions that lie where they were found, and whatever comes beside them is not seen."""
    return Sources(partial(found_at, places), config.repository, config.version_labels)


def with_labels(config: Config, sources: Sources) -> Config:
    """The configuration with the labels that the sources have, from wherever they come."""
    labels = {name: dict(of_model) for name, of_model in sources.labels.items()}
    return replace(config, version_labels=labels)


@dataclass(frozen=True, slots=True)
class Reloading:
    """Reads the sources again while the server serves.

    Attributes:
        reread: reads them; raises ValueError where it cannot.
        keeper: goes by them.
    """

    reread: Callable[[], Sources]
    keeper: Keeper

    async def reload(self) -> str:
        """Reads, looks, and sets about what follows.

        Returns:
            Why the sources or the repository cannot be read, wholly or in part; empty where they
            can.
        """
        try:
            sources = self.reread()
        except ValueError as fault:
            return await self.keeper.refuse_sources(str(fault))
        return await self.keeper.take_sources(sources)
