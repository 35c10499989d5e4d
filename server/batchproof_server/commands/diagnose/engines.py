"""The other engines that can execute a model, to compare with the one that answers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from batchproof_server.application.config import Config
from batchproof_server.backends import plug_list
from batchproof_server.backends.engine import Engine
from batchproof_server.base.errors import ModelRefused
from batchproof_server.commands.serving import serve_version
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.offline.diagnosing.asking import OtherEngine, asker_of_core


@asynccontextmanager
async def serve_on_others(
    config: Config, place: Place, loaded: LoadedModel
) -> AsyncIterator[tuple[OtherEngine, ...]]:
    """Loads a version once more on each engine that may execute it, until the context ends.

    What converts the model is proven first, since a conversion that fails may answer anything.

    Args:
        config: what the user set.
        place: of the version.
        loaded: the version on the engine that answers.
    """
    async with AsyncExitStack() as opened:
        yield tuple(
            [
                await _open(opened, config, place, engine)
                for engine in plug_list.engines()
                if engine.is_installed
                and engine.executes(loaded.bundle.kind)
                and loaded.backend.engine.partition(" ")[0] != engine.name
            ]
        )


async def _open(
    opened: AsyncExitStack, config: Config, place: Place, engine: Engine
) -> OtherEngine:
    named = replace(config, engine=replace(config.engine, name=engine.name))
    serving_on = serve_version(named, place, to_prove=engine.conversion is not None)
    try:
        serving = await opened.enter_async_context(serving_on)
    except ModelRefused as refused:
        reasons = refused.findings or (str(refused),)
        return OtherEngine(engine.name, None, f"it does not execute the model: {reasons[0]}")
    asker = asker_of_core(serving.model, serving.core.predict)
    return OtherEngine(serving.model.loaded.backend.engine, asker)
