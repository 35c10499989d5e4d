"""What `pack` tells while it works: one line a fact, and whether it was found or guessed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from batchproof_server.commands.terminal import write
from batchproof_server.imaging.mistakes import differing_parts
from batchproof_server.models.manifest import MANIFEST_NAME
from batchproof_server.offline.recipe_search.paired import student_quantile
from batchproof_server.offline.recipe_search.result import FoundRecipes, Standing

How: TypeAlias = Literal["given", "found", "guessed", ""]
"""By the user; in the model, its answers or the data; by a rule that may be wrong here."""


@dataclass(slots=True)
class Telling:
    """Writes facts as they become known.

    Attributes:
        guesses: the names of what was guessed, in their order.
    """

    guesses: list[str] = field(default_factory=list)

    def begin(self, file: str, name: str, version: int) -> None:
        """Writes what is made of what."""
        write(f"{file}, to be {name} version {version}")

    def end(self, bundle: Path, repository: Path) -> None:
        """Writes where the bundle is, and what may be wrong in it."""
        write("")
        write(f"PACKED in {bundle}")
        if self.guesses:
            write(f"  Guessed, so look at it: {', '.join(self.guesses)} (in {MANIFEST_NAME})")
        write(f"  Serve it: batchproof-server serve {repository}")

    def __call__(self, name: str, how: How, texts: Iterable[str] | str) -> None:
        """Writes one line for each text, the name before the first."""
        lines = [texts] if isinstance(texts, str) else list(texts)
        if how == "guessed":
            self.guesses.append(name)
        for number, line in enumerate(lines):
            head, mark = (name, how) if not number else ("", "")
            write(f"  {head:<12}{mark:<9}{line}")


def recipe_to_write(found: FoundRecipes, *, is_known: bool) -> Standing:
    """The recipe that the manifest gets.

    The first guess where it may be right: where something in the model said it, until it is beaten
    beyond doubt; else while the most likely one is no more than three standard errors ahead. Else,
    of those within one standard error of the most likely, the one that is nearest to the guess (the
    rule of one standard error: Breiman et al. 1984, "Classification and regression trees", 3.4.3).

    Args:
        found: on labelled pictures; its own is the first guess.
        is_known: whether something in the model said so.
    """
    own = found.own
    if own is None:
        return found.leader
    if own.is_tied and (is_known or own.behind <= _DOUBTED_ERRORS * _error(found, own)):
        return own
    near = [each for each in found.tied if each.behind <= _error(found, each)]
    return min(near, key=lambda each: len(differing_parts(own.plan, each.plan)))


_DOUBTED_ERRORS: Final = 3.0


def _error(found: FoundRecipes, each: Standing) -> float:
    """The standard error of how far the leader is ahead."""
    (low, high), tail = each.behind_interval, found.tail
    return (high - low) / 2 / student_quantile(1 - tail, each.pictures - 1)


def recipe_lines(found: FoundRecipes, chosen: Standing) -> tuple[How, list[str]]:
    """What a search says of the recipe that is written, and how sure that is.

    Args:
        found: on labelled pictures.
        chosen: of the tied ones.
    """
    lines = [", ".join(chosen.words)]
    if chosen.is_manifests:
        lines.append("this was the first guess, and nothing that was tried is better beyond doubt")
    elif found.own is not None:
        lines.append(_behind(found.own, chosen))
    low, high = chosen.accuracy_interval
    right = f"{chosen.right / chosen.pictures:.1%} of {chosen.pictures} pictures"
    lines.append(f"right on {right} ({low:.1%} to {high:.1%})")
    if others := len(found.tied) - 1:
        parts = sorted({part for each in found.tied for part in each.differences(chosen.plan)})
        lines.append(
            f"{others} others of {found.comparisons + 1} cannot be told from it on these pictures; "
            f"they have: {', '.join(parts)}"
        )
        return "guessed", lines
    return "found", lines


def _behind(own: Standing, chosen: Standing) -> str:
    (low, high), instead = own.behind_interval, " and ".join(own.differences(chosen.plan))
    return (
        f"the first guess ({instead}) is {own.behind:.3f} nats a picture behind the most likely "
        f"one ({low:.3f} to {high:.3f})"
    )
