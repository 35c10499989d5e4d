from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_PROVEN: _ClassVar[Verdict]
    VERDICT_UNPROVEN: _ClassVar[Verdict]
    VERDICT_PROBED: _ClassVar[Verdict]

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_LOADING: _ClassVar[ModelState]
    MODEL_STATE_READY: _ClassVar[ModelState]
    MODEL_STATE_FAILED: _ClassVar[ModelState]
    MODEL_STATE_DRAINING: _ClassVar[ModelState]

class OutputKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_KIND_UNSPECIFIED: _ClassVar[OutputKind]
    OUTPUT_KIND_LOGITS: _ClassVar[OutputKind]
    OUTPUT_KIND_PROBABILITIES: _ClassVar[OutputKind]
    OUTPUT_KIND_RAW: _ClassVar[OutputKind]
    OUTPUT_KIND_BINARY_LOGIT: _ClassVar[OutputKind]
    OUTPUT_KIND_BINARY_PROBABILITY: _ClassVar[OutputKind]
    OUTPUT_KIND_MULTILABEL_LOGITS: _ClassVar[OutputKind]
    OUTPUT_KIND_MULTILABEL_PROBABILITIES: _ClassVar[OutputKind]

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_TYPE_UNSPECIFIED: _ClassVar[DataType]
    DATA_TYPE_BOOL: _ClassVar[DataType]
    DATA_TYPE_INT8: _ClassVar[DataType]
    DATA_TYPE_INT16: _ClassVar[DataType]
    DATA_TYPE_INT32: _ClassVar[DataType]
    DATA_TYPE_INT64: _ClassVar[DataType]
    DATA_TYPE_UINT8: _ClassVar[DataType]
    DATA_TYPE_UINT16: _ClassVar[DataType]
    DATA_TYPE_UINT32: _ClassVar[DataType]
    DATA_TYPE_UINT64: _ClassVar[DataType]
    DATA_TYPE_FLOAT16: _ClassVar[DataType]
    DATA_TYPE_FLOAT32: _ClassVar[DataType]
    DATA_TYPE_FLOAT64: _ClassVar[DataType]
VERDICT_UNSPECIFIED: Verdict
VERDICT_PROVEN: Verdict
VERDICT_UNPROVEN: Verdict
VERDICT_PROBED: Verdict
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_LOADING: ModelState
MODEL_STATE_READY: ModelState
MODEL_STATE_FAILED: ModelState
MODEL_STATE_DRAINING: ModelState
OUTPUT_KIND_UNSPECIFIED: OutputKind
OUTPUT_KIND_LOGITS: OutputKind
OUTPUT_KIND_PROBABILITIES: OutputKind
OUTPUT_KIND_RAW: OutputKind
OUTPUT_KIND_BINARY_LOGIT: OutputKind
OUTPUT_KIND_BINARY_PROBABILITY: OutputKind
OUTPUT_KIND_MULTILABEL_LOGITS: OutputKind
OUTPUT_KIND_MULTILABEL_PROBABILITIES: OutputKind
DATA_TYPE_UNSPECIFIED: DataType
DATA_TYPE_BOOL: DataType
DATA_TYPE_INT8: DataType
DATA_TYPE_INT16: DataType
DATA_TYPE_INT32: DataType
DATA_TYPE_INT64: DataType
DATA_TYPE_UINT8: DataType
DATA_TYPE_UINT16: DataType
DATA_TYPE_UINT32: DataType
DATA_TYPE_UINT64: DataType
DATA_TYPE_FLOAT16: DataType
DATA_TYPE_FLOAT32: DataType
DATA_TYPE_FLOAT64: DataType

class ModelSelector(_message.Message):
    __slots__ = ("name", "version", "label")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    label: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., label: _Optional[str] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("request_id", "model", "images", "tensors", "options")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    model: ModelSelector
    images: EncodedImages
    tensors: NamedTensors
    options: PredictOptions
    def __init__(self, request_id: _Optional[str] = ..., model: _Optional[_Union[ModelSelector, _Mapping]] = ..., images: _Optional[_Union[EncodedImages, _Mapping]] = ..., tensors: _Optional[_Union[NamedTensors, _Mapping]] = ..., options: _Optional[_Union[PredictOptions, _Mapping]] = ...) -> None: ...

