"""``drift --log``: answers that were given, compared; nothing is loaded or executed."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batchproof_server.commands.certify.command import only_bundle
from batchproof_server.commands.drift.profile_file import profile_file
from batchproof_server.commands.drift.result import DriftResult
from batchproof_server.drift.comparing import compare_counts
from batchproof_server.drift.profile_form import KnownProfile
from batchproof_server.models.bundle import read_bundle
from batchproof_server.models.discovery import Place
from batchproof_server.models.profiles import ProfileRefused, read_profile
from batchproof_server.offline.prediction_log.counting import CountedLog, count_log
from batchproof_server.offline.prediction_log.lines import LoggedModel


@dataclass(frozen=True, slots=True)
class WantedLog:
    """What was asked for, checked before the log is read."""

    place: Place
    log: Path
    known: KnownProfile
    skips_faulty: bool


def read_wanted_log(arguments: Namespace) -> WantedLog:
    """Reads what was asked for.

    Raises:
        ValueError: wrong usage.
        ProfileRefused: the profile has faults, or is of another model.
    """
    if arguments.limit is not None:
        raise ValueError("--limit: is of pictures, expected with --data; a log is counted whole")
    if arguments.tta:
        raise ValueError("--tta: a log does not say how its views disagreed, expected with --data")
    place = only_bundle(arguments.bundle)
    file = profile_file(arguments, place)
    profile = read_profile(file)
    digest = read_bundle(place.name, place.version, place.directory).model_digest
    if profile.model_digest != digest:
        came, here = profile.model_digest[:12], digest[:12]
        raise ProfileRefused(
            (f"{file.name}: it is of the model {came}, the bundle's is {here}; build it again",)
        )
    return WantedLog(place, arguments.log, KnownProfile.of(profile), arguments.skip_faulty)


def compare_log(wanted: WantedLog) -> DriftResult:
    """Counts the log, and compares what was counted.

    Raises:
        InvalidData: lines that cannot be used.
        OSError: the log cannot be read.
    """
    known, place = wanted.known, wanted.place
    model = LoggedModel(place.name, place.version, known.profile)
    log = count_log(wanted.log, model, skips_faulty=wanted.skips_faulty)
    return DriftResult(
        model=place.name,
        version=place.version,
        data=str(wanted.log),
        pictures=log.lines - log.left_out.total() - len(log.faults),
        pictures_there=log.lines,
        profile_digest=known.digest,
        reference_pictures=known.profile.pictures,
        notes=tuple(_notes(log)),
        comparison=compare_counts(known.profile, log.counts, log.confidence, knows_scores=False),
        unit="answers",
    )


def _notes(log: CountedLog) -> Iterator[str]:
    for reason, count in sorted(log.left_out.items()):
        yield f"{count:,} lines were left out: {reason}"
    if log.faults:
        count, first = len(log.faults), log.faults[0]
        yield f"{count:,} lines were left out that cannot be used, the first is {first}"
    counted = int(log.counts.bins[0].sum())
    if log.confidence_count < counted:
        yield (
            f"{counted - log.confidence_count:,} answers do not say their confidence exactly: ask "
            "for all probabilities (`batchproof predict --json --probabilities`)"
        )
