"""Labels on the command line."""

import pytest

from batchproof.v1 import management_pb2 as pb
from batchproof_server.commands.ctl.labels import read_labels, shown_labels, write_labels


def shared(**weights: dict[int, int]) -> dict[str, pb.VersionWeights]:
    return {label: pb.VersionWeights(weights=each) for label, each in weights.items()}


@pytest.mark.parametrize(
    ("texts", "labels", "split"),
    [
        ("stable=3", {"stable": 3}, {}),
        ("stable=3 canary=", {"stable": 3, "canary": 0}, {}),
        ("stable 7=95 8=5", {}, {"stable": {7: 95, 8: 5}}),
        ("stable 7=95 8=0 old=3", {"old": 3}, {"stable": {7: 95, 8: 0}}),
        (
            "old=3 stable 7=1 8=1 canary 8=1 9=1",
            {"old": 3},
            {"stable": {7: 1, 8: 1}, "canary": {8: 1, 9: 1}},
        ),
        ("7=95", {"7": 95}, {}),
        ("a=b=3", {"a=b": 3}, {}),
    ],
)
def test_labels_are_read(
    texts: str, labels: dict[str, int], split: dict[str, dict[int, int]]
) -> None:
    asked = pb.SetLabelsRequest(model="m", labels=labels, shared=shared(**split))
    assert read_labels("m", texts.split()) == asked


@pytest.mark.parametrize(
    "texts",
    [
        "stable",
        "stable canary=3",
        "stable 7=95 8=x",
        "stable=0",
        "stable=x",
        "=3",
        "s 7=-1",
        f"s={2**64}",
    ],
)
def test_what_is_no_label_is_told(texts: str) -> None:
    with pytest.raises(
        ValueError, match=r"is no label, expected LABEL=VERSION, LABEL=, or LABEL V"
    ):
        read_labels("m", texts.split())


def test_an_empty_word_is_no_label() -> None:
    with pytest.raises(ValueError, match='"" is no label'):
        read_labels("m", [""])


def test_labels_are_written_as_they_are_read() -> None:
    answer = pb.SetLabelsResponse(labels={"old": 3}, shared=shared(stable={8: 5, 7: 95}))
    assert write_labels(answer) == "old=3 stable 7=95 8=5"
    assert write_labels(pb.SetLabelsResponse()) == "no labels"
    entry = pb.VersionEntry(labels=["old", "stable"], label_shares={"old": 1.0, "stable": 0.05})
    assert shown_labels(entry) == "old,stable 0.05"
