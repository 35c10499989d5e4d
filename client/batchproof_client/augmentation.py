"""Test-time augmentation: what to ask for, and what the server says of it."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client.errors import LocalInputError

_MAX_SEED: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What to ask for; whatever is left out is as the policy, or the model, says.

    Attributes:
        policy: a name such as ``flip``, ``d4``, ``crops``, ``light`` or the model's own.
        views: in the place of a policy, such as ``("identity", "hflip", "rotate(10)")``.
        aggregation: such as ``mean``, ``logit_mean``, ``vote`` or ``sharpen(2)``.
        early_exit: stop after the plain view when its best probability reaches this.
        return_views: whether to return the probabilities of each view.
        seed: of views that draw random numbers.
    """

    policy: str = ""
    views: tuple[str, ...] = ()
    aggregation: str = ""
    early_exit: float | None = None
    return_views: bool = False
    seed: int | None = None

    def message(self) -> pb.TestTimeAugmentation:
        """The same on the wire.

        Raises:
            LocalInputError: the seed is not 0 to 2^64 - 1.
        """
        if self.seed is not None and not 0 <= self.seed <= _MAX_SEED:
            raise LocalInputError(f"the seed is {self.seed}, expected 0 to {_MAX_SEED}")
        return pb.TestTimeAugmentation(
            policy=self.policy,
            views=self.views,
            aggregation=self.aggregation,
            early_exit=self.early_exit,
            return_views=self.return_views,
            seed=self.seed,
        )


def augmentation_of(tta: str | Augmentation) -> Augmentation:
    """A policy's name stands for itself."""
    return Augmentation(policy=tta) if isinstance(tta, str) else tta


@dataclass(frozen=True, slots=True, eq=False)
class ViewPrediction:
    """What one view alone would have answered.

    Attributes:
        view: its canonical text.
        weight: what it counts; those of a row sum to 1.
        probabilities: float32 of shape [classes].
    """

    view: str
    weight: float
    probabilities: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class RowAugmentation:
    """How the views of one row agreed; all figures are 0 for a row of a single view.

    Attributes:
        views_executed: how many.
        exited_early: whether the plain view was sure enough to be the answer.
        flip_rate: the share of the views whose best class is another than the answer's.
        mutual_information: their disagreement in nats.
        confidence_stddev: standard deviation of the probability of the answer's best class.
        views: each of them, when asked for.
    """

    views_executed: int
    exited_early: bool
    flip_rate: float
    mutual_information: float
    confidence_stddev: float
    views: tuple[ViewPrediction, ...] = ()

    def record(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return {
            "views_executed": self.views_executed,
            "exited_early": self.exited_early,
            "flip_rate": self.flip_rate,
            "mutual_information": self.mutual_information,
            "confidence_stddev": self.confidence_stddev,
            "views": [
                {
                    "view": each.view,
                    "weight": each.weight,
                    "probabilities": each.probabilities.tolist(),
                }
                for each in self.views
            ],
        }


@dataclass(frozen=True, slots=True)
class AppliedAugmentation:
    """What was done to each row of a request.

    Attributes:
        policy: its name; ``custom`` for views that the request named.
        views: in their canonical text.
        aggregation: in its canonical text.
        early_exit: None when no row could stop early.
        policy_digest: SHA-256 of views, aggregation and early exit, in hexadecimal.
        weights_digest: SHA-256 of the fitted weights in use; empty without.
        seed: of views that draw random numbers.
        warnings: what the caller should know.
    """

    policy: str
    views: tuple[str, ...]
    aggregation: str
    early_exit: float | None
    policy_digest: str
    weights_digest: str
    seed: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TtaPolicy:
    """A policy that may be asked for.

    Attributes:
        name: to ask for.
        views: in their canonical text.
        aggregation: the default.
        early_exit: the default.
        policy_digest: SHA-256 of the three above, in hexadecimal.
        weights_digest: SHA-256 of its fitted weights; empty without.
        warnings: what the caller should know.
    """

    name: str
    views: tuple[str, ...]
    aggregation: str
    early_exit: float | None
    policy_digest: str
    weights_digest: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TtaLimits:
    """What a request may ask for.

    Attributes:
        max_views: of a row.
        max_request_views: rows times views.
        takes_views: whether a request may name views itself.
    """

    max_views: int
    max_request_views: int
    takes_views: bool


def row_augmentation_of(message: pb.RowAugmentation) -> RowAugmentation:
    """Reads how the views of a row agreed."""
    return RowAugmentation(
        views_executed=message.views_executed,
        exited_early=message.exited_early,
        flip_rate=message.flip_rate,
        mutual_information=message.mutual_information,
        confidence_stddev=message.confidence_stddev,
        views=tuple(
            ViewPrediction(each.view, each.weight, np.array(each.probabilities, np.float32))
            for each in message.views
        ),
    )


def applied_augmentation_of(message: pb.Augmentation) -> AppliedAugmentation:
    """Reads what was done to the rows."""
    return AppliedAugmentation(
        policy=message.policy,
        views=tuple(message.views),
        aggregation=message.aggregation,
        early_exit=message.early_exit if message.HasField("early_exit") else None,
        policy_digest=message.policy_digest,
        weights_digest=message.weights_digest,
        seed=message.seed,
        warnings=tuple(message.warnings),
    )


def policy_of(message: pb.TtaPolicy) -> TtaPolicy:
    """Reads a policy."""
    return TtaPolicy(
        name=message.name,
        views=tuple(message.views),
        aggregation=message.aggregation,
        early_exit=message.early_exit if message.HasField("early_exit") else None,
        policy_digest=message.policy_digest,
        weights_digest=message.weights_digest,
        warnings=tuple(message.warnings),
    )


def limits_of(message: pb.TtaLimits) -> TtaLimits:
    """Reads the limits."""
    return TtaLimits(message.max_views, message.max_request_views, message.takes_views)
