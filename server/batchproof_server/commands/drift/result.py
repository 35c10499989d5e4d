"""What ``batchproof-server drift`` found, as a value and as JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from batchproof_server.drift.comparing import DriftComparison, SignalDrift


@dataclass(frozen=True, slots=True)
class DriftResult:
    """Pictures, or logged answers, against a profile.

    Attributes:
        model: its name.
        version: its number.
        data: what was compared, as it was given.
        pictures: that took part; of a log, answers.
        pictures_there: in all; of a log, lines.
        profile_digest: of the reference.
        reference_pictures: in it.
        notes: what is to be known of the profile, such as another version of Pillow.
        comparison: the figures.
        unit: what was compared.
        engine: that answered, with its version; empty for answers of a log.
    """

    model: str
    version: int
    data: str
    pictures: int
    pictures_there: int
    profile_digest: str
    reference_pictures: int
    notes: tuple[str, ...]
    comparison: DriftComparison
    unit: Literal["pictures", "answers"] = "pictures"
    engine: str = ""

    @property
    def alerting(self) -> tuple[SignalDrift, ...]:
        """The signals on which an alert would fire."""
        return tuple(signal for signal in self.comparison.signals if signal.is_drifted)

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        named = ", ".join(signal.name for signal in self.alerting)
        verdict = self.comparison.verdict
        if verdict == "severe":
            return f"SEVERE DRIFT: {named}"
        if verdict == "drifted":
            return f"DRIFT: {named}"
        if verdict in {"too few", "not seen"}:
            return f"TOO FEW {self.unit.upper()} to tell"
        return "NO DRIFT that would alert"

    def to_json(self) -> str:
        """The document: format 1."""
        document: dict[str, Any] = {"format": 1, "verdict": self.comparison.verdict, **asdict(self)}
        return json.dumps(document, indent=1, allow_nan=False)
