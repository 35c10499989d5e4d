"""``batchproof-server profile``: builds, adds up and shows reference profiles."""

from argparse import Namespace
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Final

from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import reason_of, write_whole
from batchproof_server.commands.certify.command import FINDINGS, OK, USAGE, only_bundle
from batchproof_server.commands.evaluate.command import tell_fault
from batchproof_server.commands.opening import open_within
from batchproof_server.commands.profile.build import build
from batchproof_server.commands.profile.report import profile_report
from batchproof_server.commands.terminal import write, write_error
from batchproof_server.drift.merging import CannotMerge, merge_profiles
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.profile_form import ModelFacts, canonical_json, profile_json
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.drift.summarising import CannotProfile
from batchproof_server.models.bundle import has_artefact
from batchproof_server.models.loaded import model_facts
from batchproof_server.models.loading import load_version
from batchproof_server.models.profiles import ProfileRefused, read_fitting_profile, read_profile
from batchproof_server.offline.evaluation import plots
from batchproof_server.offline.reference_profile.plots import draw

_LEAST_PROFILES: Final = 2


def profile(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0; 1 when the model or a profile is refused; 2 for wrong usage and unusable data.
    """
    steps = {"build": build, "merge": _merge, "show": _show}
    try:
        return steps[arguments.step](arguments)
    except ModelRefused as refused:
        return tell_fault(arguments.bundle or arguments.profile, refused)
    except (ProfileRefused, CannotMerge, CannotProfile) as refused:
        write_error(str(refused))
        return FINDINGS
    except ValueError as fault:  # settings, data, or a path that is no bundle
        write_error(str(fault))
        return USAGE
    except OSError as fault:
        write_error(f"{fault.filename}: {reason_of(fault)}")
        return USAGE


def _merge(arguments: Namespace) -> int:
    if len(arguments.profiles) < _LEAST_PROFILES:
        raise ValueError(f"merge: {len(arguments.profiles)} profile, expected two or more")
    parts = [read_profile(file) for file in arguments.profiles]
    whole = reduce(merge_profiles, parts)
    write_whole(arguments.out, profile_json(whole))
    title = f"{len(parts)} profiles together"
    write(profile_report(title, whole, verbose=arguments.verbose))
    write(f"  wrote         {arguments.out}")
    return OK


def _show(arguments: Namespace) -> int:
    shown = _read(arguments)
    if arguments.plots is not None and not plots.is_installed():
        raise ValueError(plots.MISSING)
    report = profile_report(str(arguments.profile), shown, verbose=arguments.verbose)
    write(canonical_json(shown) if arguments.json else report)
    if arguments.plots is not None:
        arguments.plots.mkdir(parents=True, exist_ok=True)
        for file in draw(shown, arguments.plots):
            if not arguments.json:
                write(f"  wrote         {file}")
    return OK


def _read(arguments: Namespace) -> ReferenceProfile:
    file: Path = arguments.profile
    bundle = arguments.bundle or (file.parent if has_artefact(file.parent) else None)
    if bundle is None:
        return read_profile(file)
    read_profile(file)  # its own faults come before the seconds that loading takes
    return read_fitting_profile(file, _load_facts(bundle, read_config(arguments.config, {})))


def _load_facts(bundle: Path, config: Config) -> ModelFacts:
    """What the bundle's profile must be of; the recipe is only known beside its loaded model."""
    place = only_bundle(bundle)
    prepare_engines()
    plugs = replace(loading_plugs(config), prove=None, drift=DriftSettings(enabled=False))
    name = f"{place.name} version {place.version}"
    loaded = open_within(config, name, lambda: load_version(place, plugs))
    loaded.backend.close()
    return model_facts(loaded)
