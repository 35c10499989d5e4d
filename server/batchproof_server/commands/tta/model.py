"""What both ``tta`` commands do first: read settings and data, load and prove the model."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from batchproof_server.application.config import prepare_engines, read_config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.commands.certify.command import only_bundle
from batchproof_server.commands.evaluate.command import chosen_pictures
from batchproof_server.commands.terminal import ProgressLine
from batchproof_server.models.loading import LoadedModel, load_version
from batchproof_server.observing.logs import configure_logs, library_logs
from batchproof_server.offline.datasets.pictures import LabelledPicture, check_classes
from batchproof_server.offline.evaluation.evaluating import (
    class_count,
    served_expansion,
    subject_of,
)
from batchproof_server.offline.evaluation.result import Subject
from batchproof_server.tta.choice import Choice
from batchproof_server.tta.expansion import Expansion


@dataclass(frozen=True, slots=True)
class Studied:
    """A model and the labelled pictures that it is studied on.

    Attributes:
        model: loaded and proven; gives class scores.
        expansion: makes its views.
        choice: its policies.
        pictures: of its classes.
        subject: both, for a result.
    """

    model: LoadedModel
    expansion: Expansion
    choice: Choice
    pictures: tuple[LabelledPicture, ...]
    subject: Subject


@contextmanager
def studied(arguments: Namespace) -> Iterator[Studied]:
    """The model of ``arguments.bundle``, loaded as the server loads it, until the context ends.

    Raises:
        ValueError: settings, data or paths cannot be used.
        ModelRefused: the bundle.
    """
    given = {"proof": {"allow_unproven": True}} if arguments.allow_unproven else {}
    config = read_config(arguments.config, given)
    place = only_bundle(arguments.bundle)
    there, pictures = chosen_pictures(arguments, place, config)
    prepare_engines()
    with library_logs(configure_logs("error", config.log.format, sys.stderr)):
        model = load_version(place, loading_plugs(config, ProgressLine(sys.stderr)))
        try:
            expansion = served_expansion(model)
            classes = class_count(model)
            check_classes(pictures, classes)
            subject = subject_of(model, str(arguments.data), len(pictures), there, classes)
            yield Studied(model, expansion, model.tta, pictures, subject)
        finally:
            model.backend.close()
