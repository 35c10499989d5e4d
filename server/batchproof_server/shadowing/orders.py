"""What operators ask of shadows: begin, end, compare."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

from batchproof_server.base.errors import InvalidInput, ModelNotFound
from batchproof_server.base.intervals import Interval, share_interval
from batchproof_server.drift.comparing import DriftComparison
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.orders import Orders
from batchproof_server.shadowing.drifting import Drifts, tell_drift
from batchproof_server.shadowing.shadow import Shadowing
from batchproof_server.shadowing.tally import PairTally, Tallies
from batchproof_server.shadowing.verdict import (
    DEFAULT_TOLERANCE,
    Assessed,
    ReportedTruth,
    assess_shadow,
    assess_truth,
    truth_difference,
)

# Of a model: the answers of each version that were wrong, and those that were right.
Truths: TypeAlias = Callable[[str], Mapping[int, tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Compared:
    """A version beside another.

    Attributes:
        version: beside which.
        judged: the other one.
        tally: where it is a shadow; None where ground truth was reported for both.
        rows: that both answered; or the reports about the one that is judged.
        interval: of the share of rows with different answers; or of how much more often the one
            that is judged is right.
        assessed: what that means.
        since_ms: when counting began, in milliseconds since 1970; of ground truth when the one that
            is judged was loaded; None where nobody knows.
        drift: of the one that is judged, where it is a shadow with a profile.
    """

    version: int
    judged: int
    tally: PairTally | None
    rows: int
    interval: Interval
    assessed: Assessed
    since_ms: int | None
    drift: DriftComparison | None = None


class ShadowOrders:
    """Carries out what operators ask of shadows.

    Args:
        keeper: of the versions.
        orders: know the models.
        shadowing: executes them.
        tallies: what they were found to do.
        truths: what was reported about answers.
        drifts: what the answers of versions are like beside their reference profiles.
    """

    def __init__(
        self,
        keeper: Keeper,
        orders: Orders,
        shadowing: Shadowing,
        tallies: Tallies,
        truths: Truths,
        drifts: Drifts,
    ) -> None:
        self._keeper = keeper
        self._orders = orders
        self._shadowing = shadowing
        self._tallies = tallies
        self._truths = truths
        self._drifts = drifts

    def set(self, model: str, version: int | None) -> None:
        """Makes a version the shadow of its model; None ends it.

        Raises:
            InvalidInput: no model is named, a label stands for the version, or nothing else of the
                model answers.
            ModelNotFound: there is no such model or version.
        """
        self._orders.check_model(model)
        if version is not None:
            known = {
                *self._keeper.states(model),
                *(v for name, v in self._keeper.seen if name == model),
            }
            if version not in known:
                numbers = ", ".join(map(str, sorted(known)))
                raise ModelNotFound(
                    f'model "{model}" has no version {version}; its versions: {numbers}'
                )
            ready = {each.version for each in self._keeper.versions.ready() if each.name == model}
            if not ready - {version}:
                raise InvalidInput(
                    f'no other version of model "{model}" answers, and a shadow answers nobody; '
                    "load another one first"
                )
        self._shadowing.set(model, version)
        self._keeper.act()

    def compare(self, model: str, tolerance: float = 0.0) -> tuple[Compared, ...]:
        """A model's shadow beside the versions that answered, and versions by ground truth.

        Args:
            model: its name.
            tolerance: how much less often right a version may be; 0 takes the usual one.

        Raises:
            InvalidInput: no model is named, or the tolerance is out of its range.
            ModelNotFound: there is no such model.
        """
        self._orders.check_model(model)
        if not 0 <= tolerance < 1:
            raise InvalidInput(f"tolerance is {tolerance:g}, expected 0 to 1")
        tolerance = tolerance or DEFAULT_TOLERANCE
        shadow = self._keeper.versions.shadows.of(model)
        tallies = {} if shadow is None else self._tallies.of(model, shadow)
        known = [
            ReportedTruth(version, right, wrong + right)
            for version, (wrong, right) in sorted(self._truths(model).items())
            if wrong + right
        ]
        return (
            *(
                self._beside(model, version, shadow or 0, each, tolerance)
                for version, each in tallies.items()
            ),
            *(self._by_truth(model, *pair, tolerance) for pair in pairwise(known)),
        )

    def _beside(
        self, model: str, version: int, shadow: int, tally: PairTally, tolerance: float
    ) -> Compared:
        drifts = self._drifts()
        assessed = assess_shadow(version, shadow, tally, tolerance)
        loaded_ms = self._tallies.loaded_ms
        told = tell_drift(model, shadow, version, drifts, loaded_ms) if tally.compared else ()
        return Compared(
            version,
            shadow,
            tally,
            tally.compared,
            share_interval(tally.different, tally.compared),
            replace(assessed, sentences=(*assessed.sentences, *told)),
            tally.since_ms,
            drifts.get((model, shadow)),
        )

    def _by_truth(
        self, model: str, base: ReportedTruth, newer: ReportedTruth, tolerance: float
    ) -> Compared:
        return Compared(
            base.version,
            newer.version,
            None,
            newer.total,
            truth_difference(base, newer),
            assess_truth(base, newer, tolerance),
            self._tallies.loaded_ms(model, newer.version),
        )
