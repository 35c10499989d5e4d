"""How long predictions took, read from the histogram that Prometheus reads too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batchproof_server.base.events import PREDICT_METHODS
from batchproof_server.observing.prometheus.families import Cells
from batchproof_server.observing.prometheus.labels import Labels, ModelVersion


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """What was counted since each version was announced, in every protocol together.

    Attributes:
        bounds_s: upper bounds of the bins; one more bin has what is above all of them.
        counts: predictions in each bin, refused and failed ones too, by model and version.
    """

    bounds_s: tuple[float, ...]
    counts: Mapping[ModelVersion, tuple[int, ...]]


def answer_times_of(
    bounds_s: Sequence[float], series: Sequence[Labels], cells: Cells
) -> AnswerTimes:
    """Adds up the series of predictions.

    Args:
        bounds_s: of the histogram.
        series: model, version and method of each.
        cells: [series, bins and the sum].
    """
    counts: dict[ModelVersion, tuple[int, ...]] = {}
    for (model, version, method), row in zip(series, cells, strict=True):
        if method in PREDICT_METHODS:
            own = row[:-1].astype(int).tolist()
            place = str(model), int(version)
            known = counts.get(place, (0,) * len(own))
            counts[place] = tuple(a + b for a, b in zip(known, own, strict=True))
    return AnswerTimes(tuple(map(float, bounds_s)), counts)
