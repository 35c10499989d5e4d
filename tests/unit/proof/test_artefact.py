"""What is damaged or dangerous is refused before a loader touches it, in little memory."""

import json
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.proof.artefact.checking import audit_artefact, keras_2_finding
from batchproof_server.proof.findings import Severity
from batchproof_server.proof.rules import RULES
from support.artefact_fixtures import HOSTILE, archive, config_of, layer

GROWTH_KILOBYTES = 200_000


def rules(path: Path) -> list[str]:
    return [finding.rule_id for finding in audit_artefact(path)]


def test_a_file_as_keras_writes_it_has_no_finding(tmp_path: Path) -> None:
    assert audit_artefact(archive(tmp_path / "model.keras")) == ()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_or_broken_file_is_refused_with_a_clear_finding(
    name: str, tmp_path: Path
) -> None:
    rule_id, write = HOSTILE[name]
    artefact = write(tmp_path / "model.keras")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    findings = audit_artefact(artefact)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert rule_id in [finding.rule_id for finding in findings]
    assert any(finding.severity is Severity.FAIL for finding in findings)
    assert grown < GROWTH_KILOBYTES
    for finding in findings:
        assert finding.why
        assert finding.mend
        assert str(tmp_path) not in finding.sentence


@pytest.mark.parametrize("suffix", ["h5", "hdf5", "H5"])
def test_hdf5_is_refused_by_its_name(suffix: str, tmp_path: Path) -> None:
    assert rules(archive(tmp_path / f"model.{suffix}")) == ["BP010"]


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    assert rules(tmp_path / "model.keras") == ["BP001"]


def test_hdf5_is_told_the_line_that_converts_it(tmp_path: Path) -> None:
    (finding,) = audit_artefact(archive(tmp_path / "model.h5"))
    assert 'load_model("model.h5", compile=False).save("model.keras")' in finding.mend


def test_a_file_of_keras_2_that_is_refused_is_told_so(tmp_path: Path) -> None:
    members = {"metadata.json": b'{"keras_version": "2.15.0"}'}
    custom = config_of(layer("Attention2", "shop.layers"))
    path = archive(tmp_path / "model.keras", custom, members=members)
    assert rules(path) == ["BP013", "BP019"]
    assert "was saved by Keras 2.15.0" in audit_artefact(path)[1].sentence
    assert 'export("model")' in audit_artefact(path)[1].mend
    fine = archive(tmp_path / "fine.keras", members=members)
    assert rules(fine) == []
    found = keras_2_finding(fine)
    assert found is not None
    assert found.rule_id == "BP019"


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"{}",
        b"[]",
        b"no JSON",
        b"[" * 9999,
        b'{"keras_version": 2}',
        b'{"keras_version": "3.1"}',
    ],
    ids=["empty", "nothing", "list", "text", "deep", "number", "keras 3"],
)
def test_whatever_metadata_say_they_are_no_fault_of_their_own(
    metadata: bytes, tmp_path: Path
) -> None:
    path = archive(tmp_path / "model.keras", members={"metadata.json": metadata})
    assert rules(path) == []
    assert keras_2_finding(path) is None
    assert keras_2_finding(tmp_path / "none.keras") is None


@pytest.mark.parametrize("module", [None, "shop.layers", "kerasx", "os"])
def test_a_custom_class_is_named(module: str | None, tmp_path: Path) -> None:
    (finding,) = audit_artefact(
        archive(tmp_path / "model.keras", config_of(layer("Attention2", module)))
    )
    assert finding.rule_id == "BP013"
    assert 'custom class "Attention2"' in finding.sentence


def test_a_lambda_layer_is_named_once(tmp_path: Path) -> None:
    inner = {"class_name": "__lambda__", "config": {"code": "4wEA"}}
    (finding,) = audit_artefact(
        archive(tmp_path / "model.keras", config_of(layer("Lambda", function=inner)))
    )
    assert (finding.rule_id, finding.where) == ("BP012", 'layer "it"')


def test_python_code_in_the_place_of_an_activation_is_found(tmp_path: Path) -> None:
    inner = {"class_name": "__lambda__", "config": {"code": "4wEA"}}
    config = config_of(layer("Dense", activation=inner))
    assert rules(archive(tmp_path / "model.keras", config)) == ["BP012"]


def test_a_custom_function_inside_a_nested_model_is_named_once(tmp_path: Path) -> None:
    custom = {"module": "builtins", "class_name": "function", "config": "swoosh"}
    nested = layer("Functional", "keras", layers=[layer("A", activation=custom)] * 2)
    (finding,) = audit_artefact(archive(tmp_path / "model.keras", config_of(nested)))
    assert (finding.rule_id, finding.where) == ("BP013", 'function "swoosh"')


