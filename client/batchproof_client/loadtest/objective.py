"""``--slo p99=50ms``: what the server must keep, and whether it did."""

import re
from dataclasses import dataclass
from typing import Final

from batchproof_client.errors import LocalInputError
from batchproof_client.loadtest.record import Tally
from batchproof_client.loadtest.units import duration, parse_duration_s

_TERM: Final = re.compile(r"p(\d{1,2}(?:\.\d+)?)=(.+)")
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Objective:
    """A share of all requests must be answered within a time; an error counts as never.

    Attributes:
        percentile: of 100, above 0.
        limit_s: from the due instant.
    """

    percentile: float
    limit_s: float

    def attained(self, tally: Tally) -> float:
        """The share of the requests that were answered in time; 0 when there was none."""
        requests = tally.codes.total()
        return tally.histograms["latency"].count_within(self.limit_s) / requests if requests else 0

    def held(self, tally: Tally) -> bool:
        """Whether it was kept; 999 of 1000 keep p99.9, though 99.9 / 100 is above 0.999."""
        least = self.percentile / 100 - _ROUNDING
        return bool(tally.codes.total()) and self.attained(tally) >= least

    def __str__(self) -> str:
        return f"p{self.percentile:g} within {duration(self.limit_s)}"


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """Reads ``p99=50ms``, or several with commas.

    Raises:
        LocalInputError: it does not parse.
    """
    return tuple(_objective(part.strip(), text) for part in text.split(","))


def _objective(part: str, whole: str) -> Objective:
    match = _TERM.fullmatch(part)
    if match is None or not float(match[1]):
        raise LocalInputError(f'slo is "{whole}", expected terms such as "p99=50ms"')
    limit_s = parse_duration_s(match[2], "slo")
    if not limit_s:
        raise LocalInputError(f'slo is "{whole}", expected a time above 0')
    return Objective(float(match[1]), limit_s)


def error_share(tally: Tally) -> float:
    """The share of the requests that got no answer; 1 when there was no request."""
    requests = tally.codes.total()
    return (requests - tally.codes["OK"]) / requests if requests else 1.0
