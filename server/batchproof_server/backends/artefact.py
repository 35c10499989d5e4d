"""Artefact kinds: which files of a bundle are a model, and how they are looked at and opened."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from batchproof_server.backends.source import LayeredSource, Source
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import digest_files
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.proof.findings import Finding


def no_flavour(plugs: Plugs) -> None:
    """For kinds that bring no decoder and no resizer."""
    del plugs


def no_program(artefact: Path) -> tuple[Finding, ...]:
    """For kinds that hold numbers and layers of known classes only."""
    del artefact
    return ()


# Contract of an artefact kind
#
#   - audit(artefact) reads files and loads nothing; it neither imports an engine nor raises for
#     what is wrong with the artefact.
#   - audit_program(artefact) reads what opening it or answering would execute; it neither loads nor
#     executes that. It is asked where audit found no fault, and may import an engine.
#   - open(artefact, settings) loads it, with the threads of the settings, and executes nothing of
#     it. It returns an ``opens_as``, or raises ModelRefused for an artefact that is missing,
#     broken or not served. Who opens has audited before: ``examining.check_safe``.
# The value is light: engines and libraries are imported by open().
@dataclass(frozen=True, slots=True)
class ArtefactKind:
    """One kind of artefact.

    Attributes:
        name: as plug list, metadata and messages have it.
        file: the file whose presence makes a directory a bundle with such an artefact.
        opens_as: the class of what ``open`` returns, known before anything is opened.
        audit: what the files themselves say.
        audit_program: what the program in them would do.
        open: loads the artefact.
        parts: for an artefact that is a directory, what of the directory belongs to it: files, and
            folders with a slash at the end. Empty where ``file`` is the artefact.
        packages: distributions that open it, for certificates.
        module: what open() imports; empty where that is nothing from outside.
        add_flavour: registers the decoders and resizers that are there because it is open.
        unalterable: why ``repair`` never writes such an artefact and what helps instead; empty
            where there is nothing to repair.
    """

    name: str
    file: str
    opens_as: type[object]
    audit: Callable[[Path], tuple[Finding, ...]]
    open: Callable[[Path, EngineSettings], Source]
    parts: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    module: str = ""
    audit_program: Callable[[Path], tuple[Finding, ...]] = no_program
    add_flavour: Callable[[Plugs], None] = no_flavour
    unalterable: str = ""

    def lies_in(self, directory: Path) -> bool:
        """Whether the directory holds an artefact of this kind, good or bad."""
        return (directory / self.file).exists()

    def artefact_in(self, directory: Path) -> Path:
        """The file or directory of the artefact in a bundle's directory."""
        return directory if self.parts else directory / self.file

    def files(self, artefact: Path) -> Iterator[Path]:
        """The files that the digest is made of, in its order."""
        if not self.parts:
            yield artefact
        for part in self.parts:
            if part.endswith("/"):
                yield from sorted(path for path in (artefact / part).rglob("*") if path.is_file())
            elif (artefact / part).is_file():
                yield artefact / part

    def digest(self, artefact: Path) -> str:
        """SHA-256 over the names and contents of the artefact's files, in hexadecimal.

        Raises:
            ModelRefused: a file cannot be read.
        """
        top = artefact if self.parts else artefact.parent
        try:
            return digest_files(top, self.files(artefact))
        except OSError as fault:
            raise ModelRefused(
                "the artefact cannot be read", ("artefact: a file of it cannot be read",)
            ) from fault


@dataclass(frozen=True, slots=True)
class LayeredKind(ArtefactKind):
    """A kind whose sources know their layers, so that they can be repaired on disk.

    Attributes:
        open: loads the artefact.
    """

    open: Callable[[Path, EngineSettings], LayeredSource]
