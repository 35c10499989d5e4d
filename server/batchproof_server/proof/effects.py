"""What an operation does besides computing, by its type. Pure; names are TensorFlow's."""

import re
from collections.abc import Callable, Sequence
from typing import Final

_ASSIGN: Final = (
    r"Assign.*",
    r"Resource(Apply|SparseApply|Scatter|Accumulator).*",
    r"ResourceStridedSliceAssign",
    r"StridedSliceAssign",
    r"(Sparse)?Apply[A-Z].*",
    r"Scatter(Nd)?(Update|Add|Sub|Mul|Div|Min|Max)",
    r"(DestroyResourceOp|DestroyTemporaryVariable|TemporaryVariable|CountUpTo|ResourceCountUpTo)",
)
_RANDOM: Final = (
    r"Random(?!Dataset)(?!IndexShuffle).*",
    r"(Parameterized)?TruncatedNormal",
    r"Multinomial",
    r"Stateful(Uniform|StandardNormal|RandomBinomial|TruncatedNormal|Random).*",
    r"Rng(ReadAndSkip|Skip)",
    r"NonDeterministicInts",
    r"SampleDistortedBoundingBox(V2)?",
    r".*CandidateSampler",
    r"Fractional(Max|Avg)Pool",
    r".*SeedGenerator",
)
_FILES: Final = (
    r"(Read|Write)File",
    r"MatchingFiles",
    r"(Save|Restore)(V2|Slice|Slices)?",
    r"MergeV2Checkpoints",
    r"ShardedFile.*",
    r".*Reader(V2)?",
    r"Reader(Read|Reset|Restore|Serialize|Num).*",
    r"Write.*Summary",
    r"CreateSummary.*",
    r"InitializeTableFromTextFile(V2)?",
    r"(Close|Flush)?SummaryWriter",
    r"(ImportEvent|RecordInput|LoadAndRemapMatrix|GenerateVocabRemapping)",
    r"(DistributedSave|FileSystemSetConfiguration)",
)
_TABLE_WRITES: Final = (
    r"LookupTable(Insert|Remove|Import)(V2)?",
    r"InitializeTable(V2)?",
)
_QUEUES: Final = (
    r".*Queue(?!Dataset).*",
    r".*Iterator.*",
    r"(Reduce|Model).*Dataset.*",
    r".*Dataset(V\d)?",
    r".*DatasetTo.*",
    r".*StatsAggregator.*",
    r".*(ThreadPoolHandle|MemoryCache)",
    r"Stack(Push|Pop|Close)?(V2)?",
    r"(Ordered)?Map(Stage|Unstage|UnstageNoKey|Peek|Clear|Size|IncompleteSize)",
    r"(Stage|Unstage|StagePeek|StageClear|StageSize)",
    r"Barrier.*",
    r"(Batch|Unbatch|UnbatchGrad|BatchFunction)",
    r".*(Mutex|ConditionalAccumulator|BoostedTrees).*",
)
_WORLD: Final = (
    r"Timestamp",
    r"_?(Host)?(Send|Recv)",
    r"(RemoteCall|Rpc|TryRpc)",
    r"Collective.*",
    r"(Get|Delete)Session(Handle|HandleV2|Tensor)",
    r"(Nccl.*|CrossReplicaSum|AllToAll|SyncDevice|WorkerHeartbeat)",
    r"(Infeed|Outfeed).*",
    r".*TPU(?!CompilationResult|EmbeddingActivations|Replicat|Partitioned).*",
)
_RULES: Final = tuple(
    (rule_id, re.compile("|".join(f"(?:{pattern})" for pattern in patterns)))
    for rule_id, patterns in (
        ("BP205", (r"(Eager)?PyFunc(Stateless)?", r"NumericVerify")),
        ("BP203", _ASSIGN),
        ("BP206", _FILES),
        ("BP207", _TABLE_WRITES),
        ("BP208", _QUEUES),
        ("BP204", _RANDOM),
        ("BP209", _WORLD),
        ("BP212", (r"Print(V2)?",)),
    )
)
# TensorFlow calls these stateful, yet they only read, compute or belong to a local list.
_HARMLESS: Final = re.compile(
    r"(Stateful)?PartitionedCall|(Stateless)?(If|While|Case)|Placeholder(WithDefault)?|Assert"
    r"|VarHandleOp|VariableV2|Variable|ReadVariableOp|VarIsInitializedOp|IsVariableInitialized"
    r"|VariableShape|DisableCopyOnRead|ResourceGather(Nd)?"
    r"|(Anonymous)?(Mutable)?(Dense)?HashTable(OfTensors)?(V2)?|LookupTable(Find|Size|Export)(V2)?"
    r"|TensorArray.*V3|XlaCallModule|CheckNumerics(V2)?|GuaranteeConst|DeepCopy|DeviceIndex"
    r"|EncodeProto|DecodeProtoV2|CudnnRNN(V2|V3)?"
)
# What these say where they write or read decides: they have a local way, and ways into files.
_LOCAL_TARGETS: Final = {
    "PrintV2": frozenset({"stdout", "stderr", "log(info)", "log(warning)", "log(error)"}),
    "EncodeProto": frozenset({"", "local://"}),
    "DecodeProtoV2": frozenset({"", "local://"}),
}
_PUBLISHES: Final = re.compile(r"Debug(Identity|NanCount|NumericSummary)(V\d)?")
# Finding one of these ends the matter: the model is executed by nobody, whatever was allowed.
UNSAFE: Final = frozenset({"BP205", "BP206", "BP207", "BP208", "BP209", "BP213"})
# Loading fills tables and restores variables; whoever answers does neither.
_OF_LOADING: Final = re.compile(
    r"Restore(V2)?|InitializeTable(V2)?|LookupTable(Insert|Remove|Import)(V2)?"
)
_BATCH_NORM: Final = re.compile(r"_?FusedBatchNorm(V\d|Ex)?")
_STATELESS_RANDOM: Final = re.compile(r"Stateless(?!If|While|Case).*|RandomIndexShuffle")


def effect(
    kind: str, *, is_training: Callable[[], bool], stateful: bool, targets: Sequence[str] = ()
) -> str | None:
    """The rule that an operation breaks by its type alone.

    Args:
        kind: the operation's type.
        is_training: reads the attribute of a FusedBatchNorm; true where it is left out.
        stateful: what TensorFlow says of the type.
        targets: where it says that it writes to or reads from, such as ``stderr`` or a URL.

    Returns:
        The rule's id; None for what only computes.
    """
    if _BATCH_NORM.fullmatch(kind):
        return "BP201" if is_training() else None
    if _PUBLISHES.fullmatch(kind):
        return "BP206" if targets else None
    if not _LOCAL_TARGETS.get(kind, frozenset(targets)).issuperset(targets):
        return "BP206"
    for rule_id, pattern in _RULES:
        if pattern.fullmatch(kind) and not _HARMLESS.fullmatch(kind):
            return rule_id
    if stateful and not _HARMLESS.fullmatch(kind) and not stateless_random(kind):
        return "BP213"
    return None


def belongs_to_loading(kind: str) -> bool:
    """Whether loading a model does this by right: it restores variables and fills tables."""
    return _OF_LOADING.fullmatch(kind) is not None


def stateless_random(kind: str) -> bool:
    """Whether it draws from a seed that it is given: random only if the seed changes."""
    return _STATELESS_RANDOM.fullmatch(kind) is not None
