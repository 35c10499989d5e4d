"""Engines: what compiles an opened artefact into a backend."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.source import Source
from batchproof_server.base.backend import Backend, EngineSettings


# Contract of an engine
#
# compile(source, buckets_rows, settings) is given a source that the engine accepts, and
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
        answers_as: the engine whose answers it must give, up to rounding, to serve a source that
            both accept; empty for the library that the artefact was made with.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    takes: type[object]
    compile: Callable[[Any, tuple[int, ...], EngineSettings], Backend]
    answers_as: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether what it is made of can be imported; does not import it."""
        return find_spec(self.module) is not None

    def accepts(self, source: Source) -> bool:
        """Whether it compiles this source."""
        return isinstance(source, self.takes)

    def executes(self, kind: ArtefactKind) -> bool:
        """Whether it accepts what this kind opens, told before anything is opened."""
        return issubclass(kind.opens_as, self.takes)
