"""A whole log, counted as the server counts."""

import io
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from batchproof_server.base.events import PredictionRecord
from batchproof_server.drift.counters import Ruler
from batchproof_server.drift.recorded import signals_of_records
from batchproof_server.offline.datasets.pictures import InvalidData
from batchproof_server.offline.prediction_log import counting
from batchproof_server.offline.prediction_log.counting import CountedLog, count_log
from batchproof_server.offline.prediction_log.lines import LoggedModel
from support.drift_fixtures import profile, record

PROFILE: Final = profile()
MODEL: Final = LoggedModel("shoes", 3, PROFILE)


def lines_of(record: PredictionRecord, *, with_logits: bool = True) -> list[dict[str, Any]]:
    """As the client writes them."""
    scores = record.scores
    assert scores.logits is not None
    said = []
    for row, probabilities in enumerate(scores.probabilities.tolist()):
        best = int(scores.decided[row])
        said.append(
            {
                "classes": [{"index": best, "label": f"class {best}", "score": max(probabilities)}],
                "entropy": float(scores.entropy[row]),
                "margin": float(scores.margin[row]),
                "probabilities": probabilities,
                **({"logits": scores.logits[row].tolist()} if with_logits else {}),
            }
        )
    return said


def write(file: Path, said: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(each) + "\n" for each in said))
    return file


def counted(file: Path, **options: bool) -> CountedLog:
    return count_log(file, MODEL, **options)


def test_a_log_with_all_scores_counts_what_the_server_counted(tmp_path: Path) -> None:
    answered = record(2_500, seed=4)
    log = counted(write(tmp_path / "log.jsonl", lines_of(answered)))
    signals, _ = signals_of_records([answered])
    expected = Ruler(PROFILE).counted(signals)
    names = Ruler(PROFILE).names
    for name in ("class", "confidence", "entropy", "margin", "energy"):
        place = names.index(name)
        assert log.counts.bins[place].tolist() == expected.bins[place].tolist(), name
    assert log.confidence == pytest.approx(signals.values["confidence"].mean())
    assert (log.lines, log.confidence_count) == (2_500, 2_500)
    assert log.counts.bins[names.index("brightness")].sum() == 0


def test_lines_with_and_without_logits_stand_side_by_side(tmp_path: Path) -> None:
    answered = record(40, seed=5)
    said = [*lines_of(answered)[:25], *lines_of(answered, with_logits=False)[25:]]
    bins = counted(write(tmp_path / "log.jsonl", said)).counts.bins
    places = [Ruler(PROFILE).names.index(name) for name in ("class", "margin", "energy")]
    assert [int(bins[place].sum()) for place in places] == [40, 40, 25]


def test_without_all_probabilities_the_confidence_is_not_known(tmp_path: Path) -> None:
    said = [{**each, "probabilities": None, "logits": None} for each in lines_of(record(60))]
    log = counted(write(tmp_path / "log.jsonl", said))
    names = Ruler(PROFILE).names
    seen = {name: int(log.counts.bins[names.index(name)].sum()) for name in names[:5]}
    assert seen == {"class": 60, "confidence": 0, "entropy": 60, "margin": 0, "energy": 0}
    assert np.isnan(log.confidence)


def test_faulty_lines_are_named_by_number_with_a_way_out(tmp_path: Path) -> None:
    said = lines_of(record(3))
    file = write(tmp_path / "log.jsonl", [said[0], {"odd": 1}, {}, said[1]])
    with pytest.raises(InvalidData) as refused:
        counted(file)
    faults = refused.value.faults
    assert [each.partition(":")[0] for each in faults[:2]] == ["line 2", "line 3"]
    assert faults[-1] == "mend or remove these lines, or leave them out with --skip-faulty"
    log = counted(file, skips_faulty=True)
    assert (log.lines, int(log.counts.bins[0].sum()), len(log.faults)) == (4, 2, 2)


def test_of_many_faulty_lines_the_first_are_named_and_the_way_out_stays(tmp_path: Path) -> None:
    with pytest.raises(InvalidData) as refused:
        counted(write(tmp_path / "log.jsonl", [{}] * 60))
    shown = str(refused.value).split("\n")
    assert len(shown) == 20
    assert shown[-2:] == ["and 42 more", refused.value.faults[-1]]


def test_empty_lines_are_none_and_an_empty_log_is_told(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("\n  \n" + json.dumps(lines_of(record(1))[0]) + "\n\n")
    assert counted(tmp_path / "log.jsonl").lines == 1
    (tmp_path / "log.jsonl").write_text("\n")
    with pytest.raises(InvalidData, match="no lines, expected answers as JSON lines"):
        counted(tmp_path / "log.jsonl")


def test_a_line_that_is_too_long_is_refused_without_being_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_MAX_LINE_BYTES", 1_000)
    good = json.dumps(lines_of(record(1))[0])
    (tmp_path / "log.jsonl").write_text(f"{'x' * 5_000}\n{good}\n{'y' * 1_001}")
    log = counted(tmp_path / "log.jsonl", skips_faulty=True)
    assert log.faults == [f"line {place}: it has more than 1000 bytes" for place in (1, 3)]
    assert int(log.counts.bins[0].sum()) == 1


def test_a_folder_is_all_its_files_and_faults_name_the_file(tmp_path: Path) -> None:
    said = lines_of(record(3))
    (tmp_path / "day").mkdir()
    write(tmp_path / "day" / "a.json", said[:1])
    write(tmp_path / "b.jsonl", [*said[1:], {}])
    log = counted(tmp_path, skips_faulty=True)
    assert (log.lines, int(log.counts.bins[0].sum())) == (4, 3)
    assert log.faults[0].startswith("b.jsonl line 3: ")


def test_a_minus_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(json.dumps(each) + "\n" for each in lines_of(record(5)))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert counted(Path("-")).lines == 5


def test_what_is_no_observation_is_counted_by_its_reason(tmp_path: Path) -> None:
    said = [*lines_of(record(2)), {"error": {}}, {"error": {}}]
    log = counted(write(tmp_path / "log.jsonl", said))
    assert (dict(log.left_out), log.lines) == ({"no answer": 2}, 4)
