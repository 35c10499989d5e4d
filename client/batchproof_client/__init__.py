"""The client: talks to a batchproof server over gRPC, and needs no TensorFlow.

::

    from batchproof_client import Client

    with Client("127.0.0.1:8500") as client:
        print(client.predict("boot.png").top.label)
"""

from batchproof_client.answers import (
    Execution,
    HeadPrediction,
    Prediction,
    PredictResult,
    Provenance,
    ScoredClass,
    StreamAnswer,
)
from batchproof_client.augmentation import (
    AppliedAugmentation,
    Augmentation,
    RowAugmentation,
    TtaLimits,
    TtaPolicy,
    ViewPrediction,
)
from batchproof_client.client import AsyncClient
from batchproof_client.connection import TlsOptions
from batchproof_client.descriptions import (
    HeadDescription,
    ModelDescription,
    ModelSummary,
    TensorSpec,
)
from batchproof_client.diagnosing import DiagnosedCause, Diagnosis, Question
from batchproof_client.errors import (
    AnswerNotFound,
    BatchproofError,
    ClientClosed,
    DeadlineExceeded,
    InvalidRequest,
    LocalInputError,
    MessageTooLarge,
    ModelNotFound,
    ModelRefused,
    NotSupported,
    OutcomeAlreadyReported,
    PermissionDenied,
    ServerBusy,
    ServerFailed,
    Unauthenticated,
    Unavailable,
)
from batchproof_client.inputs import PredictRequest
from batchproof_client.kinds import Health, ModelState, OutputKind, Verdict
from batchproof_client.outcomes import AcceptedOutcome, Outcome, OutcomeResult
from batchproof_client.retry import RetryPolicy
from batchproof_client.sync import Client

__all__ = [
    "AcceptedOutcome",
    "AnswerNotFound",
    "AppliedAugmentation",
    "AsyncClient",
    "Augmentation",
    "BatchproofError",
    "Client",
    "ClientClosed",
    "DeadlineExceeded",
    "DiagnosedCause",
    "Diagnosis",
    "Execution",
    "HeadDescription",
    "HeadPrediction",
    "Health",
    "InvalidRequest",
    "LocalInputError",
    "MessageTooLarge",
    "ModelDescription",
    "ModelNotFound",
    "ModelRefused",
    "ModelState",
    "ModelSummary",
    "NotSupported",
    "Outcome",
    "OutcomeAlreadyReported",
    "OutcomeResult",
    "OutputKind",
    "PermissionDenied",
    "PredictRequest",
    "PredictResult",
    "Prediction",
    "Provenance",
    "Question",
    "RetryPolicy",
    "RowAugmentation",
    "ScoredClass",
    "ServerBusy",
    "ServerFailed",
    "StreamAnswer",
    "TensorSpec",
    "TlsOptions",
    "TtaLimits",
    "TtaPolicy",
    "Unauthenticated",
    "Unavailable",
    "Verdict",
    "ViewPrediction",
]
