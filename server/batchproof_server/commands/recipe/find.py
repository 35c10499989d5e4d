"""``batchproof-server recipe find``: which recipe a model was trained with."""

import asyncio
from argparse import Namespace

from batchproof_server.application.config import Config, prepare_engines
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.spread import spread
from batchproof_server.commands.bars import show_bars
from batchproof_server.commands.certify.command import FINDINGS, OK, only_bundle
from batchproof_server.commands.evaluate.command import (
    choose_pictures,
    offline_config,
    tell_fault,
)
from batchproof_server.commands.recipe.report import found_report, hint_report
from batchproof_server.commands.serving import recipe_input, serve_version
from batchproof_server.commands.terminal import write
from batchproof_server.models.discovery import Place
from batchproof_server.offline.datasets.folder import read_unlabelled
from batchproof_server.offline.datasets.pictures import LabelledPicture
from batchproof_server.offline.evaluation.evaluating import class_count, subject_of
from batchproof_server.offline.evaluation.paths import EvaluationFailed
from batchproof_server.offline.recipe_search.answering import ManyRecipes
from batchproof_server.offline.recipe_search.hint import Hint, hint_at
from batchproof_server.offline.recipe_search.result import FoundRecipes, found_recipes
from batchproof_server.offline.recipe_search.searching import mixed
from batchproof_server.offline.recipe_search.served import search_of


def find(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 when the manifest's recipe may be the best or there is none, 1 when it is beaten or the
        model was refused or failed, 2 for wrong usage and for data that cannot be used.
    """
    try:
        config = offline_config(arguments)
        place = only_bundle(arguments.bundle)
        there, pictures = _pictures(arguments, place, config)
        prepare_engines()
        found = asyncio.run(_find(arguments, config, place, (there, pictures)))
    except (ModelRefused, EvaluationFailed, ValueError) as fault:
        return tell_fault(arguments.bundle, fault)
    if isinstance(found, Hint):
        write(found.to_json() if arguments.json else hint_report(found))
        return OK
    write(found.to_json() if arguments.json else found_report(found))
    return FINDINGS if found.is_own_beaten else OK


def _pictures(
    arguments: Namespace, place: Place, config: Config
) -> tuple[int, tuple[LabelledPicture, ...]]:
    if arguments.unlabelled is None:
        return choose_pictures(arguments, place, config)
    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit: {arguments.limit}, expected 1 or more")
    pictures = read_unlabelled(arguments.unlabelled, config.images.max_image_bytes)
    return len(pictures), spread(pictures, arguments.limit)


async def _find(
    arguments: Namespace,
    config: Config,
    place: Place,
    pictures: tuple[int, tuple[LabelledPicture, ...]],
) -> FoundRecipes | Hint:
    async with serve_version(config, place) as serving:
        there, chosen = pictures
        loaded = serving.model.loaded
        model = recipe_input(loaded, config)
        own = loaded.recipe or model.plain()
        data = str(arguments.data or arguments.unlabelled)
        subject = subject_of(loaded, data, len(chosen), there, class_count(loaded))
        with show_bars(len(chosen)) as bars:
            if arguments.unlabelled is not None:
                asker = ManyRecipes(serving.model, serving.core.predict, chosen)
                return await hint_at(asker, model, own, subject, bars.begin)
            search = search_of(
                serving.model, serving.core.predict, model, mixed(chosen), bars.begin
            )
            best = await search.run(own)
        first = search.tried[own.digest]
        has_recipe = loaded.recipe is not None
        return found_recipes(search, best, first, subject, has_recipe=has_recipe)
