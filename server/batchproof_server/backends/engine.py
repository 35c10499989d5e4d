"""Engines: what compiles an opened artefact into a backend."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.source import IntermediateSource, Source
from batchproof_server.base.backend import Backend, EngineSettings


# Contract of a conversion: neither convert() nor reopen() executes anything of the model. What is
# reopened is what was written, byte by byte: whoever calls reopen() has compared the digest.
@dataclass(frozen=True, slots=True)
class Conversion:
    """How an engine takes sources of another library.

    Attributes:
        takes: the class of those sources.
        convert: from one of them and the buckets to the engine's own form; raises ModelRefused.
        reopen: from the directory that the form was written to; raises ModelRefused.
        answers_as: the engine of that library. Where it is there, the answers to what was converted
            must be its answers, up to rounding.
    """

    takes: type[object]
    convert: Callable[[Any, tuple[int, ...]], IntermediateSource]
    reopen: Callable[[Path], IntermediateSource]
    answers_as: str


# Contract of an engine
#
# compile(source, buckets_rows, settings) is given a source of the class that it takes, and
#   - returns a backend for exactly these buckets, bucket 1 where it is asked for, each compiled
#     once and with a static row count; nothing of the model was executed;
#   - answers in the precision of the source's signature: another one must be asked for;
#   - uses the threads of the settings, which are the engine's business to spell;
#   - raises ModelRefused when an input or output cannot be served or the model cannot be compiled.
# The value is light: the engine is imported by compile().
@dataclass(frozen=True, slots=True)
class Engine:
    """One engine.

    Attributes:
        name: as the plug list and ``--engine`` have it.
        module: what compile() imports.
        packages: distributions that compute, for certificates; of several builds of the same
            package each.
        takes: the class of the sources that it compiles.
        compile: from a source of that class, ascending buckets and settings to a backend.
        conversion: how it takes sources of another library; None where it takes none.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    takes: type[object]
    compile: Callable[[Any, tuple[int, ...], EngineSettings], Backend]
    conversion: Conversion | None = None

    @property
    def is_installed(self) -> bool:
        """Whether what it is made of can be imported; does not import it."""
        return find_spec(self.module) is not None

    def converts(self, source: Source) -> bool:
        """Whether the source is of another library, and has to be converted first."""
        return self.conversion is not None and isinstance(source, self.conversion.takes)

    def accepts(self, source: Source) -> bool:
        """Whether it compiles this source, converted or as it is."""
        return isinstance(source, self.takes) or self.converts(source)

    def executes(self, kind: ArtefactKind) -> bool:
        """Whether it accepts what this kind opens, told before anything is opened."""
        takes = (self.takes, *(() if self.conversion is None else (self.conversion.takes,)))
        return issubclass(kind.opens_as, takes)

    def own(self, source: Source, buckets_rows: tuple[int, ...]) -> Source:
        """The source as compile() takes it.

        Raises:
            ModelRefused: it cannot be converted.
        """
        if self.conversion is not None and isinstance(source, self.conversion.takes):
            return self.conversion.convert(source, buckets_rows)
        return source
