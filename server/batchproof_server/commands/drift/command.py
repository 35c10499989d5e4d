"""``batchproof-server drift``: a folder of pictures against the reference profile."""

import asyncio
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path

from batchproof.text import joined
from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import reason_of, write_whole
from batchproof_server.base.spread import spread
from batchproof_server.commands.bars import show_bars
from batchproof_server.commands.certify.command import FINDINGS, OK, USAGE, only_bundle
from batchproof_server.commands.drift.page import drift_page
from batchproof_server.commands.drift.report import drift_report
from batchproof_server.commands.drift.result import DriftResult
from batchproof_server.commands.serving import serve_version
from batchproof_server.commands.terminal import write, write_error
from batchproof_server.drift.comparing import compare
from batchproof_server.drift.profile_form import PROFILE_NAME, KnownProfile, other_libraries
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.models.bundle import read_bundle
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel, model_facts
from batchproof_server.models.profiles import ProfileRefused, read_fitting_profile, read_profile
from batchproof_server.offline.datasets.pictures import LabelledPicture
from batchproof_server.offline.datasets.unlabelled import read_pictures
from batchproof_server.offline.evaluation.evaluating import served_expansion
from batchproof_server.offline.reference_profile.answering import Answering, RecordKeeper
from batchproof_server.tta.plan import Plan


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked for, checked before anything is loaded."""

    config: Config
    place: Place
    data: Path
    pictures_there: int
    pictures: tuple[LabelledPicture, ...]
    profile: Path
    with_tta: bool


def drift(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 when no alert would fire; 1 when one would, or the model or the profile is refused; 2 for
        wrong usage and unusable data.
    """
    try:
        work = _read_work(arguments)
        prepare_engines()
        result = asyncio.run(_compare(work))
        if arguments.html is not None:
            write_whole(arguments.html, drift_page(result))
    except ModelRefused as refused:
        write_error(joined((f"REFUSED, {refused}", *map("  {}".format, refused.findings))))
        return FINDINGS
    except ProfileRefused as refused:
        write_error(str(refused))
        return FINDINGS
    except ValueError as fault:  # settings, data, or a path that is no bundle
        write_error(str(fault))
        return USAGE
    except OSError as fault:
        write_error(f"{fault.filename}: {reason_of(fault)}")
        return USAGE
    write(result.to_json() if arguments.json else drift_report(result))
    if arguments.html is not None and not arguments.json:
        write(f"  wrote         {arguments.html}")
    return FINDINGS if result.alerting else OK


def _read_work(arguments: Namespace) -> _Wanted:
    given = {"proof": {"allow_unproven": True}} if arguments.allow_unproven else {}
    config = read_config(arguments.config, given)
    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit: {arguments.limit}, expected 1 or more")
    place = only_bundle(arguments.bundle)
    profile = arguments.profile or place.directory / PROFILE_NAME
    if not profile.is_file():
        raise ValueError(
            f"{profile}: no such file, expected a reference profile; build it with "
            f"`batchproof-server profile {arguments.bundle} --data LABELLED`"
        )
    read_profile(profile)  # its own faults come before the seconds that loading takes
    labels = read_bundle(place.name, place.version, place.directory).labels
    there = read_pictures(arguments.data, labels, config.images)
    chosen = spread(there, arguments.limit)
    return _Wanted(config, place, arguments.data, len(there), chosen, profile, arguments.tta)


async def _compare(work: _Wanted) -> DriftResult:
    records = RecordKeeper()
    # The profile is read here, because it may be another than that of the bundle.
    config = replace(work.config, drift=DriftSettings(enabled=False))
    async with serve_version(config, work.place, records, watches_inputs=True) as serving:
        loaded = serving.model.loaded
        served_expansion(loaded)
        facts = model_facts(loaded)
        known = KnownProfile.of(read_fitting_profile(work.profile, facts))
        plan = _plan(loaded, known, with_tta=work.with_tta)
        answering = Answering(serving.model, serving.core.predict, records, plan)
        with show_bars(len(work.pictures)) as bars:
            signals = await answering.collect_signals(work.pictures, bars.begin("answering"))
    return DriftResult(
        model=work.place.name,
        version=work.place.version,
        data=str(work.data),
        pictures=len(work.pictures),
        pictures_there=work.pictures_there,
        profile_digest=known.digest,
        reference_pictures=known.profile.pictures,
        notes=other_libraries(known.profile, facts),
        comparison=compare(known.profile, signals),
    )


def _plan(loaded: LoadedModel, known: KnownProfile, *, with_tta: bool) -> Plan | None:
    if not with_tta:
        return None
    if known.profile.tta is None:
        raise ValueError("--tta: the profile has no signals of augmentation; build it with --tta")
    return loaded.tta.plans[known.profile.tta.policy]
