"""One step of the row analysis: from what is known of an operation's inputs to its outputs. Pure.

An abstract interpretation. A value says which axis tells rows apart, and where rows met on the way.
An operation that is in no table is undecided: never passed in silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from batchproof_server.proof.rows import elementwise, indexing, products, slices, structure
from batchproof_server.proof.rows.layout import FREE, Cause, Value, fits
from batchproof_server.proof.rows.node import Node, Outcomes, RowsVerdict, Transfer, undecided
from batchproof_server.proof.rows.operands import holds_rows

TRANSFERS: Final[Mapping[str, Transfer]] = {
    **elementwise.TRANSFERS,
    **structure.TRANSFERS,
    **slices.TRANSFERS,
    **products.TRANSFERS,
    **indexing.TRANSFERS,
}


def known(kind: str) -> bool:
    """Whether a table says what this type of operation does to rows."""
    return kind in TRANSFERS or kind in elementwise.SHAPES_ONLY


def step(node: Node, name: str, values: Sequence[Value], tensors: Sequence[bool]) -> list[Value]:
    """What is known of each output of an operation.

    Args:
        node: the operation.
        name: for findings.
        values: what is known of each input.
        tensors: for each output, whether it is a tensor; False for a list of tensors.
    """
    causes = frozenset[Cause]().union(*(value.causes for value in values))
    if node.kind in elementwise.SHAPES_ONLY:
        return [FREE if _sizes_known(node) else Value(None, causes)] * len(tensors)
    if node.kind in elementwise.SAME_FOR_EACH and _sizes_known(node):
        causes = frozenset()
    if all(value.rows is None for value in values):
        return [Value(None, causes)] * len(tensors)
    outcomes = _outcomes(node, values, len(tensors))
    if any(value.lost for value in values):
        outcomes = [_perhaps(node, outcome) for outcome in outcomes]
    return [
        _value(node, name, _checked(node, index, outcome, tensor), causes)
        for index, (outcome, tensor) in enumerate(zip(outcomes, tensors, strict=True))
    ]


def _sizes_known(node: Node) -> bool:
    """Whether no shape depends on the content, as that of ``Where`` and ``Unique`` does."""
    return all(shape is not None and None not in shape for shape in node.input_shapes)


def _outcomes(node: Node, values: Sequence[Value], count: int) -> Sequence[RowsVerdict]:
    transfer = TRANSFERS.get(node.kind)
    if transfer is None:
        outcomes: Outcomes = undecided(f"the audit does not know what {node.kind} does to rows")
    else:
        outcomes = transfer(node, values)
    each = [outcomes] * count if isinstance(outcomes, RowsVerdict) else outcomes
    if all(holds_rows(node.kind, index) for index, value in enumerate(values) if value.rows):
        return each
    return [outcome if outcome.rule_id else _BY_ROWS for outcome in each]


_BY_ROWS: Final = undecided("takes from the rows how it computes, not only what with")


def _checked(node: Node, index: int, outcome: RowsVerdict, is_tensor: bool) -> RowsVerdict:  # noqa: FBT001 - from a list
    """An outcome which the inferred shape contradicts is no outcome."""
    rows = outcome.rows
    if rows is None or not is_tensor or fits(rows, node.count, node.output_shapes[index]):
        return outcome
    return undecided("gives a shape in which the rows are not where they were expected")


def _perhaps(node: Node, outcome: RowsVerdict) -> RowsVerdict:
    """Whether rows meet cannot be told where it is not known where they lie."""
    if outcome.rule_id in (None, "BP305"):
        return outcome
    return replace(outcome, rule_id="BP305", detail=f"perhaps {node.kind} {outcome.detail}")


def _value(node: Node, name: str, outcome: RowsVerdict, causes: frozenset[Cause]) -> Value:
    if outcome.rule_id is None:
        return Value(outcome.rows, causes)
    detail = outcome.detail if node.kind in outcome.detail else f"{node.kind} {outcome.detail}"
    return Value(outcome.rows, causes | {Cause(outcome.rule_id, name, detail)})
