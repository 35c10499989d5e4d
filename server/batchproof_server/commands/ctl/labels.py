"""How labels and what they stand for are written on the command line."""

from collections.abc import Iterable, Mapping
from typing import Final

from batchproof.v1 import management_pb2 as pb

_MOST: Final = (1 << 63) - 1


def read_labels(model: str, texts: Iterable[str]) -> pb.SetLabelsRequest:
    """From ``stable=3``, ``canary=`` and ``stable 7=95 8=5``, in any order, to what is asked.

    Args:
        model: its name.
        texts: a label without ``=`` begins a list of versions and weights, which ends with
            whatever is no such pair.

    Raises:
        ValueError: one of them is none of these.
    """
    request, shared = pb.SetLabelsRequest(model=model), ""
    for text in texts:
        name, equals, number = text.rpartition("=")
        if not equals and text:
            _check_complete(request, shared)
            shared = text
            request.shared[shared].weights.clear()
        elif shared and _is_number(name) and _is_number(number):
            request.shared[shared].weights[int(name)] = int(number)
        elif name and (not number or (_is_number(number) and int(number))):
            _check_complete(request, shared)
            shared = ""
            request.labels[name] = int(number or 0)
        else:
            raise ValueError(
                f'"{text}" is no label, expected LABEL=VERSION, LABEL=, or LABEL VERSION=WEIGHT ...'
            )
    _check_complete(request, shared)
    return request


def _check_complete(request: pb.SetLabelsRequest, shared: str) -> None:
    if shared and not request.shared[shared].weights:
        raise ValueError(
            f'"{shared}" is no label, expected LABEL=VERSION, LABEL=, or LABEL VERSION=WEIGHT ...'
        )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_MOST)) and int(text) <= _MOST


def write_labels(answer: pb.SetLabelsResponse) -> str:
    """The labels of a model on one line, as they are written for ``read_labels``."""
    texts = {label: f"{label}={version}" for label, version in answer.labels.items()}
    texts |= {label: f"{label} {_weights(of.weights)}" for label, of in answer.shared.items()}
    return " ".join(texts[label] for label in sorted(texts)) or "no labels"


def _weights(weights: Mapping[int, int]) -> str:
    return " ".join(f"{version}={weight}" for version, weight in sorted(weights.items()))


def shown_labels(entry: pb.VersionEntry) -> str:
    """The labels of a version, and the part of their callers where it has not all of them."""
    parts = ((label, entry.label_shares.get(label, 1.0)) for label in entry.labels)
    return ",".join(label if part == 1 else f"{label} {part:.3g}" for label, part in parts)
