"""Everything before the first measured request: what cannot be done is found here."""

from collections.abc import Sequence
from typing import Final

import grpc

from batchproof_client.client import AsyncClient
from batchproof_client.connection import Endpoint
from batchproof_client.errors import error_of
from batchproof_client.loadtest.batchproof_target import (
    BatchproofComposer,
    BatchproofTarget,
    describe,
)
from batchproof_client.loadtest.items import Composer, Item, build
from batchproof_client.loadtest.mix import Kind
from batchproof_client.loadtest.open_inference_target import (
    OpenInferenceComposer,
    OpenInferenceTarget,
    describe_models,
)
from batchproof_client.loadtest.settings import LoadSettings
from batchproof_client.loadtest.target import ProtocolName, Target

# A lone request that ends so will do no better under load.
_HOPELESS: Final = {
    code.name
    for code in (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAVAILABLE,
    )
}


async def prepare(settings: LoadSettings, endpoint: Endpoint, timeout_s: float) -> tuple[Item, ...]:
    """Asks for the models, builds all items, and sends the first item of each kind.

    Raises:
        BatchproofError: the server cannot be reached, does not serve a model, or refuses a request
            that it would refuse every time.
        LocalInputError: an input cannot be read or sent.
    """
    composer = await _composer(settings, endpoint, timeout_s)
    seed = settings.pace.seed
    built = [build([kind], settings.corruption, composer, seed) for kind in settings.kinds]
    await _try([items[0] for items in built], endpoint, settings.protocol, timeout_s)
    return _weighed(settings.kinds, built)


async def _composer(settings: LoadSettings, endpoint: Endpoint, timeout_s: float) -> Composer:
    if settings.protocol == "oip":
        return OpenInferenceComposer(await describe_models(endpoint, settings.kinds, timeout_s))
    async with AsyncClient(
        endpoint.target, timeout_s=timeout_s, tls=endpoint.tls, metadata=endpoint.metadata
    ) as client:
        models = await describe(client, settings.kinds)
    return BatchproofComposer(models, every_value=settings.judgement.check_identical)


async def _try(
    items: Sequence[Item], endpoint: Endpoint, protocol: ProtocolName, timeout_s: float
) -> None:
    target = open_target(endpoint, protocol, keep_answers=False)
    try:
        for item in items:
            outcome = (await target.send(item, timeout_s)).to(item)
            if outcome.code in _HOPELESS:
                raise error_of(grpc.StatusCode[outcome.code], outcome.detail)
    finally:
        await target.close()


def open_target(endpoint: Endpoint, protocol: ProtocolName, *, keep_answers: bool) -> Target:
    """Opens one connection.

    Raises:
        LocalInputError: a file that the TLS options name cannot be read.
    """
    kind = OpenInferenceTarget if protocol == "oip" else BatchproofTarget
    return kind(endpoint, keep_answers=keep_answers)


def _weighed(kinds: Sequence[Kind], built: Sequence[tuple[Item, ...]]) -> tuple[Item, ...]:
    """The items of all kinds; names say the kind when there are several."""
    if len(kinds) == 1:
        return built[0]
    return tuple(
        Item(f"{item.name} ({kind.name})", item.message, item.weight, item.rows, item.stream)
        for kind, items in zip(kinds, built, strict=True)
        for item in items
    )
