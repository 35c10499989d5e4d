"""What a search for recipes found, as a few lines for people."""

from collections.abc import Iterator
from typing import Final

from batchproof.text import joined
from batchproof_server.commands.tables import table
from batchproof_server.imaging.manifest_text import recipe_text
from batchproof_server.offline.recipe_search.hint import SAYS, Hint
from batchproof_server.offline.recipe_search.result import FoundRecipes, Standing

_SHOWN: Final = 40
_SHOWN_BEATEN: Final = 12
_HEADINGS: Final = (
    "differs from the most likely in", "pictures", "log-likelihood", "behind", "interval, all 99 %",
    "accuracy", "interval, 95 %", "",
)  # fmt: skip


def found_report(found: FoundRecipes) -> str:
    """Verdict, tables of those that may be right and of those that are not, what to write."""
    return joined([*_verdict(found), "", *_tables(found), "", *_to_write(found)])


def _verdict(found: FoundRecipes) -> Iterator[str]:
    subject, own = found.subject, found.own
    name = f"{subject.model} version {subject.version}"
    if own is None:
        yield f"{name}: NO RECIPE IN THE MANIFEST, {len(found.tied)} may be right"
    elif found.is_own_beaten:
        (low, high), right = own.behind_interval, found.to_write
        yield f"{name}: THE MANIFEST'S RECIPE IS BEATEN"
        yield (
            f"  It is {own.behind:.4f} nats a picture behind the most likely one "
            f"({low:.4f} to {high:.4f}, on {own.pictures} pictures): it has "
            f"{' and '.join(own.differences(right.plan))}, not "
            f"{' and '.join(right.differences(own.plan))}."
        )
    else:
        yield f"{name}: THE MANIFEST'S RECIPE MAY BE RIGHT, with {len(found.tied) - 1} others"
    taken = f"{subject.pictures} of {subject.pictures_there} pictures"
    yield f"  data          {subject.data}: {taken}, {len(subject.labels)} classes"
    yield f"  engine        {subject.engine}"
    yield f"  tried         {found.comparisons + 1} recipes"
    yield f"  most likely   {', '.join(found.leader.words)}"


def _tables(found: FoundRecipes) -> Iterator[str]:
    tied = found.tied
    yield f"Cannot be told apart ({found.confidence:.0%} that the best of all tried is here):"
    yield from table([_HEADINGS, *(_cells(each, found) for each in tied[:_SHOWN])])
    if len(tied) > _SHOWN:
        yield f"  and {len(tied) - _SHOWN} more"
    yield ""
    beaten = sorted((each for each in found.standings if not each.is_tied), key=_behind)
    shown = [each for each in beaten if each.is_manifests]
    shown += [each for each in beaten if not each.is_manifests][:_SHOWN_BEATEN]
    if shown:
        yield f"Beaten beyond doubt ({len(shown)} of {len(beaten)}):"
        yield from table([_HEADINGS, *(_cells(each, found) for each in shown)])
        yield ""
    yield from (f"Refused: {each}" for each in found.refused[:_SHOWN_BEATEN])
    yield (
        "Log-likelihood of the true class in nats, the mean of all pictures; behind: the mean of "
        "the differences"
    )
    yield (
        f"picture by picture, with Student's interval at a level that counts all "
        f"{found.comparisons} comparisons (Bonferroni)."
    )


def _behind(standing: Standing) -> float:
    return standing.behind


def _cells(each: Standing, found: FoundRecipes) -> tuple[str, ...]:
    named = ", ".join(each.differences(found.leader.plan)) or (
        "nothing" if each is found.leader else "its formats"
    )
    low, high = each.behind_interval
    least, most = each.accuracy_interval
    return (
        f"{'* ' if each.is_manifests else '  '}{named}",
        str(each.pictures),
        f"{each.log_likelihood:.4f}",
        f"{each.behind:.4f}",
        "" if each is found.leader else f"{low:.4f} to {high:.4f}",
        f"{each.right / each.pictures:.1%}",
        f"{least:.1%} to {most:.1%}",
        each.reason,
    )


def _to_write(found: FoundRecipes) -> Iterator[str]:
    if found.own is not None:
        yield "* is the manifest's."
    if found.own is not None and not found.is_own_beaten:
        yield "Keep it:"
    else:
        which = "the most likely one" if found.own is None else "the tied one nearest to yours"
        yield f"Write {which}, unless you know that you trained with another of them:"
    yield ""
    yield from recipe_text(found.to_write.plan).splitlines()


def hint_report(hint: Hint) -> str:
    """The recipes with the most mutual information, and what that is worth."""
    subject = hint.subject
    rows = [
        (
            f"{'* ' if plan == hint.own else '  '}{hint.differences(plan) or 'nothing'}",
            f"{value:.4f}",
        )
        for place, (plan, value) in enumerate(hint.ranked)
        if place < _SHOWN_BEATEN or plan == hint.own
    ]
    first = hint.ranked[0][0]
    return joined(
        [
            f"{subject.model} version {subject.version}: {SAYS}",
            f"  data          {subject.data}: {subject.pictures} pictures",
            f"  engine        {subject.engine}",
            "",
            *table([("differs from the first in", "mutual information"), *rows]),
            "",
            "H(mean p) - mean H(p) in nats. * is where the search began.",
            "",
            "The first:",
            "",
            *recipe_text(first).splitlines(),
        ]
    )
