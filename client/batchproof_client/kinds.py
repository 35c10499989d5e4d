"""What a model, its proof and the server may be."""

from enum import Enum

from batchproof.v1 import prediction_pb2 as pb


class ModelState(Enum):
    """The life of a model version."""

    UNSPECIFIED = pb.MODEL_STATE_UNSPECIFIED
    LOADING = pb.MODEL_STATE_LOADING
    READY = pb.MODEL_STATE_READY
    FAILED = pb.MODEL_STATE_FAILED
    DRAINING = pb.MODEL_STATE_DRAINING


class OutputKind(Enum):
    """What a model's output means."""

    UNSPECIFIED = pb.OUTPUT_KIND_UNSPECIFIED
    LOGITS = pb.OUTPUT_KIND_LOGITS
    PROBABILITIES = pb.OUTPUT_KIND_PROBABILITIES
    RAW = pb.OUTPUT_KIND_RAW
    BINARY_LOGIT = pb.OUTPUT_KIND_BINARY_LOGIT
    BINARY_PROBABILITY = pb.OUTPUT_KIND_BINARY_PROBABILITY
    MULTILABEL_LOGITS = pb.OUTPUT_KIND_MULTILABEL_LOGITS
    MULTILABEL_PROBABILITIES = pb.OUTPUT_KIND_MULTILABEL_PROBABILITIES

    @property
    def is_multi_label(self) -> bool:
        """Whether an answer is a set of labels that are independent of each other."""
        return self in (OutputKind.MULTILABEL_LOGITS, OutputKind.MULTILABEL_PROBABILITIES)


class Verdict(Enum):
    """What the proof of a model version came to."""

    UNSPECIFIED = pb.VERDICT_UNSPECIFIED
    PROVEN = pb.VERDICT_PROVEN
    UNPROVEN = pb.VERDICT_UNPROVEN
    PROBED = pb.VERDICT_PROBED


class Health(Enum):
    """The answer of the standard health service."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