class EncodedImages(_message.Message):
    __slots__ = ("contents",)
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    contents: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, contents: _Optional[_Iterable[bytes]] = ...) -> None: ...

class NamedTensors(_message.Message):
    __slots__ = ("tensors",)
    class TensorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Tensor
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    tensors: _containers.MessageMap[str, Tensor]
    def __init__(self, tensors: _Optional[_Mapping[str, Tensor]] = ...) -> None: ...

class PredictOptions(_message.Message):
    __slots__ = ("top_k", "return_probabilities", "return_logits", "tta", "diagnosis")
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    RETURN_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    RETURN_LOGITS_FIELD_NUMBER: _ClassVar[int]
    TTA_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSIS_FIELD_NUMBER: _ClassVar[int]
    top_k: int
    return_probabilities: bool
    return_logits: bool
    tta: TestTimeAugmentation
    diagnosis: Diagnosis
    def __init__(self, top_k: _Optional[int] = ..., return_probabilities: bool = ..., return_logits: bool = ..., tta: _Optional[_Union[TestTimeAugmentation, _Mapping]] = ..., diagnosis: _Optional[_Union[Diagnosis, _Mapping]] = ...) -> None: ...

class TestTimeAugmentation(_message.Message):
    __slots__ = ("policy", "views", "aggregation", "early_exit", "return_views", "seed")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    AGGREGATION_FIELD_NUMBER: _ClassVar[int]
    EARLY_EXIT_FIELD_NUMBER: _ClassVar[int]
    RETURN_VIEWS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    policy: str
    views: _containers.RepeatedScalarFieldContainer[str]
    aggregation: str
    early_exit: float
    return_views: bool
    seed: int
    def __init__(self, policy: _Optional[str] = ..., views: _Optional[_Iterable[str]] = ..., aggregation: _Optional[str] = ..., early_exit: _Optional[float] = ..., return_views: bool = ..., seed: _Optional[int] = ...) -> None: ...

class Diagnosis(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: bool = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("request_id", "rows", "outputs", "provenance", "warnings")
    class OutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Tensor
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    rows: _containers.RepeatedCompositeFieldContainer[RowPrediction]
    outputs: _containers.MessageMap[str, Tensor]
    provenance: Provenance
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request_id: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[RowPrediction, _Mapping]]] = ..., outputs: _Optional[_Mapping[str, Tensor]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class RowPrediction(_message.Message):
    __slots__ = ("classes", "probabilities", "logits", "entropy", "margin", "tta", "handle", "labels", "heads")
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    TTA_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedCompositeFieldContainer[ScoredClass]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    logits: _containers.RepeatedScalarFieldContainer[float]
    entropy: float
    margin: float
    tta: RowAugmentation
    handle: bytes
    labels: _containers.RepeatedCompositeFieldContainer[ScoredClass]
    heads: _containers.RepeatedCompositeFieldContainer[HeadPrediction]
    def __init__(self, classes: _Optional[_Iterable[_Union[ScoredClass, _Mapping]]] = ..., probabilities: _Optional[_Iterable[float]] = ..., logits: _Optional[_Iterable[float]] = ..., entropy: _Optional[float] = ..., margin: _Optional[float] = ..., tta: _Optional[_Union[RowAugmentation, _Mapping]] = ..., handle: _Optional[bytes] = ..., labels: _Optional[_Iterable[_Union[ScoredClass, _Mapping]]] = ..., heads: _Optional[_Iterable[_Union[HeadPrediction, _Mapping]]] = ...) -> None: ...

class HeadPrediction(_message.Message):
    __slots__ = ("output", "classes", "labels", "probabilities", "entropy", "margin")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    output: str
    classes: _containers.RepeatedCompositeFieldContainer[ScoredClass]
    labels: _containers.RepeatedCompositeFieldContainer[ScoredClass]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    entropy: float
    margin: float
    def __init__(self, output: _Optional[str] = ..., classes: _Optional[_Iterable[_Union[ScoredClass, _Mapping]]] = ..., labels: _Optional[_Iterable[_Union[ScoredClass, _Mapping]]] = ..., probabilities: _Optional[_Iterable[float]] = ..., entropy: _Optional[float] = ..., margin: _Optional[float] = ...) -> None: ...

class RowAugmentation(_message.Message):
    __slots__ = ("views_executed", "exited_early", "flip_rate", "mutual_information", "confidence_stddev", "views")
    VIEWS_EXECUTED_FIELD_NUMBER: _ClassVar[int]
    EXITED_EARLY_FIELD_NUMBER: _ClassVar[int]
    FLIP_RATE_FIELD_NUMBER: _ClassVar[int]
    MUTUAL_INFORMATION_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_STDDEV_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    views_executed: int
    exited_early: bool
    flip_rate: float
    mutual_information: float
    confidence_stddev: float
    views: _containers.RepeatedCompositeFieldContainer[ViewPrediction]
    def __init__(self, views_executed: _Optional[int] = ..., exited_early: bool = ..., flip_rate: _Optional[float] = ..., mutual_information: _Optional[float] = ..., confidence_stddev: _Optional[float] = ..., views: _Optional[_Iterable[_Union[ViewPrediction, _Mapping]]] = ...) -> None: ...

class ViewPrediction(_message.Message):
    __slots__ = ("view", "weight", "probabilities")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    view: str
    weight: float
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, view: _Optional[str] = ..., weight: _Optional[float] = ..., probabilities: _Optional[_Iterable[float]] = ...) -> None: ...

