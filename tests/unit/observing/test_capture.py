"""Which answered rows are captured, what the hook may do, and that nobody waits for it."""

import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.events import InputsAnswered, SelfCheckRecord
from batchproof_server.base.scores import NO_ANSWER
from batchproof_server.drift.profile_form import KnownProfile
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.capture import observer
from batchproof_server.observing.capture.captured import answer_of, far_signals, row_signals
from batchproof_server.observing.capture.kept_files import LocalFiles
from batchproof_server.observing.capture.observer import CaptureObserver
from batchproof_server.observing.capture.redaction import Redact, load_hook
from batchproof_server.observing.capture.settings import CaptureSettings
from batchproof_server.observing.capture.store import CaptureStore
from batchproof_server.observing.result_counts import CAPTURED_ROWS, ResultCounts
from support.bundles_on_disk import picture
from support.drift_fixtures import profile, record
from support.patience import HOPELESS_S, PATIENCE_S

REFERENCE = profile()
LABELS = ("cat", "dog", "owl")
NOTHING = CaptureSettings(random_share=0.0, low_confidence=0.0, far_deviations=0.0)


class Bench:
    """Captures into a folder."""

    def __init__(
        self, folder: Path, settings: CaptureSettings, redact: Redact | None = None
    ) -> None:
        settings = replace(settings, directory=str(folder))
        store = CaptureStore(settings, LocalFiles(folder))
        self.folder, self.counts = folder, ResultCounts(CAPTURED_ROWS)
        self.told: list[str] = []
        self.observer = CaptureObserver(settings, store, redact, self.counts, self.told.append)
        facts = VersionFacts(class_labels=LABELS, profile=KnownProfile.of(REFERENCE))
        state = VersionState.READY
        self.observer.follow_version(VersionChanged("digits", 3, None, state, facts))

    def answer(self, rows: int = 4, seed: int = 0, images: Sequence[bytes] | None = None) -> None:
        """A request was answered."""
        answered = replace(record(rows, seed=seed), model="digits", version=3)
        images = [picture(level=20 * n) for n in range(rows)] if images is None else images
        self.observer.take_answer(InputsAnswered(answered, images, None))

    def written(self) -> list[dict[str, Any]]:
        """What is said of the rows, once all is written."""
        self.observer.start()
        self.observer.close()
        assert not self.observer._thread.is_alive()
        files = sorted(self.folder.glob("*/*/records/*/*.json"))
        return [json.loads(file.read_text()) for file in files]


def test_nothing_is_kept_that_has_no_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path, NOTHING)
    bench.answer()

    assert bench.written() == []


def test_at_random_one_row_of_each_request_at_most_with_its_answer_and_signals(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, replace(NOTHING, random_share=1.0))
    bench.answer()

    (said,) = bench.written()
    answered = record(4).scores
    row = said["row"]
    assert said["answer"]["class"] == int(answered.decided[row])
    assert said["answer"]["label"] == LABELS[int(answered.decided[row])]
    assert said["signals"]["entropy"] == pytest.approx(float(answered.entropy[row]))
    assert (said["sample"], said["reasons"]) == ("random", [])
    content = (tmp_path / "digits/3" / said["file"]).read_bytes()
    assert content == picture(level=20 * row)


def test_a_row_that_is_unsure_is_suspicious_and_the_others_of_its_request_are_not(
    tmp_path: Path,
) -> None:
    confidences = record(4).scores.confidences
    bench = Bench(tmp_path, replace(NOTHING, low_confidence=float(np.median(confidences))))
    bench.answer()

    said = bench.written()
    assert {each["row"] for each in said} == set(
        np.flatnonzero(confidences < np.median(confidences))
    )
    assert {tuple(each["reasons"]) for each in said} == {("low_confidence",)}
    assert {each["sample"] for each in said} == {"suspicious"}


def test_a_row_far_from_the_profile_is_suspicious_by_the_signals_that_are_far(
    tmp_path: Path,
) -> None:
    signals = row_signals(record(4))
    far = far_signals(signals[0], REFERENCE, 1e-9)
    bench = Bench(tmp_path, replace(NOTHING, far_deviations=1e-9))
    bench.answer()

    said = {each["row"]: each for each in bench.written()}
    assert said[0]["reasons"] == [f"far:{name}" for name in far]
    assert "entropy" in far
    assert far_signals(signals[0], REFERENCE, 1e9) == []
    assert far_signals(signals[0], None, 1e-9) == []


def test_a_failed_self_check_is_kept_as_the_tensor_that_it_was(tmp_path: Path) -> None:
    bench = Bench(tmp_path, NOTHING)
    inputs = {"image": np.arange(4, dtype=np.float32)[np.newaxis]}
    checked = SelfCheckRecord("digits", 3, "different", "mine", 4, 2, 0.5, inputs=inputs)
    bench.observer.take_check(checked)
    bench.observer.take_check(replace(checked, result="identical", inputs=None))

    (said,) = bench.written()
    assert (said["request_id"], said["reasons"]) == ("mine", ["self_check"])
    with np.load(tmp_path / "digits/3" / said["file"]) as arrays:
        assert arrays["image"].tolist() == inputs["image"].tolist()


