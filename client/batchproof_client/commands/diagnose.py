"""``batchproof diagnose``: why pictures get their answers, asked of a server one by one."""

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from batchproof_client.client import AsyncClient
from batchproof_client.commands.pictures import Picture, expand
from batchproof_client.commands.terminal import progress, write_error, write_json, write_line
from batchproof_client.diagnosing import Diagnosis, Question
from batchproof_client.errors import InvalidRequest, LocalInputError
from batchproof_client.inputs import Array

_MAX_FILE_BYTES: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class DiagnoseOptions:
    """What ``batchproof diagnose`` was asked.

    Attributes:
        images: files, folders and patterns, as typed.
        model: None for the only one.
        label: what the picture really is; None where nobody said.
        tensor: a file of the caller's own tensor, or None.
        scores: a file of the caller's own scores, or None.
        html: where to write the page, or None.
        json: one JSON object a line in place of text.
    """

    images: tuple[str, ...]
    model: str | None
    label: str | None
    tensor: Path | None
    scores: Path | None
    html: Path | None
    json: bool


def add_diagnose_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "images", nargs="+", metavar="PICTURE", help='a file, a folder or a pattern ("shots/*.png")'
    )
    parser.add_argument("--model", metavar="NAME[:VERSION|@LABEL]")
    parser.add_argument("--label", metavar="L", help="what the picture really is")
    parser.add_argument(
        "--tensor", type=Path, metavar="FILE", help="your own input tensor, .npy: which recipe?"
    )
    parser.add_argument(
        "--scores",
        type=Path,
        metavar="FILE",
        help="your own scores, .npy or .json: what gave them?",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page; of one picture")
    parser.set_defaults(timeout_s=120.0)


def diagnose_options(parsed: argparse.Namespace) -> DiagnoseOptions:
    """What was typed."""
    return DiagnoseOptions(
        images=tuple(parsed.images),
        model=parsed.model,
        label=parsed.label,
        tensor=parsed.tensor,
        scores=parsed.scores,
        html=parsed.html,
        json=parsed.json,
    )


async def diagnose(client: AsyncClient, options: DiagnoseOptions) -> int:
    """Returns 0 when every picture was diagnosed, 1 when not.

    Raises:
        BatchproofError: the server or the model can diagnose no picture, or the options contradict
            each other.
    """
    pictures = await asyncio.to_thread(expand, options.images)
    question = _question(options, len(pictures))
    done: list[Diagnosis] = []
    refused = 0
    with progress(len(pictures)) as bar:
        for picture in pictures:
            try:
                found = await client.diagnose(_about(question, picture))
            except (InvalidRequest, LocalInputError) as fault:
                refused += 1
                write_error(f"{picture.name}: {fault}")
            else:
                done.append(found)
                _show(found, options, is_only=len(pictures) == 1, name=picture.name)
            bar.advance(bar.task_ids[0])
    if len(pictures) > 1 and not options.json:
        for line in _common(done, refused):
            write_line(line)
    return 1 if refused else 0


def _question(options: DiagnoseOptions, pictures: int) -> Question:
    for name in ("tensor", "scores", "html"):
        if getattr(options, name) is not None and pictures > 1:
            raise LocalInputError(
                f"--{name} is of one picture, and there are {pictures}; ask for one, or take "
                "`batchproof-server diagnose`, whose page holds several"
            )
    if options.html is not None and not options.html.parent.is_dir():
        raise LocalInputError(f"--html: {options.html.parent} is no folder")
    return Question(
        image="",
        model=options.model,
        label=options.label,
        tensor=None if options.tensor is None else _numbers(options.tensor, "--tensor"),
        scores=None if options.scores is None else _numbers(options.scores, "--scores"),
        page=options.html is not None,
    )


def _about(question: Question, picture: Picture) -> Question:
    if picture.fault:
        raise LocalInputError(picture.fault)
    return replace(question, image=picture.name)


def _numbers(file: Path, option: str) -> Array:
    """Numbers of an .npy or .json file."""
    try:
        if file.stat().st_size > _MAX_FILE_BYTES:
            raise LocalInputError(f"{option}: {file} is larger than {_MAX_FILE_BYTES} bytes")
        values: Any
        if file.suffix == ".json":
            values = np.array(json.loads(file.read_text("utf-8")))
        else:
            values = np.load(file, allow_pickle=False)
    except OSError as fault:
        raise LocalInputError(f"{option}: {file} cannot be read ({fault.strerror})") from fault
    except (ValueError, EOFError, RecursionError) as fault:
        raise LocalInputError(f"{option}: {file} is no file of numbers, .npy or .json") from fault
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise LocalInputError(f"{option}: {file} is no file of numbers, .npy or .json")
    return values


def _show(found: Diagnosis, options: DiagnoseOptions, *, is_only: bool, name: str) -> None:
    if options.html is not None:
        try:
            options.html.write_text(found.page, "utf-8")
        except OSError as fault:
            raise LocalInputError(f"--html: {options.html}: {fault.strerror}") from fault
    if options.json:
        write_json(json.loads(found.json))
    elif is_only:
        for line in found.text.split("\n"):
            write_line(line)
    else:
        write_line(f"{name}: {found.answer} ({found.confidence:.1%}): {found.verdict}")


def _common(done: Iterable[Diagnosis], refused: int) -> Iterator[str]:
    """What several pictures have in common: how often each first cause was found."""
    counted = Counter(each.causes[0].title if each.causes else "" for each in done)
    usual = counted.pop("", 0)
    yield f"{usual + counted.total()} pictures: nothing unusual with {usual}"
    yield from (f"  {count} x {title}" for title, count in counted.most_common())
    if refused:
        yield f"  {refused} x could not be diagnosed"
