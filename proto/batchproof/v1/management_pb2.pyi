from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VersionEntry(_message.Message):
    __slots__ = ("model", "version", "state", "findings", "step", "labels", "is_default", "is_found", "is_partial", "is_changed", "is_refused", "label_shares", "is_shadow")
    class LabelSharesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    IS_FOUND_FIELD_NUMBER: _ClassVar[int]
    IS_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    IS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    IS_REFUSED_FIELD_NUMBER: _ClassVar[int]
    LABEL_SHARES_FIELD_NUMBER: _ClassVar[int]
    IS_SHADOW_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    state: str
    findings: _containers.RepeatedScalarFieldContainer[str]
    step: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    is_default: bool
    is_found: bool
    is_partial: bool
    is_changed: bool
    is_refused: bool
    label_shares: _containers.ScalarMap[str, float]
    is_shadow: bool
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., state: _Optional[str] = ..., findings: _Optional[_Iterable[str]] = ..., step: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., is_default: bool = ..., is_found: bool = ..., is_partial: bool = ..., is_changed: bool = ..., is_refused: bool = ..., label_shares: _Optional[_Mapping[str, float]] = ..., is_shadow: bool = ...) -> None: ...

class ListVersionsRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ListVersionsResponse(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[VersionEntry]
    def __init__(self, versions: _Optional[_Iterable[_Union[VersionEntry, _Mapping]]] = ...) -> None: ...

class LoadVersionRequest(_message.Message):
    __slots__ = ("model", "version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class LoadVersionResponse(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[VersionEntry]
    def __init__(self, versions: _Optional[_Iterable[_Union[VersionEntry, _Mapping]]] = ...) -> None: ...

class UnloadVersionRequest(_message.Message):
    __slots__ = ("model", "version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class UnloadVersionResponse(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[VersionEntry]
    def __init__(self, versions: _Optional[_Iterable[_Union[VersionEntry, _Mapping]]] = ...) -> None: ...

class RollBackRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class RollBackResponse(_message.Message):
    __slots__ = ("version", "unloaded")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UNLOADED_FIELD_NUMBER: _ClassVar[int]
    version: int
    unloaded: int
    def __init__(self, version: _Optional[int] = ..., unloaded: _Optional[int] = ...) -> None: ...

class ReloadRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadResponse(_message.Message):
    __slots__ = ("failure", "versions")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    failure: str
    versions: _containers.RepeatedCompositeFieldContainer[VersionEntry]
    def __init__(self, failure: _Optional[str] = ..., versions: _Optional[_Iterable[_Union[VersionEntry, _Mapping]]] = ...) -> None: ...

class SetLabelsRequest(_message.Message):
    __slots__ = ("model", "labels", "shared")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SharedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: VersionWeights
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[VersionWeights, _Mapping]] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    model: str
    labels: _containers.ScalarMap[str, int]
    shared: _containers.MessageMap[str, VersionWeights]
    def __init__(self, model: _Optional[str] = ..., labels: _Optional[_Mapping[str, int]] = ..., shared: _Optional[_Mapping[str, VersionWeights]] = ...) -> None: ...

class VersionWeights(_message.Message):
    __slots__ = ("weights",)
    class WeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    weights: _containers.ScalarMap[int, int]
    def __init__(self, weights: _Optional[_Mapping[int, int]] = ...) -> None: ...

class SetLabelsResponse(_message.Message):
    __slots__ = ("labels", "shared")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SharedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: VersionWeights
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[VersionWeights, _Mapping]] = ...) -> None: ...
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.ScalarMap[str, int]
    shared: _containers.MessageMap[str, VersionWeights]
    def __init__(self, labels: _Optional[_Mapping[str, int]] = ..., shared: _Optional[_Mapping[str, VersionWeights]] = ...) -> None: ...

class SetShadowRequest(_message.Message):
    __slots__ = ("model", "version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class SetShadowResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CompareVersionsRequest(_message.Message):
    __slots__ = ("model", "tolerance")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    model: str
    tolerance: float
    def __init__(self, model: _Optional[str] = ..., tolerance: _Optional[float] = ...) -> None: ...

class VersionComparison(_message.Message):
    __slots__ = ("version", "judged", "by_ground_truth", "rows", "different", "estimate", "low", "high", "judgement", "sentences", "skipped", "drift", "counted_since")
    class SkippedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    BY_GROUND_TRUTH_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DIFFERENT_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENT_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    COUNTED_SINCE_FIELD_NUMBER: _ClassVar[int]
    version: int
    judged: int
    by_ground_truth: bool
    rows: int
    different: int
    estimate: float
    low: float
    high: float
    judgement: str
    sentences: _containers.RepeatedScalarFieldContainer[str]
    skipped: _containers.ScalarMap[str, int]
    drift: _containers.RepeatedCompositeFieldContainer[SignalDrift]
    counted_since: str
    def __init__(self, version: _Optional[int] = ..., judged: _Optional[int] = ..., by_ground_truth: bool = ..., rows: _Optional[int] = ..., different: _Optional[int] = ..., estimate: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., judgement: _Optional[str] = ..., sentences: _Optional[_Iterable[str]] = ..., skipped: _Optional[_Mapping[str, int]] = ..., drift: _Optional[_Iterable[_Union[SignalDrift, _Mapping]]] = ..., counted_since: _Optional[str] = ...) -> None: ...

class SignalDrift(_message.Message):
    __slots__ = ("signal", "verdict", "observations", "psi_above_noise", "significance", "tv_distance")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    PSI_ABOVE_NOISE_FIELD_NUMBER: _ClassVar[int]
    SIGNIFICANCE_FIELD_NUMBER: _ClassVar[int]
    TV_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    signal: str
    verdict: str
    observations: int
    psi_above_noise: float
    significance: float
    tv_distance: float
    def __init__(self, signal: _Optional[str] = ..., verdict: _Optional[str] = ..., observations: _Optional[int] = ..., psi_above_noise: _Optional[float] = ..., significance: _Optional[float] = ..., tv_distance: _Optional[float] = ...) -> None: ...

class CompareVersionsResponse(_message.Message):
    __slots__ = ("comparisons",)
    COMPARISONS_FIELD_NUMBER: _ClassVar[int]
    comparisons: _containers.RepeatedCompositeFieldContainer[VersionComparison]
    def __init__(self, comparisons: _Optional[_Iterable[_Union[VersionComparison, _Mapping]]] = ...) -> None: ...

class SetLogLevelRequest(_message.Message):
    __slots__ = ("level",)
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    level: str
    def __init__(self, level: _Optional[str] = ...) -> None: ...

class SetLogLevelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