def test_what_is_too_much_is_dropped_and_counted_on_the_spot(tmp_path: Path) -> None:
    settings = replace(NOTHING, random_share=1.0, max_queued_bytes=len(picture()))
    bench = Bench(tmp_path, settings)
    for _ in range(3):  # nobody writes yet
        bench.answer(1)

    assert bench.counts.of("queue_full") == 2
    assert len(bench.written()) == 1


def test_no_more_than_so_many_of_a_sample_are_kept_in_a_minute(tmp_path: Path) -> None:
    bench = Bench(tmp_path, replace(NOTHING, random_share=1.0, max_per_minute=2))
    for _ in range(12):
        bench.answer(1)

    kept = len(bench.written())
    assert kept in {2, 4}  # a minute may end meanwhile
    assert bench.counts.of("rate") == 12 - kept


def hooked(tmp_path: Path, hook: Any) -> Bench:
    bench = Bench(tmp_path, replace(NOTHING, random_share=1.0), hook)
    bench.answer(1)
    bench.answer(1)
    return bench


def test_the_hook_decides_what_is_written_of_a_row(tmp_path: Path) -> None:
    def blackened(said: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
        said.pop("request_id")
        return {**said, "model": "../elsewhere", "seen_bytes": len(content)}, picture(level=0)

    said = hooked(tmp_path, blackened).written()

    assert all("request_id" not in each and each["model"] == "digits" for each in said)
    assert said[0]["seen_bytes"] == len(picture(level=0))
    assert (tmp_path / "digits/3" / said[0]["file"]).read_bytes() == picture(level=0)


def test_the_hook_may_keep_nothing(tmp_path: Path) -> None:
    bench = hooked(tmp_path, lambda _said, _content: None)

    assert bench.written() == []
    assert bench.counts.of("redacted") == 2


@pytest.mark.parametrize("answer", ["raises", "nonsense"])
def test_a_hook_that_fails_lets_nothing_be_written_and_is_told_once(
    tmp_path: Path, answer: str
) -> None:
    def failing(_said: dict[str, Any], _content: bytes) -> Any:
        if answer == "raises":
            raise KeyError("SECRET")
        return "nonsense"

    bench = hooked(tmp_path, failing)

    assert bench.written() == []
    assert bench.counts.of("failed") == 2
    assert len(bench.told) == 1
    assert "SECRET" not in bench.told[0]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("no.such.module:f", "capture.redact: no.such.module cannot be imported"),
        ("batchproof_hooks:missing", "batchproof_hooks has no missing"),
        ("batchproof_hooks:number", "batchproof_hooks:number is a int, expected a function"),
    ],
    ids=["module", "name", "kind"],
)
def test_a_hook_that_is_none_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, path: str, says: str
) -> None:
    module = ModuleType("batchproof_hooks")
    module.number = 3  # type: ignore[attr-defined] # made here
    monkeypatch.setitem(sys.modules, "batchproof_hooks", module)

    with pytest.raises(ValueError, match=says):
        load_hook(path)


def test_a_hook_is_found_by_its_path() -> None:
    assert load_hook("") is None
    found: Any = load_hook("json:loads")
    assert found is json.loads


def test_a_row_to_which_the_model_gave_nan_is_written_without_a_class() -> None:
    whole = record(2)
    decided = np.array([NO_ANSWER, whole.scores.decided[1]])
    poisoned = replace(whole, scores=replace(whole.scores, decided=decided))
    nothing: dict[str, Any] = {"class": None, "label": None, "confidence": None, "best": []}
    assert answer_of(poisoned, 0, LABELS) == nothing
    assert answer_of(poisoned, 1, LABELS)["label"] in LABELS


def test_files_that_hang_hold_up_neither_an_answer_nor_the_end_and_hold_no_more_than_may_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [picture(level=20 * n) for n in range(4)]
    limits = {"random_share": 1.0, "max_queued_bytes": sum(map(len, images))}
    bench = Bench(tmp_path, replace(NOTHING, **limits))  # type: ignore[arg-type] # keys
    go_on = threading.Event()
    monkeypatch.setattr(LocalFiles, "open", lambda _: go_on.wait(PATIENCE_S))
    monkeypatch.setattr(observer, "_LAST_S", HOPELESS_S)

    bench.observer.start()
    for _ in range(9):
        bench.answer(images=images)
    bench.observer.close()

    assert bench.observer._thread.is_alive()
    assert bench.counts.of("queue_full") == 8
    go_on.set()
    bench.observer._thread.join(PATIENCE_S)
    assert bench.counts.of("kept") == 1
