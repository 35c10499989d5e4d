"""``drift --data``: pictures are answered, and the answers compared."""

from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path

from batchproof_server.application.config import Config, read_config
from batchproof_server.base.spread import spread
from batchproof_server.commands.bars import show_bars
from batchproof_server.commands.certify.command import only_bundle
from batchproof_server.commands.drift.profile_file import profile_file
from batchproof_server.commands.drift.result import DriftResult
from batchproof_server.commands.serving import serve_version
from batchproof_server.drift.comparing import compare
from batchproof_server.drift.profile_form import KnownProfile, other_libraries
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.models.bundle import read_bundle
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel, model_facts
from batchproof_server.models.profiles import read_fitting_profile, read_profile
from batchproof_server.offline.datasets.pictures import LabelledPicture
from batchproof_server.offline.datasets.unlabelled import read_pictures
from batchproof_server.offline.evaluation.evaluating import served_expansion
from batchproof_server.offline.reference_profile.answering import Answering, RecordKeeper
from batchproof_server.tta.plan import Plan


@dataclass(frozen=True, slots=True)
class WantedPictures:
    """What was asked for, checked before anything is loaded."""

    config: Config
    place: Place
    data: Path
    pictures_there: int
    pictures: tuple[LabelledPicture, ...]
    profile: Path
    with_tta: bool


def read_wanted_pictures(arguments: Namespace) -> WantedPictures:
    """Reads what was asked for.

    Raises:
        ValueError: wrong usage, or data that cannot be used.
        ProfileRefused: the profile has faults.
    """
    given = {"proof": {"allow_unproven": True}} if arguments.allow_unproven else {}
    config = read_config(arguments.config, given)
    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit: {arguments.limit}, expected 1 or more")
    if arguments.skip_faulty:
        raise ValueError("--skip-faulty: is of the lines of a log, expected with --log")
    place = only_bundle(arguments.bundle)
    profile = profile_file(arguments, place)
    read_profile(profile)  # its own faults come before the seconds that loading takes
    labels = read_bundle(place.name, place.version, place.directory).labels
    there = read_pictures(arguments.data, labels, config.images)
    chosen = spread(there, arguments.limit)
    return WantedPictures(config, place, arguments.data, len(there), chosen, profile, arguments.tta)


async def compare_pictures(wanted: WantedPictures) -> DriftResult:
    """Has the pictures answered, and compares them.

    Raises:
        ValueError: data that cannot be used.
        ModelRefused: the model cannot be loaded.
        ProfileRefused: the profile is of another model or recipe.
    """
    records = RecordKeeper()
    # The profile is read here, because it may be another than that of the bundle.
    config = replace(wanted.config, drift=DriftSettings(enabled=False))
    async with serve_version(config, wanted.place, records, watches_inputs=True) as serving:
        loaded = serving.model.loaded
        served_expansion(loaded)
        facts = model_facts(loaded)
        known = KnownProfile.of(read_fitting_profile(wanted.profile, facts))
        plan = _plan(loaded, known, with_tta=wanted.with_tta)
        answering = Answering(serving.model, serving.core.predict, records, plan)
        with show_bars(len(wanted.pictures)) as bars:
            signals = await answering.collect_signals(wanted.pictures, bars.begin("answering"))
    return DriftResult(
        model=wanted.place.name,
        version=wanted.place.version,
        data=str(wanted.data),
        pictures=len(wanted.pictures),
        pictures_there=wanted.pictures_there,
        profile_digest=known.digest,
        reference_pictures=known.profile.pictures,
        notes=other_libraries(known.profile, facts),
        comparison=compare(known.profile, signals),
        engine=loaded.backend.engine,
    )


def _plan(loaded: LoadedModel, known: KnownProfile, *, with_tta: bool) -> Plan | None:
    if not with_tta:
        return None
    if known.profile.tta is None:
        raise ValueError("--tta: the profile has no signals of augmentation; build it with --tta")
    return loaded.tta.plans[known.profile.tta.policy]
