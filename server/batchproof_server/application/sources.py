"""Where versions lie and what is wanted of them: a path, or TensorFlow Serving's configuration."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from batchproof_server.application.config import Config
from batchproof_server.base.errors import OrderNotKept
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.models.discovery import Place
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.looking import Sources, found_at, look_at, look_at_models
from batchproof_server.rpc.management.keeping import Keep
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


@dataclass(frozen=True, slots=True)
class Reloading:
    """Reads the sources again while the server serves.

    Attributes:
        reread: reads them; raises ValueError where it cannot.
        keeper: goes by them.
        keep: writes what was ordered, as far as the configuration says something else; None where
            orders end with the server.
        tell_unkept: told why that was not possible at the start.
    """

    reread: Callable[[], Sources]
    keeper: Keeper
    keep: Keep | None
    tell_unkept: Callable[[str], None]

    async def begin(self) -> None:
        """Loads what is wanted."""
        await self.keeper.begin()
        if unkept := await self._keep():
            self.tell_unkept(unkept)

    async def reload(self) -> str:
        """Reads, looks, and sets about what follows.

        Returns:
            Why the sources or the repository cannot be read, wholly or in part, or orders not be
            kept; empty where all is well.
        """
        try:
            sources = self.reread()
        except ValueError as fault:
            return await self.keeper.refuse_sources(str(fault))
        failures = await self.keeper.take_sources(sources), await self._keep()
        return "; ".join(filter(None, failures))

    async def _keep(self) -> str:
        try:
            if self.keep is not None:
                await self.keep()
        except OrderNotKept as unkept:
            return str(unkept)
        return ""
