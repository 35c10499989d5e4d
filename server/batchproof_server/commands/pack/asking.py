"""What the model itself is asked while it is packed: its answers, under which recipe, how good."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.errors import InvalidInput, ModelRefused, ServingError
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.base.spread import spread
from batchproof_server.commands.bars import show_bars
from batchproof_server.commands.certify.command import Proof
from batchproof_server.commands.profile.build import profiled_model, profiling_config
from batchproof_server.commands.serving import Serving, recipe_input, serve_version
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.summarising import MIN_PICTURES, summarise
from batchproof_server.imaging.recipe import Recipe, compile_recipe
from batchproof_server.imaging.settings import RecipeSettings
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.offline.asking import ask
from batchproof_server.offline.datasets.pictures import LabelledPicture, truth_of
from batchproof_server.offline.evaluation.evaluating import subject_of
from batchproof_server.offline.inspection.inspecting import Inspection
from batchproof_server.offline.recipe_search.result import FoundRecipes, found_recipes
from batchproof_server.offline.recipe_search.searching import FEWEST_PICTURES, mixed
from batchproof_server.offline.recipe_search.served import search_of
from batchproof_server.offline.reference_profile.answering import Answering, RecordKeeper
from batchproof_server.serving.request import NO_DEADLINE_S, PredictRequest

SEARCHED_PICTURES: Final = 300
"""Under which recipes are tried; with more, only filters and decoders would be told apart."""
_ANSWERED_PICTURES: Final = 32
_NOISE_ROWS: Final = 8
_REQUEST_ROWS: Final = 8
# What inputs of picture models are made of: levels, shares of them, and both about zero.
_NOISE_RANGES: Final = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))


def compiled(
    inspection: Inspection, config: Config, loaded: LoadedModel, settings: RecipeSettings
) -> Recipe:
    """The recipe against the input of the model.

    Raises:
        InvalidSettings: it does not fit; every fault is named.
    """
    imaging = loading_plugs(config).imaging(loaded.bundle.kind)
    return compile_recipe(settings, inspection.signature.inputs[0], imaging, config.images)


async def answers_of(
    serving: Serving, recipe: Recipe, pictures: Sequence[LabelledPicture]
) -> dict[str, Array]:
    """What each output gives to noise and to a few pictures, by name: [rows, ...].

    Args:
        serving: the model, of one input.
        recipe: makes rows of the pictures; those that it refuses are left out.
        pictures: any number.

    Raises:
        ModelRefused: the model fails.
    """
    spec = serving.model.loaded.backend.signature.inputs[0]
    rows = _noise(spec, recipe)
    for picture in spread(pictures, _ANSWERED_PICTURES):
        try:
            rows.append(recipe.apply(picture.read()))
        except (InvalidInput, OSError):
            continue
    parts = []
    for first in range(0, len(rows), _REQUEST_ROWS):
        tensors = {spec.name: np.stack(rows[first : first + _REQUEST_ROWS])}
        request = PredictRequest(serving.model, NO_DEADLINE_S, tensors=tensors)
        try:
            parts.append((await ask(serving.core.predict, request)).outputs)
        except ServingError as failed:
            raise ModelRefused("the model does not answer", (str(failed),)) from failed
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _noise(spec: TensorSpec, recipe: Recipe) -> list[Array]:
    """Of an input of any size as large as the recipe makes it."""
    random = np.random.default_rng(1)
    resize, sizes = recipe.plan.resize, spec.row_shape
    if None in sizes and resize is not None:
        sizes = (resize.height, resize.width, recipe.channels)
    ranges = _NOISE_RANGES[:1] if spec.dtype == np.uint8 else _NOISE_RANGES
    return [
        random.uniform(low, high, [size or 1 for size in sizes]).astype(spec.dtype)
        for low, high in ranges
        for _ in range(_NOISE_ROWS)
    ]


async def find_recipe(
    serving: Serving,
    config: Config,
    own: Recipe,
    pictures: Sequence[LabelledPicture],
    data: str,
) -> FoundRecipes | None:
    """Tries recipes on some of the pictures; None where there are too few to say anything.

    Raises:
        InvalidData: pictures that cannot be read or are of no class.
        EvaluationFailed: the model failed.
    """
    if len(pictures) < FEWEST_PICTURES:
        return None
    loaded = serving.model.loaded
    chosen = mixed(spread(pictures, SEARCHED_PICTURES))
    subject = subject_of(loaded, data, len(chosen), len(pictures), loaded.classes)
    with show_bars(len(chosen)) as bars:
        model = recipe_input(loaded, config)
        search = search_of(serving.model, serving.core.predict, model, chosen, bars.begin)
        best = await search.run(own)
    return found_recipes(search, best, search.tried[own.digest], subject, has_recipe=True)


@dataclass(frozen=True, slots=True)
class Proven:
    """A whole bundle, proven and measured.

    Attributes:
        proof: with the certificate.
        profile: None where there are too few pictures, or none.
        training_profile: of the pictures that it was trained on; likewise.
    """

    proof: Proof
    profile: ReferenceProfile | None
    training_profile: ReferenceProfile | None


async def prove_and_profile(
    place: Place,
    config: Config,
    scratch: Path,
    pictures: Sequence[LabelledPicture],
    training_pictures: Sequence[LabelledPicture],
) -> Proven:
    """Serves the bundle as ``serve`` would, and has it answer the pictures.

    Args:
        place: of the bundle.
        config: as the server has it.
        scratch: an empty directory that lasts as long as the proof is used.
        pictures: for the profile.
        training_pictures: for that of what it was trained on.

    Raises:
        ModelRefused: it failed its proof, which the configuration does not allow.
        InvalidData: pictures that cannot be read or are refused.
        CannotProfile: the answers make no profile.
    """
    proof = replace(config.proof, reuse_certificates=False, certificate_directory=str(scratch))
    records = RecordKeeper()
    proving = profiling_config(replace(config, proof=proof))
    async with serve_version(proving, place, records, watches_inputs=True) as serving:
        loaded = serving.model.loaded
        if loaded.certificate is None:
            raise ModelRefused("no proof was made")  # unreachable: the plugs prove
        took_s = dict(zip(loaded.batching.buckets_rows, loaded.execution_s, strict=True))
        proven = Proof(loaded.certificate, took_s, scratch)
        profile = await _profile(serving, records, pictures, "reference profile")
        trained = await _profile(serving, records, training_pictures, "training profile")
        return Proven(proven, profile, trained)


async def _profile(
    serving: Serving, records: RecordKeeper, pictures: Sequence[LabelledPicture], title: str
) -> ReferenceProfile | None:
    """Of the answers to these pictures; None where they are too few."""
    if len(pictures) < MIN_PICTURES:
        return None
    loaded = serving.model.loaded
    answering = Answering(serving.model, serving.core.predict, records)
    with show_bars(len(pictures)) as bars:
        signals = await answering.collect_signals(pictures, bars.begin(title))
    truth = truth_of(pictures, loaded.classes, is_multi_label=loaded.output.is_multi_label)
    return summarise(profiled_model(loaded), signals, truth)
