"""The model that a command asks: loaded and proven as the server does it, without a port."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from batchproof_server.application.config import Config
from batchproof_server.application.core import Core, Told, build_core
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.events import Subscriber
from batchproof_server.commands.terminal import ProgressLine
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.models.served import ServedModel
from batchproof_server.observing.fan_out import Observers
from batchproof_server.observing.library_logs import capture_library_logs
from batchproof_server.observing.logs import LogObserver, configure_logs
from batchproof_server.offline.recipe_search.candidates import RecipeInput
from batchproof_server.proof.settings import Tell
from batchproof_server.shadowing.settings import ShadowSettings


@dataclass(frozen=True, slots=True)
class Serving:
    """A model, and what answers requests to it."""

    model: ServedModel
    core: Core


@asynccontextmanager
async def serve_version(
    config: Config,
    place: Place,
    *subscribers: Subscriber,
    watches_inputs: bool = False,
    to_prove: bool = True,
) -> AsyncIterator[Serving]:
    """Loads a version and serves it to this command, until the context ends.

    Args:
        config: what the user set.
        place: of the version.
        subscribers: are told of events.
        watches_inputs: see ``build_core``.
        to_prove: without a proof it answers on the library that it was made with, and nothing says
            that its answers are those of any other micro-batch.

    Raises:
        ModelRefused: with the findings.
    """
    logger = configure_logs("error", config.log.format, sys.stderr)
    unforeseen = LogObserver(logger).write_failure
    observer = Observers(subscribers, on_failure=unforeseen)
    told = Told(observer, ProgressLine(sys.stderr), unforeseen)
    # Nobody waits at a queue of his own making, and nobody else is there whose answers to check.
    alone = replace(
        config,
        self_check=replace(config.self_check, share=0.0),
        version_labels={},
        shadow=ShadowSettings(),
    )
    plugs = loading_plugs if to_prove else _unproving
    core = build_core(alone, told, plugs=plugs, watches_inputs=watches_inputs)
    with capture_library_logs(logger):
        try:
            model = await core.load(place)
            try:
                yield Serving(model, core)
            finally:
                model.close()
        finally:
            core.close()


def _unproving(config: Config, tell: Tell) -> LoadingPlugs:
    return replace(loading_plugs(config, tell), prove=None)


def recipe_input(loaded: LoadedModel, config: Config) -> RecipeInput:
    """What recipes for the model are compiled against.

    Raises:
        ValueError: the model has several inputs.
    """
    inputs = loaded.backend.signature.inputs
    if len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs)
        raise ValueError(f"the model has the inputs {names}, expected one that takes pictures")
    return RecipeInput(inputs[0], loading_plugs(config).imaging(loaded.bundle.kind), config.images)