class ScoredClass(_message.Message):
    __slots__ = ("index", "label", "score")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    index: int
    label: str
    score: float
    def __init__(self, index: _Optional[int] = ..., label: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("model", "version", "model_digest", "recipe_digest", "engine", "executions", "certificate_digest", "tta")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RECIPE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TTA_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    model_digest: str
    recipe_digest: str
    engine: str
    executions: _containers.RepeatedCompositeFieldContainer[Execution]
    certificate_digest: str
    tta: Augmentation
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., model_digest: _Optional[str] = ..., recipe_digest: _Optional[str] = ..., engine: _Optional[str] = ..., executions: _Optional[_Iterable[_Union[Execution, _Mapping]]] = ..., certificate_digest: _Optional[str] = ..., tta: _Optional[_Union[Augmentation, _Mapping]] = ...) -> None: ...

class Augmentation(_message.Message):
    __slots__ = ("policy", "views", "aggregation", "early_exit", "policy_digest", "weights_digest", "seed", "warnings")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    AGGREGATION_FIELD_NUMBER: _ClassVar[int]
    EARLY_EXIT_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    policy: str
    views: _containers.RepeatedScalarFieldContainer[str]
    aggregation: str
    early_exit: float
    policy_digest: str
    weights_digest: str
    seed: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, policy: _Optional[str] = ..., views: _Optional[_Iterable[str]] = ..., aggregation: _Optional[str] = ..., early_exit: _Optional[float] = ..., policy_digest: _Optional[str] = ..., weights_digest: _Optional[str] = ..., seed: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class Execution(_message.Message):
    __slots__ = ("rows", "bucket_rows", "queue_delay_s", "execution_s")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BUCKET_ROWS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_DELAY_S_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_S_FIELD_NUMBER: _ClassVar[int]
    rows: int
    bucket_rows: int
    queue_delay_s: float
    execution_s: float
    def __init__(self, rows: _Optional[int] = ..., bucket_rows: _Optional[int] = ..., queue_delay_s: _Optional[float] = ..., execution_s: _Optional[float] = ...) -> None: ...

class PredictStreamRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: PredictRequest
    def __init__(self, request: _Optional[_Union[PredictRequest, _Mapping]] = ...) -> None: ...

