"""What was counted of shadows, as a file keeps it for the next start of the server. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS, parse_document
from batchproof_server.shadowing.tally import KeptTally, Pair

MOST_PAIRS: Final = 256
"""Pairs of versions that are kept; of more, those whose counting began last."""
MAX_TALLIES_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Entry(KeptTally):
    """The tally of one pair with its names."""

    model: str
    version: int
    shadow: int


@dataclass(frozen=True, slots=True)
class _Document:
    """The file."""

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    format: Literal[1]
    pairs: tuple[_Entry, ...]


def read_tallies(text: str) -> dict[Pair, KeptTally]:
    """The tallies in the text of a file, MOST_PAIRS at most.

    Raises:
        InvalidSettings: with every fault.
    """
    pairs = parse_document(_Document, text).pairs
    return {
        (each.model, each.version, each.shadow): KeptTally(each.executed, each.shadowed, each.tally)
        for each in pairs[:MOST_PAIRS]
    }


def tallies_text(tallies: Mapping[Pair, KeptTally]) -> str:
    """The text of the file."""
    newest = sorted(tallies.items(), key=lambda each: (-each[1].tally.since_ms, each[0]))
    pairs = [
        {"model": model, "version": version, "shadow": shadow, **asdict(kept)}
        for (model, version, shadow), kept in newest[:MOST_PAIRS]
    ]
    return json.dumps({"format": 1, "pairs": pairs}, indent=1) + "\n"
