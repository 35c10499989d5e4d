"""``batchproof-server diagnose``: why a picture gets its answer, without a server."""

import asyncio
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchproof_server.application.config import Config, prepare_engines
from batchproof_server.base.clock import MonotonicClock
from batchproof_server.base.errors import InvalidInput, ModelRefused, ServingError
from batchproof_server.base.files import STANDARD_INPUT, read_named, reason_of, write_whole
from batchproof_server.commands.bars import show_bars
from batchproof_server.commands.certify.command import FINDINGS, OK, USAGE, only_bundle
from batchproof_server.commands.diagnose.engines import serve_on_others
from batchproof_server.commands.evaluate.command import (
    offline_config,
    open_keras,
    tell_fault,
)
from batchproof_server.commands.serving import serve_version
from batchproof_server.commands.terminal import write, write_error
from batchproof_server.diagnosis.case import Given
from batchproof_server.diagnosis.document import diagnoses_json
from batchproof_server.diagnosis.page import page
from batchproof_server.diagnosis.text import diagnosis_text, one_line, summary_text
from batchproof_server.diagnosis.verdict import Diagnosis, diagnose
from batchproof_server.models.discovery import Place
from batchproof_server.offline.asking import Count
from batchproof_server.offline.diagnosing.asking import asker_of_core
from batchproof_server.offline.diagnosing.given import read_given
from batchproof_server.offline.diagnosing.measuring import Measurer
from batchproof_server.offline.diagnosing.modes import ModeAsker
from batchproof_server.offline.diagnosing.opening import open_measurer


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """What a run of the command comes to.

    Attributes:
        diagnoses: in the order of the pictures.
        refused: a sentence for each picture that cannot be used.
        reference_s: what measuring the reference pictures took.
        pictures_s: what all pictures took.
    """

    diagnoses: tuple[Diagnosis, ...]
    refused: tuple[str, ...]
    reference_s: float
    pictures_s: float


def diagnose_pictures(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 when every picture was diagnosed, 1 when the model was refused or failed, 2 for wrong
        usage and for what cannot be used.
    """
    try:
        config = offline_config(arguments)
        place = only_bundle(arguments.bundle)
        files = picture_files(arguments.pictures)
        _check_one(arguments, files)
        prepare_engines()
        done = asyncio.run(_diagnose(arguments, config, place, files))
    except (ModelRefused, ValueError) as fault:
        return tell_fault(arguments.bundle, fault)
    except ServingError as failed:
        write_error(str(failed))
        return FINDINGS
    return _tell(arguments, done)


def picture_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The files, and all files below the folders, hidden ones left out.

    Raises:
        ValueError: a path is not there, or there is no file.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [each for each in sorted(path.rglob("*")) if each.is_file()]
            files += [each for each in inside if not each.name.startswith(".")]
        elif path.is_file() or path == STANDARD_INPUT:
            files.append(path)
        else:
            raise ValueError(f"{path}: no such picture, expected a file or a folder")
    if not files:
        raise ValueError(f"{', '.join(map(str, paths))}: no picture in it")
    return tuple(files)


def _check_one(arguments: Namespace, files: Sequence[Path]) -> None:
    given = [name for name in ("tensor", "scores") if getattr(arguments, name) is not None]
    if given and len(files) > 1:
        raise ValueError(f"--{given[0]}: is of one picture, and there are {len(files)}")
    if arguments.html is not None and not arguments.html.parent.is_dir():
        raise ValueError(f"--html: {arguments.html.parent} is no folder")


async def _diagnose(
    arguments: Namespace, config: Config, place: Place, files: Sequence[Path]
) -> Diagnosed:
    clock = MonotonicClock()
    async with (
        serve_version(config, place) as serving,
        serve_on_others(config, place, serving.model.loaded) as others,
    ):
        model = serving.model
        began_s = clock.now_s()
        source, reason = open_keras(model.loaded.bundle, config)
        modes = f"Keras: {reason}" if source is None else ModeAsker(model.loaded, source, clock)
        asker = asker_of_core(model, serving.core.predict)
        with show_bars(len(files)) as bars:
            measurer = await open_measurer(
                asker, place.directory, modes, others=others, begin=bars.begin
            )
            spec = model.loaded.backend.signature.inputs[0]
            given = read_given(
                arguments.label, arguments.tensor, arguments.scores, spec, measurer.subject.labels
            )
            ready_s = clock.now_s()
            count, max_bytes = bars.begin("pictures"), config.images.max_image_bytes
            found, refused = await _each(measurer, files, given, max_bytes, count)
        return Diagnosed(found, refused, ready_s - began_s, clock.now_s() - ready_s)


async def _each(
    measurer: Measurer, files: Sequence[Path], given: Given, max_bytes: int, count: Count
) -> tuple[tuple[Diagnosis, ...], tuple[str, ...]]:
    found: list[Diagnosis] = []
    refused: list[str] = []
    for done, file in enumerate(files, start=1):
        try:
            case = await measurer.measure(str(file), read_named(file, max_bytes), given)
            found.append(diagnose(case))
        except InvalidInput as invalid:
            refused.append(f"{file}: {invalid}")
        except OSError as fault:
            refused.append(f"{file}: cannot be read ({fault.strerror})")
        count(done)
    return tuple(found), tuple(refused)


def _tell(arguments: Namespace, done: Diagnosed) -> int:
    for sentence in done.refused:
        write_error(sentence)
    # Before the text, whose reader may go away half-way.
    is_written = not done.diagnoses or arguments.html is None or _write_page(arguments.html, done)
    if arguments.json:
        write(diagnoses_json(done.diagnoses, done.refused))
    else:
        _write_text(done)
    if not done.diagnoses:
        return USAGE
    each_s = done.pictures_s / len(done.diagnoses)
    write_error(f"reference pictures took {done.reference_s:.1f} s, each picture {each_s:.1f} s")
    return OK if is_written and not done.refused else USAGE


def _write_page(file: Path, done: Diagnosed) -> bool:
    """Whether that went well."""
    try:
        write_whole(file, page(done.diagnoses, done.refused))
    except OSError as fault:
        write_error(f"{file}: cannot be written ({reason_of(fault)})")
        return False
    return True


def _write_text(done: Diagnosed) -> None:
    if len(done.diagnoses) == 1 and not done.refused:
        write(diagnosis_text(done.diagnoses[0]))
    elif done.diagnoses:
        for each in done.diagnoses:
            write(one_line(each))
        write(summary_text(done.diagnoses, done.refused))
