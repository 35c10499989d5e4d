"""What both ``tta`` commands do first: read settings and data, load and prove the model."""

from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from batchproof_server.application.config import prepare_engines
from batchproof_server.commands.certify.command import only_bundle
from batchproof_server.commands.evaluate.command import choose_pictures, offline_config
from batchproof_server.commands.serving import Serving, serve_version
from batchproof_server.offline.asking import Count
from batchproof_server.offline.datasets.pictures import LabelledPicture, truth_of
from batchproof_server.offline.evaluation.augmentation.running import Runner
from batchproof_server.offline.evaluation.evaluating import (
    class_count,
    served_recipe,
    subject_of,
)
from batchproof_server.offline.evaluation.result import EvaluatedModel
from batchproof_server.tta.choice import Choice


@dataclass(frozen=True, slots=True)
class Studied:
    """A model and the labelled pictures that it is studied on.

    Attributes:
        serving: the model, loaded and proven; takes pictures and gives class scores.
        choice: its policies.
        pictures: of its classes.
        subject: both, for a result.
    """

    serving: Serving
    choice: Choice
    pictures: tuple[LabelledPicture, ...]
    subject: EvaluatedModel

    def runner(self, count: Count) -> Runner:
        """Asks for the pictures one at a time; ``count`` learns of the progress."""
        core = self.serving.core
        return Runner(self.serving.model, core.predict, core.clock.now_s, count)


@asynccontextmanager
async def open_study(arguments: Namespace) -> AsyncIterator[Studied]:
    """The model of ``arguments.bundle``, loaded as the server loads it, until the context ends.

    Raises:
        ValueError: settings, data or paths cannot be used.
        ModelRefused: the bundle.
    """
    config = offline_config(arguments)
    place = only_bundle(arguments.bundle)
    there, pictures = choose_pictures(arguments, place, config)
    prepare_engines()
    async with serve_version(config, place) as serving:
        model = serving.model.loaded
        served_recipe(model)
        classes = class_count(model)
        if model.output.is_multi_label:
            raise ValueError(
                "tta: these studies compare single classes, and the model has independent labels; "
                "serve and evaluate augment it without them"
            )
        truth_of(pictures, classes)
        subject = subject_of(model, str(arguments.data), len(pictures), there, classes)
        yield Studied(serving, model.tta, pictures, subject)
