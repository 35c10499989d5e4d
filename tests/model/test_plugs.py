"""What every artefact kind and every engine of the plug list keeps."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from batchproof_server.backends.artefact import ArtefactKind, LayeredKind
from batchproof_server.backends.engine import Engine
from batchproof_server.backends.examining import engines_for
from batchproof_server.backends.keras import kind as keras
from batchproof_server.backends.openvino import engine as openvino
from batchproof_server.backends.plug_list import artefact_kinds, engines
from batchproof_server.backends.source import IntermediateSource, Source
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from support.backend_contract import pick, random_rows, same_bits
from support.model_fixtures import save_cnn, save_exported
from support.onnx_files import linear_model

SETTINGS: Final = EngineSettings()
BUCKETS_ROWS: Final = (1, 2, 4)


def save_affine(directory: Path) -> None:
    content = {"input_shape": [5, 4, 3], "input_dtype": "uint8", "classes": 10}
    (directory / "affine.json").write_text(json.dumps({**content, "scale": 0.3, "offset": -1.1}))


def save_keras(directory: Path) -> None:
    save_cnn(directory).rename(directory / "model.keras")


def save_saved_model(directory: Path) -> None:
    shutil.copytree(save_exported(directory), directory, dirs_exist_ok=True)


def save_openvino_ir(directory: Path) -> None:
    elsewhere = directory / "made of"
    elsewhere.mkdir()
    source = keras.KIND.open(save_cnn(elsewhere), SETTINGS)
    source.repair()
    converted = openvino.ENGINE.own(source, BUCKETS_ROWS)
    assert isinstance(converted, IntermediateSource)
    converted.write(directory)


def save_onnx(directory: Path) -> None:
    (directory / "model.onnx").write_bytes(linear_model(np.ones((6, 4), np.float32)))


# The name of a kind -> what puts an artefact of it into a directory.
SAVE: dict[str, Callable[[Path], object]] = {
    "keras": save_keras,
    "saved_model": save_saved_model,
    "openvino_ir": save_openvino_ir,
    "onnx": save_onnx,
    "affine": save_affine,
}
KINDS = {kind.name: kind for kind in artefact_kinds()}
PAIRS = [(kind, engine) for kind in KINDS.values() for engine in engines() if engine.executes(kind)]
LAYERED = [kind for kind in KINDS.values() if isinstance(kind, LayeredKind)]
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
each_pair = pytest.mark.parametrize(
    ("kind", "engine"), PAIRS, ids=[f"{kind.name} on {engine.name}" for kind, engine in PAIRS]
)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, save in SAVE.items():
        made[name] = tmp_path_factory.mktemp(name)
        save(made[name])
    return made


def opened(kind: ArtefactKind, bundles: dict[str, Path]) -> Source:
    return kind.open(kind.artefact_in(bundles[kind.name]), SETTINGS)


def test_every_kind_and_every_engine_is_tried_here() -> None:
    assert SAVE.keys() == KINDS.keys()
    assert {engine.name for _, engine in PAIRS} == {engine.name for engine in engines()}


@each_kind
def test_a_kind_takes_its_own_files_and_no_others(
    kind: ArtefactKind, bundles: dict[str, Path], tmp_path: Path
) -> None:
    assert [name for name, bundle in bundles.items() if kind.lies_in(bundle)] == [kind.name]
    assert not kind.lies_in(tmp_path)


@each_kind
def test_the_digest_is_made_of_the_artefacts_files_and_of_nothing_else(
    kind: ArtefactKind, bundles: dict[str, Path], tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(bundles[kind.name], tmp_path / "bundle"))
    artefact = kind.artefact_in(bundle)
    files = list(kind.files(artefact))
    before = kind.digest(artefact)
    assert bundle / kind.file in files
    (bundle / "labels.txt").write_text("cat")
    assert kind.digest(artefact) == before
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content + b"\0")
        assert kind.digest(artefact) != before
        file.write_bytes(content)
    assert kind.digest(artefact) == before


AUDIT = """
import sys
from pathlib import Path
from batchproof_server.backends.examining import engines_for
from batchproof_server.backends.keras import kind as keras
from batchproof_server.backends.openvino import engine as openvino
from batchproof_server.backends.plug_list import artefact_kinds

