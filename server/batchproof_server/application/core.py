"""The core: everything between a request and its answer, without a port."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.clock import Clock, MonotonicClock
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.events import Observer
from batchproof_server.models.discovery import Place
from batchproof_server.models.loader import Loader
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.models.served import ServedModel
from batchproof_server.models.thread_loader import ThreadLoader
from batchproof_server.models.versions import Versions
from batchproof_server.proof.settings import Tell, silent
from batchproof_server.serving.off_loop import OffLoop
from batchproof_server.serving.predictor import Predictor, SealRows
from batchproof_server.serving.request import Prediction, PredictRequest, Refusal


@dataclass(frozen=True, slots=True)
class Told:
    """Who hears of what happens in a core.

    Attributes:
        observer: of every event.
        progress: of proofs, on the loading thread.
        unforeseen: of what loading failed with and nobody foresaw.
    """

    observer: Observer
    progress: Tell = silent
    unforeseen: Callable[[Exception], None] = lambda _failure: None


# Contract: lives on one loop. Whoever answers pictures or tensors asks this: the server for its
# callers, and every offline command. Nothing else composes these parts.
@dataclass(frozen=True, slots=True)
class Core:
    """Versions, and what answers requests to them.

    Attributes:
        versions: the life of every version.
        loader: makes one answer.
        predictor: answers.
        off_loop: the threads beside the loop.
        clock: of all of them.
    """

    versions: Versions
    loader: Loader
    predictor: Predictor
    off_loop: OffLoop
    clock: Clock

    async def predict(self, requests: Sequence[PredictRequest]) -> list[Prediction | Refusal]:
        """Answers several requests together, in their order; one that fails spoils no other."""
        return await self.predictor.predict_each(requests)

    async def load(self, place: Place) -> ServedModel:
        """Loads a version for the caller alone, who closes it.

        Raises:
            ModelRefused: with the findings.
        """
        try:
            return await self.loader.load(place, lambda _step: None)
        except ModelRefused as refused:
            findings = refused.findings or (str(refused),)
            text = f"{place.name} version {place.version} cannot be loaded"
            raise ModelRefused(text, findings) from refused

    def close(self) -> None:
        """Releases every version and the threads."""
        self.off_loop.close()
        self.versions.close()


def build_core(
    config: Config,
    told: Told,
    places: tuple[Place, ...] = (),
    *,
    plugs: Callable[[Config, Tell], LoadingPlugs] = loading_plugs,
    watches_inputs: bool = False,
    seal_rows: SealRows | None = None,
) -> Core:
    """Composes a core; loads nothing.

    Args:
        config: what the user set.
        told: who hears of what happens.
        places: the versions that are known from the start.
        plugs: what bundles may name.
        watches_inputs: whether observers are told what inputs are like, even where a version has no
            reference profile.
        seal_rows: makes the handles of answers; None gives them none.

    Raises:
        ValueError: a version label stands for a version that is not among the places.
    """
    clock = MonotonicClock()
    loader = ThreadLoader(
        plugs=partial(plugs, config),
        tell=told.progress,
        clock=clock,
        observer=told.observer,
        self_check=config.self_check,
        execution=config.execution,
        max_request_rows=config.requests.max_request_rows,
        max_request_views=config.requests.max_request_views,
        watches_inputs=watches_inputs,
    )
    versions = Versions(
        places,
        config.version_labels,
        loader=loader,
        observer=told.observer,
        clock=clock,
        report_unforeseen=told.unforeseen,
    )
    off_loop = OffLoop(config.decoding, clock, told.observer)
    predictor = Predictor(config.requests, off_loop, clock, told.observer, seal_rows=seal_rows)
    return Core(versions, loader, predictor, off_loop, clock)
