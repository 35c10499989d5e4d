"""The files of a bundle that is being made, and the moment at which it is there."""

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import links_out_of
from batchproof_server.base.spread import spread
from batchproof_server.imaging.formats.table import FORMATS
from batchproof_server.models.samples import SAMPLES_NAME
from batchproof_server.offline.datasets.pictures import LabelledPicture

MOST_SAMPLES: Final = 20
"""Pictures that a bundle takes along for its proof and for people."""
SCRATCH_PREFIX: Final = ".pack-"


@contextmanager
def written_beside(out: Path) -> Iterator[Path]:
    """An empty directory beside ``out``; what is in it becomes ``out`` when the context ends well.

    Otherwise nothing is left of it.

    Args:
        out: is not there yet; the folders above it are made when it is.

    Raises:
        FileExistsError: ``out`` came meanwhile.
        OSError: it cannot be written.
    """
    there = next(folder for folder in out.absolute().parents if folder.is_dir())
    with tempfile.TemporaryDirectory(dir=there, prefix=SCRATCH_PREFIX) as scratch:
        fresh = Path(scratch) / "bundle"
        fresh.mkdir()
        yield fresh
        if out.exists() or out.is_symlink():
            raise FileExistsError(errno.EEXIST, "exists already", str(out))
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh.rename(out)


def bring_artefact(kind: ArtefactKind, artefact: Path, bundle: Path) -> Path:
    """Copies a model into a bundle under the name that bundles have for it.

    Args:
        kind: of the artefact.
        artefact: its file or directory.
        bundle: an empty directory.

    Returns:
        Where it lies now.

    Raises:
        ModelRefused: a file cannot be read, or leads out of the directory.
    """
    if kind.parts and (outside := links_out_of(artefact)):
        sentences = (f"{name}: is a link that leads out of {artefact.name}" for name in outside)
        raise ModelRefused("a file of the model lies outside it", tuple(sentences))
    try:
        for file in kind.files(artefact):
            name = file.relative_to(artefact) if kind.parts else Path(kind.file)
            (bundle / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, bundle / name)
    except OSError as fault:
        text = f"{artefact.name}: a file of it cannot be copied ({fault.strerror})"
        raise ModelRefused("the model cannot be copied", (text,)) from fault
    return kind.artefact_in(bundle)


def write_samples(bundle: Path, pictures: Sequence[LabelledPicture], labels: Sequence[str]) -> int:
    """Copies a few pictures, evenly of all classes, with the class in the name of the file.

    Args:
        bundle: that gets the folder.
        pictures: in any order.
        labels: of the classes; without them, their numbers are taken.

    Returns:
        How many.

    Raises:
        OSError: a picture cannot be read or written.
    """
    by_class = sorted(pictures, key=lambda each: each.labels or (each.class_index,))
    folder = bundle / SAMPLES_NAME
    folder.mkdir()
    count = 0
    for number, picture in enumerate(spread(by_class, MOST_SAMPLES)):
        encoded = picture.read()
        kind = next((each for each, form in FORMATS.items() if form.recognises(encoded)), None)
        if kind is not None:
            name = f"{number:02}-{_name_of(picture, labels)}.{kind}"
            (folder / name).write_bytes(encoded)
            count += 1
    return count


def _name_of(picture: LabelledPicture, labels: Sequence[str]) -> str:
    classes = (picture.class_index,) if picture.labels is None else picture.labels
    names = [labels[each] if each < len(labels) else str(each) for each in classes]
    return re.sub(r"[^a-z0-9]+", "-", "-".join(names).lower()).strip("-")[:40] or "none"