(kind,) = [kind for kind in artefact_kinds() if kind.name == sys.argv[1]]
kind.audit(kind.artefact_in(Path(sys.argv[2])))
print([name for name in ("tensorflow", "keras") if name in sys.modules])
"""


@each_kind
def test_the_audit_of_the_files_loads_nothing_and_imports_no_engine(
    kind: ArtefactKind, bundles: dict[str, Path]
) -> None:
    command = [sys.executable, "-c", AUDIT, kind.name, str(bundles[kind.name])]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    assert said.stdout == "[]\n"


@each_kind
def test_the_audit_raises_for_no_damage_and_opening_refuses_it_without_a_path(
    kind: ArtefactKind, bundles: dict[str, Path], tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(bundles[kind.name], tmp_path / "bundle"))
    (bundle / kind.file).write_bytes(b"\xff torn")
    artefact = kind.artefact_in(bundle)
    kind.audit(artefact)
    with pytest.raises(ModelRefused) as refused:
        kind.open(artefact, SETTINGS)
    assert refused.value.findings
    assert str(tmp_path) not in " ".join((str(refused.value), *refused.value.findings))


@each_kind
def test_an_artefact_opens_as_its_kind_says_and_engines_keep_what_they_told_of_it(
    kind: ArtefactKind, bundles: dict[str, Path]
) -> None:
    source = opened(kind, bundles)
    assert isinstance(source, kind.opens_as)
    for engine in engines():
        assert engine.accepts(source) == engine.executes(kind)


@each_kind
def test_repairing_again_changes_nothing_and_leaves_nothing_to_find(
    kind: ArtefactKind, bundles: dict[str, Path]
) -> None:
    source = opened(kind, bundles)
    source.repair()
    assert source.repair() == ()
    assert [each for each in source.audit() if each.severity == "fail"] == []
    assert [each for each in source.audit_graphs((1, 2)) if each.severity == "fail"] == []


@each_pair
def test_an_engine_compiles_every_bucket_and_bucket_1_too(
    kind: ArtefactKind, engine: Engine, bundles: dict[str, Path]
) -> None:
    source = opened(kind, bundles)
    source.repair()
    backend = engine.compile(engine.own(source, BUCKETS_ROWS), BUCKETS_ROWS, SETTINGS)
    assert backend.signature == source.signature(BUCKETS_ROWS)
    assert backend.engine.startswith(engine.name)
    for rows in BUCKETS_ROWS:
        outputs = backend.execute(random_rows(backend, rows, 0))
        for spec in backend.signature.outputs:
            assert spec.admits(outputs[spec.name])
            assert outputs[spec.name].shape[0] == rows
    with pytest.raises(ValueError, match="3 rows"):
        backend.execute(random_rows(backend, 3, 0))


@each_pair
def test_a_source_belongs_to_no_engine_and_may_be_compiled_twice(
    kind: ArtefactKind, engine: Engine, bundles: dict[str, Path]
) -> None:
    source = opened(kind, bundles)
    first = engine.compile(engine.own(source, (2, 4)), (2, 4), SETTINGS)
    second = engine.compile(engine.own(source, (4,)), (4,), SETTINGS)
    inputs = random_rows(first, 4, 0)
    answers = first.execute(inputs)
    first.close()
    del source
    assert same_bits(answers, second.execute(inputs))


@pytest.mark.parametrize("kind", LAYERED, ids=[kind.name for kind in LAYERED])
def test_a_kind_with_layers_is_repaired_on_disk_and_shows_them(
    kind: LayeredKind, bundles: dict[str, Path], tmp_path: Path
) -> None:
    source = kind.open(kind.artefact_in(bundles[kind.name]), SETTINGS)
    assert source.repair()
    source.save(tmp_path / kind.file)
    mended = kind.open(tmp_path / kind.file, SETTINGS)
    assert mended.repair() == ()
    backend = engines_for(mended, engines())[-1].compile(mended, (2,), SETTINGS)
    inputs = random_rows(backend, 2, 0)
    assert source.predict(inputs, 1).keys() == backend.execute(inputs).keys()
    penultimate = source.penultimate()
    assert penultimate is not None
    assert penultimate.layer
    (rows,) = pick(inputs, [0, 1]).values()
    assert penultimate(rows).shape[0] == 2