@given(st.data())
def test_a_damaged_file_never_raises(tmp_path_factory: Any, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("damaged") / "model.keras"
    content = bytearray(archive(path).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    for finding in audit_artefact(path):
        assert finding.rule_id in RULES


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    *("class_name", "config", "module", "layers", "inbound_nodes", "kwargs"),
                    *("training", "name", "dtype", "batch_shape", "trainable", "dropout"),
                )
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(config=json_values)
def test_any_configuration_is_judged_without_an_exception(
    tmp_path_factory: Any, config: Any
) -> None:
    path = tmp_path_factory.mktemp("odd") / "model.keras"
    archive(path, members={"config.json": json.dumps(config).encode()})
    for finding in audit_artefact(path):
        assert finding.rule_id in RULES


def saved_model(directory: Path) -> Path:
    variables = directory / "variables"
    variables.mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(bytes([8, 1, 18, 2, 10, 0]))
    (variables / "variables.index").write_bytes(b"table" + bytes.fromhex("57fb808b247547db"))
    (variables / "variables.data-00000-of-00001").write_bytes(b"\x80\x02values")
    (directory / "fingerprint.pb").write_bytes(b"\x08\x01")
    return directory


def test_a_whole_saved_model_has_no_finding(tmp_path: Path) -> None:
    assert audit_artefact(saved_model(tmp_path / "1")) == ()


def test_a_saved_model_without_a_fingerprint_is_noted(tmp_path: Path) -> None:
    (saved_model(tmp_path / "1") / "fingerprint.pb").unlink()
    (finding,) = audit_artefact(tmp_path / "1")
    assert (finding.rule_id, finding.severity) == ("BP018", Severity.NOTE)


@pytest.mark.parametrize(
    ("missing", "rule_id"),
    [
        ("saved_model.pb", "BP015"),
        ("variables/variables.index", "BP016"),
        ("variables/variables.data-00000-of-00001", "BP016"),
    ],
)
def test_what_a_saved_model_lacks_is_named(missing: str, rule_id: str, tmp_path: Path) -> None:
    (saved_model(tmp_path / "1") / missing).unlink()
    assert rules(tmp_path / "1") == [rule_id]


@pytest.mark.parametrize(
    "content",
    [b"", b"\x08", bytes([18, 200, 10]), bytes([0, 1]), b"\x0b\x01", b"\xff" * 12, b"\x0d\x01"],
)
def test_a_graph_cut_short_is_found(content: bytes, tmp_path: Path) -> None:
    (saved_model(tmp_path / "1") / "saved_model.pb").write_bytes(content)
    assert rules(tmp_path / "1") == ["BP015"]


def test_a_graph_of_more_than_a_message_is_refused_unread(tmp_path: Path) -> None:
    with (saved_model(tmp_path / "1") / "saved_model.pb").open("wb") as file:
        file.truncate(10 << 30)  # a sparse file
    assert rules(tmp_path / "1") == ["BP005"]


def test_a_damaged_index_and_missing_parts_are_found(tmp_path: Path) -> None:
    variables = saved_model(tmp_path / "1") / "variables"
    (variables / "variables.index").write_bytes(b"table")
    (variables / "variables.data-00000-of-00001").rename(
        variables / "variables.data-00000-of-00002"
    )
    assert rules(tmp_path / "1") == ["BP016", "BP016"]


def test_a_model_without_variables_is_whole(tmp_path: Path) -> None:
    for path in (saved_model(tmp_path / "1") / "variables").iterdir():
        path.unlink()
    assert rules(tmp_path / "1") == []


def test_a_saved_model_without_the_directory_of_variables_is_refused(tmp_path: Path) -> None:
    variables = saved_model(tmp_path / "1") / "variables"
    variables.rename(tmp_path / "elsewhere")
    assert rules(tmp_path / "1") == ["BP016"]


def test_pickles_and_links_in_a_saved_model_are_refused(tmp_path: Path) -> None:
    assets = saved_model(tmp_path / "1") / "assets"
    assets.mkdir()
    (assets / "vocabulary.pkl").write_bytes(b"x")
    (assets / "words").write_bytes(b"\x80\x04.")
    (assets / "passwords").symlink_to("/etc/passwd")
    assert sorted(rules(tmp_path / "1")) == ["BP003", "BP011", "BP011"]


def test_a_zip_with_a_long_comment_is_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as file:
        file.comment = b"c" * 60_000
    assert audit_artefact(path) == ()
