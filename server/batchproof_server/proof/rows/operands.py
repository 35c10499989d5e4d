"""Which operands of an operation hold rows, and which only say how to compute. Pure.

An axis, a size, an index of a list or a filter is the same for all rows. Where one carries rows,
what an operation does to a row is said by another.
"""

from collections.abc import Mapping
from typing import Final

from batchproof_server.proof.rows import elementwise, indexing
from batchproof_server.proof.rows.node import kinds

_FIRST: Final = (0,)
# Besides those whose first operand alone holds rows.
_HOLDERS: Final[Mapping[str, tuple[int, ...]]] = {
    **dict.fromkeys(kinds("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3"), (0, 1)),
    **dict.fromkeys(
        kinds("Conv2DBackpropInput Conv3DBackpropInputV2 DepthwiseConv2dNativeBackpropInput"), (2,)
    ),
    **dict.fromkeys(kinds("InTopK InTopKV2 CombinedNonMaxSuppression"), (0, 1)),
    **dict.fromkeys(kinds("GatherV2 Gather GatherNd ReverseSequence TensorListPushBack"), (0, 1)),
    **dict.fromkeys(("ImageProjectiveTransformV2", "ImageProjectiveTransformV3"), (0, 1)),
    **dict.fromkeys(("ResourceGather", "ResourceGatherNd"), (1,)),
    **dict.fromkeys(("LookupTableFind", "LookupTableFindV2", "Split"), (1,)),
    **dict.fromkeys(("DenseBincount", "TensorListSetItem"), (0, 2)),
    "Conv3DBackpropInput": (2,),
}
_ALL_ALIKE: Final = frozenset(
    {*elementwise.TRANSFERS, *indexing.CHOICES, "ConcatV2", "Pack", "Einsum"}
    - {"BiasAdd", "LookupTableFind", "LookupTableFindV2"}
)


def holds_rows(kind: str, index: int) -> bool:
    """Whether an operand is of those that may carry rows, each operation in its own way."""
    return kind in _ALL_ALIKE or index in _HOLDERS.get(kind, _FIRST)
