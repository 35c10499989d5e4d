"""The manifest of a model that nobody has described yet, with the reason beside each line. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Final

from batchproof.text import joined, printable
from batchproof_server.base.output_forms import FORMS
from batchproof_server.imaging.settings import RecipeSettings
from batchproof_server.offline.inspection.guesses import Guess, LikelyKind

_COLUMNS: Final = 96
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Draft:
    """What a manifest is written from.

    Attributes:
        title: its first lines.
        kinds: of the outputs by name; those that are not of scores are left out.
        watched: the output that drift, outcomes and evaluation are about; empty where none has
            scores.
        recipe: the ``[recipe]`` table in TOML; empty for a model that takes tensors only.
        reasons: why the recipe is that one.
        hints: lines that a reader may uncomment.
    """

    title: str
    kinds: Mapping[str, Guess[LikelyKind]]
    watched: str
    recipe: str = ""
    reasons: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """A whole ``batchproof.toml`` of format 2."""
        return joined(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _comment(self.title)
        yield "format = 2"
        scored = [name for name, guess in self.kinds.items() if guess.value in FORMS]
        for name in scored:
            yield ""
            yield from _comment(self.kinds[name].reason)
            yield f"[outputs.{_quoted(name)}]"
            yield f'kind = "{self.kinds[name].value}"'
            if len(scored) > 1 and name == self.watched:
                yield "watched = true  # drift, outcomes and evaluation are about this output"
        if self.recipe:
            yield ""
            for reason in self.reasons:
                yield from _comment(reason)
            yield from self.recipe.splitlines()
            yield from (f"# {hint}" for hint in self.hints)


def watched_output(kinds: Mapping[str, Guess[LikelyKind]], counts: Mapping[str, int]) -> str:
    """The output that labelled data are likely to be about: the one of most classes.

    Args:
        kinds: of the outputs by name, in the order of the signature.
        counts: how many classes each has.

    Returns:
        Its name, the first of several alike; empty where none has scores.
    """
    scored = [name for name, guess in kinds.items() if guess.value in FORMS]
    return max(scored, key=lambda name: counts[name], default="")


def preset_text(settings: RecipeSettings) -> str:
    """The ``[recipe]`` table of a preset, with nothing that it says by itself."""
    lines = ["[recipe]", f'preset = "{settings.preset}"']
    keys = {"color": settings.color, "layout": settings.layout, "dtype": settings.dtype}
    lines += [f'{key} = "{value}"' for key, value in keys.items() if value is not None]
    resize = settings.resize
    if resize is not None:
        lines.append("# The model resizes by itself; done here, pictures of all sizes are a batch.")
        given = {key: value for key, value in asdict(resize).items() if value is not None}
        pairs = (f"{key} = {json.dumps(value)}" for key, value in given.items())
        lines.append(f"resize = {{ {', '.join(pairs)} }}")
    return "\n".join(lines)


def _comment(text: str) -> Iterator[str]:
    """Whatever a model file says stays in the comment."""
    for line in text.splitlines():
        yield from wrap(printable(line), _COLUMNS, initial_indent="# ", subsequent_indent="# ")


def _quoted(name: str) -> str:
    """A key of TOML, which knows the escapes of JSON, but for pairs of surrogates."""
    if _BARE.fullmatch(name):
        return name
    return "".join(map(_escaped, json.dumps(name, ensure_ascii=False)))


def _escaped(character: str) -> str:
    return character if character.isprintable() else f"\\U{ord(character):08x}"
