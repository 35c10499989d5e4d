"""``tta evaluate`` and ``tta fit`` on the embedded model and real pictures."""

import json
from pathlib import Path
from typing import Any

import pytest

from batchproof_server.__main__ import main
from batchproof_server.tta.weights import parse_weights

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = ROOT / "examples/fashion_mnist/models/fashion-mnist/1"
PICTURES = ROOT / "tests/data/fashion_mnist_1000.npz"

Captured = pytest.CaptureFixture[str]


def tta(action: str, *more: str) -> int:
    return main(["tta", action, str(EMBEDDED), "--data", str(PICTURES), "--json", *more])


def document(capsys: Captured) -> Any:
    return json.loads(capsys.readouterr().out)


def test_clothing_turned_upside_down_is_no_longer_known_and_that_is_told_as_harm(
    capsys: Captured,
) -> None:
    given = ("--limit", "200", "--policies", "flip,d4", "--aggregations", "mean,max")
    assert tta("evaluate", *given) == 0
    result = document(capsys)
    assert result["plain"]["figures"]["accuracy"] > 0.9
    by_name = {(trial["policy"], trial["aggregation"]): trial for trial in result["trials"]}
    for aggregation in ("mean", "max"):
        harmed = by_name["d4", aggregation]
        assert harmed["figures"]["accuracy"] < 0.7
        assert harmed["change"]["corrupted"] > 50
        assert harmed["adjusted_p"] < 1e-9
    assert by_name["flip", "mean"]["figures"]["accuracy"] > 0.9
    assert result["recommendation"]["policy"] == "none"
    d4 = result["details"][1]
    views = {effect["view"]: effect for effect in d4["views"]}
    assert views["identity"]["alone"] == result["plain"]["figures"]
    assert views["rot90"]["gain"]["corrupted"] > views["rot90"]["gain"]["corrected"]
    shares = [point["stopped_share"] for point in d4["early_exit"]]
    assert shares == sorted(shares, reverse=True)
    assert all(point["views"] < 8 for point in d4["early_exit"])


def test_the_plain_answers_are_those_of_evaluate(capsys: Captured) -> None:
    limit = ("--limit", "60", "--json")
    assert main(["evaluate", str(EMBEDDED), "--data", str(PICTURES), *limit]) == 0
    single = document(capsys)["paths"][0]
    assert tta("evaluate", "--limit", "60", "--policies", "flip") == 0
    figures = document(capsys)["plain"]["figures"]
    assert figures == {name: single[name] for name in figures}


def test_the_fit_learns_which_symmetries_clothing_has(tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "weights.json"
    assert tta("fit", "--limit", "300", "--policy", "d4", "-o", str(out)) == 0
    result = document(capsys)
    weights = parse_weights(out.read_text())
    by_view = dict(zip(weights.views, weights.weights, strict=True))
    assert by_view["identity"] + by_view["hflip"] > 0.9
    assert result["better_than_equal"]
    plain, mean, weighted = (each["figures"]["accuracy"] for each in result["judged"])
    assert mean < 0.7 < plain
    assert weighted > 0.85
    assert result["gap_nats"] <= 1e-6