class PredictStreamResponse(_message.Message):
    __slots__ = ("request_id", "response", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    response: PredictResponse
    error: Error
    def __init__(self, request_id: _Optional[str] = ..., response: _Optional[_Union[PredictResponse, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "retry_after_s")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    retry_after_s: float
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., retry_after_s: _Optional[float] = ...) -> None: ...

class ReportOutcomeRequest(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("request_id", "row", "class_index", "label", "label_set", "handle")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    CLASS_INDEX_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LABEL_SET_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    row: int
    class_index: int
    label: str
    label_set: LabelSet
    handle: bytes
    def __init__(self, request_id: _Optional[str] = ..., row: _Optional[int] = ..., class_index: _Optional[int] = ..., label: _Optional[str] = ..., label_set: _Optional[_Union[LabelSet, _Mapping]] = ..., handle: _Optional[bytes] = ...) -> None: ...

class LabelSet(_message.Message):
    __slots__ = ("labels", "class_indices")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CLASS_INDICES_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    class_indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, labels: _Optional[_Iterable[str]] = ..., class_indices: _Optional[_Iterable[int]] = ...) -> None: ...

class ReportOutcomeResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[OutcomeResult]
    def __init__(self, results: _Optional[_Iterable[_Union[OutcomeResult, _Mapping]]] = ...) -> None: ...

class OutcomeResult(_message.Message):
    __slots__ = ("accepted", "error")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    accepted: AcceptedOutcome
    error: Error
    def __init__(self, accepted: _Optional[_Union[AcceptedOutcome, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class AcceptedOutcome(_message.Message):
    __slots__ = ("model", "version", "predicted", "is_correct", "predicted_labels")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    IS_CORRECT_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_LABELS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    predicted: ScoredClass
    is_correct: bool
    predicted_labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., predicted: _Optional[_Union[ScoredClass, _Mapping]] = ..., is_correct: bool = ..., predicted_labels: _Optional[_Iterable[str]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelSummary]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelSummary, _Mapping]]] = ...) -> None: ...

class ModelSummary(_message.Message):
    __slots__ = ("name", "version", "state", "findings", "is_default", "version_labels", "verdict")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    VERSION_LABELS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    state: ModelState
    findings: _containers.RepeatedScalarFieldContainer[str]
    is_default: bool
    version_labels: _containers.RepeatedScalarFieldContainer[str]
    verdict: Verdict
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., state: _Optional[_Union[ModelState, str]] = ..., findings: _Optional[_Iterable[str]] = ..., is_default: bool = ..., version_labels: _Optional[_Iterable[str]] = ..., verdict: _Optional[_Union[Verdict, str]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: ModelSelector
    def __init__(self, model: _Optional[_Union[ModelSelector, _Mapping]] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("summary", "description", "model_digest", "recipe_digest", "engine", "inputs", "outputs", "output_kind", "labels", "buckets_rows", "recipe_json", "image_formats", "max_request_rows", "certificate_json", "certificate_digest", "consistency", "tta_policies", "tta_default_policy", "tta_limits", "profile_digest", "profile_json", "threshold", "thresholds", "heads")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RECIPE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_KIND_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_ROWS_FIELD_NUMBER: _ClassVar[int]
    RECIPE_JSON_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FORMATS_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_ROWS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_JSON_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TTA_POLICIES_FIELD_NUMBER: _ClassVar[int]
    TTA_DEFAULT_POLICY_FIELD_NUMBER: _ClassVar[int]
    TTA_LIMITS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PROFILE_JSON_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    summary: ModelSummary
    description: str
    model_digest: str
    recipe_digest: str
    engine: str
    inputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    output_kind: OutputKind
    labels: _containers.RepeatedScalarFieldContainer[str]
    buckets_rows: _containers.RepeatedScalarFieldContainer[int]
    recipe_json: str
    image_formats: _containers.RepeatedScalarFieldContainer[str]
    max_request_rows: int
    certificate_json: str
    certificate_digest: str
    consistency: str
    tta_policies: _containers.RepeatedCompositeFieldContainer[TtaPolicy]
    tta_default_policy: str
    tta_limits: TtaLimits
    profile_digest: str
    profile_json: str
    threshold: float
    thresholds: _containers.RepeatedScalarFieldContainer[float]
    heads: _containers.RepeatedCompositeFieldContainer[HeadDescription]
    def __init__(self, summary: _Optional[_Union[ModelSummary, _Mapping]] = ..., description: _Optional[str] = ..., model_digest: _Optional[str] = ..., recipe_digest: _Optional[str] = ..., engine: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., output_kind: _Optional[_Union[OutputKind, str]] = ..., labels: _Optional[_Iterable[str]] = ..., buckets_rows: _Optional[_Iterable[int]] = ..., recipe_json: _Optional[str] = ..., image_formats: _Optional[_Iterable[str]] = ..., max_request_rows: _Optional[int] = ..., certificate_json: _Optional[str] = ..., certificate_digest: _Optional[str] = ..., consistency: _Optional[str] = ..., tta_policies: _Optional[_Iterable[_Union[TtaPolicy, _Mapping]]] = ..., tta_default_policy: _Optional[str] = ..., tta_limits: _Optional[_Union[TtaLimits, _Mapping]] = ..., profile_digest: _Optional[str] = ..., profile_json: _Optional[str] = ..., threshold: _Optional[float] = ..., thresholds: _Optional[_Iterable[float]] = ..., heads: _Optional[_Iterable[_Union[HeadDescription, _Mapping]]] = ...) -> None: ...

class HeadDescription(_message.Message):
    __slots__ = ("output", "kind", "labels", "threshold", "thresholds", "is_watched")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    IS_WATCHED_FIELD_NUMBER: _ClassVar[int]
    output: str
    kind: OutputKind
    labels: _containers.RepeatedScalarFieldContainer[str]
    threshold: float
    thresholds: _containers.RepeatedScalarFieldContainer[float]
    is_watched: bool
    def __init__(self, output: _Optional[str] = ..., kind: _Optional[_Union[OutputKind, str]] = ..., labels: _Optional[_Iterable[str]] = ..., threshold: _Optional[float] = ..., thresholds: _Optional[_Iterable[float]] = ..., is_watched: bool = ...) -> None: ...

class TtaPolicy(_message.Message):
    __slots__ = ("name", "views", "aggregation", "early_exit", "policy_digest", "weights_digest", "warnings")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    AGGREGATION_FIELD_NUMBER: _ClassVar[int]
    EARLY_EXIT_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    views: _containers.RepeatedScalarFieldContainer[str]
    aggregation: str
    early_exit: float
    policy_digest: str
    weights_digest: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., views: _Optional[_Iterable[str]] = ..., aggregation: _Optional[str] = ..., early_exit: _Optional[float] = ..., policy_digest: _Optional[str] = ..., weights_digest: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class TtaLimits(_message.Message):
    __slots__ = ("max_views", "max_request_views", "takes_views")
    MAX_VIEWS_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_VIEWS_FIELD_NUMBER: _ClassVar[int]
    TAKES_VIEWS_FIELD_NUMBER: _ClassVar[int]
    max_views: int
    max_request_views: int
    takes_views: bool
    def __init__(self, max_views: _Optional[int] = ..., max_request_views: _Optional[int] = ..., takes_views: bool = ...) -> None: ...

class TensorSpec(_message.Message):
    __slots__ = ("name", "data_type", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    data_type: DataType
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., data_type: _Optional[_Union[DataType, str]] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("data_type", "shape", "content")
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    data_type: DataType
    shape: _containers.RepeatedScalarFieldContainer[int]
    content: bytes
    def __init__(self, data_type: _Optional[_Union[DataType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., content: _Optional[bytes] = ...) -> None: ...

class DiagnoseRequest(_message.Message):
    __slots__ = ("request_id", "model", "image", "name", "label", "tensor", "scores", "return_page")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    RETURN_PAGE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    model: ModelSelector
    image: bytes
    name: str
    label: str
    tensor: Tensor
    scores: Tensor
    return_page: bool
    def __init__(self, request_id: _Optional[str] = ..., model: _Optional[_Union[ModelSelector, _Mapping]] = ..., image: _Optional[bytes] = ..., name: _Optional[str] = ..., label: _Optional[str] = ..., tensor: _Optional[_Union[Tensor, _Mapping]] = ..., scores: _Optional[_Union[Tensor, _Mapping]] = ..., return_page: bool = ...) -> None: ...

class DiagnoseResponse(_message.Message):
    __slots__ = ("request_id", "model", "version", "answer", "confidence", "verdict", "causes", "text", "json", "page")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    model: str
    version: int
    answer: str
    confidence: float
    verdict: str
    causes: _containers.RepeatedCompositeFieldContainer[DiagnosedCause]
    text: str
    json: str
    page: str
    def __init__(self, request_id: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., answer: _Optional[str] = ..., confidence: _Optional[float] = ..., verdict: _Optional[str] = ..., causes: _Optional[_Iterable[_Union[DiagnosedCause, _Mapping]]] = ..., text: _Optional[str] = ..., json: _Optional[str] = ..., page: _Optional[str] = ...) -> None: ...

class DiagnosedCause(_message.Message):
    __slots__ = ("cause", "title", "level", "evidence", "advice")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    cause: str
    title: str
    level: str
    evidence: str
    advice: str
    def __init__(self, cause: _Optional[str] = ..., title: _Optional[str] = ..., level: _Optional[str] = ..., evidence: _Optional[str] = ..., advice: _Optional[str] = ...) -> None: ...
