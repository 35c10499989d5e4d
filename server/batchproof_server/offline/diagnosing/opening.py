"""Opens what measures pictures for one model, and measures its reference pictures."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.spread import spread
from batchproof_server.diagnosis.case import DiagnosedModel
from batchproof_server.diagnosis.checks.picture import LEAST_REFERENCE_PICTURES
from batchproof_server.diagnosis.mistakes import usual_mistakes
from batchproof_server.diagnosis.training_curve import TRAINING_NAME, TrainingCurve
from batchproof_server.diagnosis.views import ALL_VIEWS, BLUR_SHARES
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.imaging.recipe import pillow_plugs
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.profiles import ProfileRefused, read_profile
from batchproof_server.offline.asking import Count
from batchproof_server.offline.datasets.pictures import InvalidData
from batchproof_server.offline.diagnosing.asking import OtherEngine, RowAsker
from batchproof_server.offline.diagnosing.measuring import Measurer, small_picture
from batchproof_server.offline.diagnosing.modes import ModeAsker
from batchproof_server.offline.diagnosing.perturbing import Perturbed, Perturber
from batchproof_server.offline.diagnosing.reference import ReferenceFigures, measure_reference
from batchproof_server.offline.diagnosing.reference_pictures import (
    MOST_REFERENCE_PICTURES,
    reference_pictures,
)
from batchproof_server.offline.diagnosing.training import (
    TRAINING_PROFILE_NAME,
    read_training_curve,
)
from batchproof_server.offline.evaluation.evaluating import served_expansion

_REFERENCE_S: Final = 2.0
"""What the reference pictures may take to execute on this machine."""
_LEAST_CURVES: Final = 4
"""Of a slow model only so many reference pictures are changed in every way, and all are turned."""


def _untold(_work: str, _pictures: int) -> Count:
    return lambda _done: None


async def open_measurer(
    asker: RowAsker,
    bundle: Path,
    modes: ModeAsker | str,
    references: int | None = None,
    others: tuple[OtherEngine, ...] = (),
    begin: Callable[[str, int], Count] = _untold,
) -> Measurer:
    """What measures pictures for a model; measures its reference pictures.

    Args:
        asker: of a model that is loaded and proven.
        bundle: its directory.
        modes: or why the artefact cannot be asked in every mode.
        references: the most pictures to compare with; None takes what this machine executes in
            about two seconds.
        others: engines to compare with.
        begin: told of the work and of its pictures; returns what is told how many are done.

    Raises:
        InvalidData: the model takes no pictures, or its classes do not exclude each other.
        ModelRefused: what the bundle says of the training cannot be used.
        ServingError: the model failed on a reference picture.
    """
    loaded = asker.loaded
    expansion = served_expansion(loaded)
    if loaded.output.is_multi_label:
        raise InvalidData([_SEVERAL_LABELS])
    plugs = pillow_plugs()
    loaded.bundle.kind.add_flavour(plugs)
    spec = loaded.backend.signature.inputs[0]
    mistakes = await asker.run(partial(usual_mistakes, expansion.recipe, spec, plugs))
    perturber = Perturber(asker, expansion, mistakes.framings[0].levels)
    labels = loaded.bundle.labels or tuple(map(str, range(loaded.classes)))
    in_time = _pictures_in_time(loaded) if references is None else references
    limit = max(LEAST_REFERENCE_PICTURES, in_time) if references is None else references
    pictures = await asker.run(partial(reference_pictures, bundle, expansion.recipe, limit))
    changed = spread(pictures, max(_LEAST_CURVES, in_time))
    count, perturbed = begin("reference pictures", len(pictures)), list[Perturbed]()
    for each in pictures:
        change = perturber.perturb if each in changed else perturber.turn
        perturbed.append(await change(small_picture(each.picture, expansion.recipe)))
        count(len(perturbed))
    reference = ReferenceFigures(pictures, tuple(perturbed), labels)
    return Measurer(
        asker=asker,
        mistakes=mistakes,
        perturber=perturber,
        reference=reference,
        measures=await measure_reference(reference, asker.run),
        modes=modes,
        subject=_subject(loaded, bundle, labels, expansion.recipe.canonical_json),
        others=others,
    )


def _subject(
    loaded: LoadedModel, bundle: Path, labels: tuple[str, ...], recipe: str
) -> DiagnosedModel:
    certificate = loaded.certificate
    return DiagnosedModel(
        model=loaded.bundle.name,
        version=loaded.bundle.version,
        engine=loaded.backend.engine,
        labels=labels,
        recipe=recipe,
        verdict="" if certificate is None else certificate.verdict,
        profile=None if loaded.profile is None else loaded.profile.profile,
        training_profile=_training_profile(bundle, labels),
        training_curve=_training_curve(bundle),
    )


_SEVERAL_LABELS: Final = (
    "the model answers with sets of labels; expected classes that exclude each other: a diagnosis "
    "of several labels is not offered yet"
)


def _training_profile(bundle: Path, labels: tuple[str, ...]) -> ReferenceProfile | None:
    file = bundle / TRAINING_PROFILE_NAME
    if not file.exists():
        return None
    try:
        profile = read_profile(file)
    except ProfileRefused as refused:
        raise _unusable(file, refused.findings) from refused
    if tuple(each.label for each in profile.classes) != labels:
        raise _unusable(file, ("its classes are not those of the model",))
    return profile


def _training_curve(bundle: Path) -> TrainingCurve | None:
    file = bundle / TRAINING_NAME
    if not file.exists():
        return None
    try:
        return read_training_curve(file)
    except InvalidData as unusable:
        raise _unusable(file, unusable.faults) from unusable


def _unusable(file: Path, faults: Sequence[str]) -> ModelRefused:
    """Says what is wrong with a file of the bundle, which is no fault of whoever asks."""
    said = [fault.removeprefix(f"{file}: ").removeprefix(f"{file.name}: ") for fault in faults]
    more = f", and {len(said) - 1} more" if len(said) > 1 else ""
    return ModelRefused(f"{file.name} of the bundle cannot be used: {said[0]}{more}", tuple(said))


def _pictures_in_time(loaded: LoadedModel) -> int:
    """How many reference pictures may be changed in every way."""
    times = loaded.execution_s
    if not times:
        return MOST_REFERENCE_PICTURES
    row_s = times[-1] / loaded.batching.buckets_rows[-1]
    rows = len(ALL_VIEWS) + len(BLUR_SHARES) + 1
    return min(MOST_REFERENCE_PICTURES, int(_REFERENCE_S / max(row_s * rows, 1e-9)))
