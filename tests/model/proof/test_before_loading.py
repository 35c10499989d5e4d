"""A SavedModel is judged before TensorFlow loads it: what it must not do is never done."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from batchproof_server.backends.examining import check_safe, examine, open_audited
from batchproof_server.backends.saved_model.kind import KIND
from batchproof_server.backends.tensorflow.engine import ENGINE
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.proof.effects import effect
from support import hostile_models as hostile
from support.model_fixtures import save_exported, save_table

SETTINGS = EngineSettings()
Answer = Callable[[Any, Path], Any]


def refusal(artefact: Path) -> ModelRefused:
    with pytest.raises(ModelRefused) as refused:
        check_safe(KIND, artefact)
    return refused.value


def _published(vector: Any, witness: Path) -> Any:
    return tf.raw_ops.DebugIdentityV2(
        input=vector, tfdbg_context_id="a", op_name="b", output_slot=0,
        tensor_debug_mode=-1, debug_urls=[f"file://{witness}"],
    )  # fmt: skip


def _published_by_the_old_debugger(vector: Any, witness: Path) -> Any:
    return tf.raw_ops.DebugIdentity(input=vector, debug_urls=[f"file://{witness}"])


def _printed(vector: Any, witness: Path) -> Any:
    return hostile.after(tf.print(vector, output_stream=f"file://{witness}"), vector)


def _summarised(vector: Any, witness: Path) -> Any:
    writer = tf.raw_ops.SummaryWriter(shared_name="", container="")
    made = tf.raw_ops.CreateSummaryFileWriter(
        writer=writer, logdir=str(witness), max_queue=1, flush_millis=1, filename_suffix=""
    )
    return hostile.after(made, vector)


def _in_a_branch(vector: Any, witness: Path) -> Any:
    return tf.cond(
        tf.reduce_sum(vector) > 100.0,
        lambda: hostile.after(hostile.writing(witness), vector),
        lambda: vector,
    )


@pytest.mark.parametrize(
    ("rule_id", "operation", "answer"),
    [
        ("BP206", "WriteFile", lambda x, at: hostile.after(hostile.writing(at), x)),
        ("BP206", "WriteFile", _in_a_branch),
        ("BP206", "PrintV2", _printed),
        ("BP206", "DebugIdentityV2", _published),
        ("BP206", "DebugIdentity", _published_by_the_old_debugger),
        ("BP206", "CreateSummaryFileWriter", _summarised),
        ("BP205", "PyFunc", lambda x, _: tf.numpy_function(lambda a: a, [x], tf.float32)),
        ("BP209", "Timestamp", lambda x, _: x + tf.cast(tf.timestamp(), tf.float32)),
        ("BP208", "ReduceDataset", lambda x, _: x + _sum_of_a_dataset()),
        ("BP213", "Empty", lambda x, _: x + tf.raw_ops.Empty(shape=[3], dtype=tf.float32)),
    ],
)
def test_an_answer_that_reaches_out_of_the_graph_is_refused_before_it_is_loaded(
    tmp_path: Path, rule_id: str, operation: str, answer: Answer
) -> None:
    witness = tmp_path / "witness"
    hostile.save(tmp_path / "model", lambda vector: answer(vector, witness))
    refused = refusal(tmp_path / "model")
    assert str(refused) == "model is not safe to load"
    assert any(rule_id in each and operation in each for each in refused.findings)
    assert any('signature "serving_default"' in each for each in refused.findings)
    assert not witness.exists()


def _sum_of_a_dataset() -> Any:
    dataset = tf.data.Dataset.range(3)
    return tf.cast(dataset.reduce(np.int64(0), lambda total, each: total + each), tf.float32)


@pytest.mark.parametrize(
    ("what", "save"),
    [
        ('"_create_resource" of an object', hostile.with_table("create")),
        ('"_initialize" of an object', hostile.with_table("initialize")),
        ('"_destroy_resource" of an object', hostile.with_table("destroy")),
        ("restoring an object", hostile.restoring),
        ('"_maybe_initialize_trackable_again" of an object', hostile.private_function),
        ("initialises it", partial(hostile.of_tensorflow_1, writes_in="main operation")),
        ("initialises it", partial(hostile.of_tensorflow_1, writes_in="table")),
        ("restores it", partial(hostile.of_tensorflow_1, writes_in="restoring")),
    ],
)
def test_what_loading_would_execute_is_refused_before_it_is_loaded(
    tmp_path: Path, what: str, save: hostile.Save
) -> None:
    witness = tmp_path / "witness"
    save(tmp_path / "model", witness)
    witness.unlink(missing_ok=True)
    findings = refusal(tmp_path / "model").findings
    assert all(finding.startswith("BP206 ") for finding in findings)
    assert any(
        "WriteFile would be executed while it is loaded" in finding and what in finding
        for finding in findings
    )
    assert not witness.exists()


def test_a_model_of_tensorflow_1_is_judged_by_its_answer_too(tmp_path: Path) -> None:
    hostile.of_tensorflow_1(tmp_path / "model", tmp_path / "witness", writes_in="answer")
    (finding,) = refusal(tmp_path / "model").findings
    assert 'to answer (signature "serving_default")' in finding


def test_a_table_is_filled_from_no_file_but_an_asset(tmp_path: Path) -> None:
    hostile.text_table(tmp_path / "model", Path("/etc/hostname"))
    (finding,) = refusal(tmp_path / "model").findings
    assert "InitializeTableFromTextFileV2 would be executed while it is loaded" in finding


@pytest.mark.parametrize("name", ["/etc/passwd", "../../elsewhere.txt", "a/../../b"])
def test_an_asset_lies_in_the_directory_of_the_artefact(tmp_path: Path, name: str) -> None:
    hostile.vocabulary(tmp_path / "model", tmp_path / "words.txt")

    def lead_out(graph: Any) -> None:
        graph.asset_file_def[0].filename = name

    hostile.edit(tmp_path / "model", lead_out)
    (finding,) = refusal(tmp_path / "model").findings
    assert finding.startswith(f"BP003 {name}: ")


def test_a_graph_that_is_no_message_of_tensorflow_is_refused(tmp_path: Path) -> None:
    hostile.save(tmp_path / "model", lambda vector: vector * 2)
    # One field with the number of the graphs, whose content is no graph.
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"\x12\x03\x0a\xff\xff")
    (finding,) = refusal(tmp_path / "model").findings
    assert finding.startswith("BP015 saved_model.pb: is no message of TensorFlow")


@pytest.mark.parametrize(
    "save",
    [
        lambda at: hostile.vocabulary(at / "model", at / "words.txt"),
        lambda at: hostile.of_tensorflow_1(at / "model", at / "none"),
        lambda at: hostile.with_table("none")(at / "model", at / "none"),
        lambda at: save_exported(at).rename(at / "model"),
        lambda at: save_table(at).rename(at / "model"),
    ],
)
def test_an_honest_model_may_restore_its_variables_and_fill_its_tables(
    tmp_path: Path, save: Callable[[Path], object]
) -> None:
    save(tmp_path)
    assert {finding.severity.name for finding in check_safe(KIND, tmp_path / "model")} <= {"NOTE"}
    opened = open_audited(KIND, tmp_path / "model", SETTINGS)
    examined = examine(opened, ENGINE, (2, 4), SETTINGS)
    examined.backend.close()


def test_a_function_that_is_not_served_may_do_what_it_likes(tmp_path: Path) -> None:
    training = tf.Module()
    training.read = tf.function(
        lambda: tf.io.read_file(str(tmp_path / "pictures")), input_signature=[]
    )
    hostile.save(tmp_path / "model", lambda vector: vector * 2, training=training)
    check_safe(KIND, tmp_path / "model")


def _size_that_a_file_says(vector: Any, witness: Path) -> Any:
    size = tf.strings.to_number(tf.io.read_file(str(witness)), tf.int32)
    return vector + tf.reduce_sum(tf.fill([size], 1.0))


def _size_that_the_old_debugger_writes(vector: Any, witness: Path) -> Any:
    size = tf.raw_ops.DebugIdentity(input=tf.constant([3]), debug_urls=[f"file://{witness}"])
    return vector + tf.reduce_sum(tf.fill(size, 1.0))


@pytest.mark.parametrize(
    ("operation", "answer"),
    [("ReadFile", _size_that_a_file_says), ("DebugIdentity", _size_that_the_old_debugger_writes)],
)
def test_what_tensorflow_would_compute_to_know_a_shape_is_refused_although_nobody_calls_it(
    tmp_path: Path, operation: str, answer: Answer
) -> None:
    witness = tmp_path / "witness"
    witness.write_text("3")
    training = tf.Module()
    training.step = tf.function(
        lambda vector: answer(vector, witness), input_signature=[hostile.VECTOR], autograph=False
    )
    hostile.save(tmp_path / "model", lambda vector: vector * 2, training=training)
    (finding,) = refusal(tmp_path / "model").findings
    assert finding.startswith("BP206 ")
    assert f"{operation} of constants would be executed while its shapes are inferred" in finding


def test_a_function_that_is_not_served_may_read_the_files_that_it_is_told(tmp_path: Path) -> None:
    training = tf.Module()
    path = tf.TensorSpec((), tf.string, name="path")
    training.read = tf.function(
        lambda path: tf.io.decode_png(tf.io.read_file(path)), input_signature=[path]
    )
    hostile.save(tmp_path / "model", lambda vector: vector * 2, training=training)
    check_safe(KIND, tmp_path / "model")


def test_what_the_files_did_not_tell_is_refused_before_it_is_executed(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    hostile.save(tmp_path / "model", lambda vector: hostile.after(hostile.writing(witness), vector))
    blind = replace(KIND, audit_program=lambda _: ())
    opened = open_audited(blind, tmp_path / "model", SETTINGS)
    with pytest.raises(ModelRefused, match="model is not safe to execute") as refused:
        examine(opened, ENGINE, (2, 4), SETTINGS)
    assert refused.value.findings[0].startswith("BP206 ")
    assert not witness.exists()


# What the names of inputs and attributes say of files, addresses and other programs.
_REACHES_OUT = re.compile(
    r"(?<!top_)(file|path|pattern_file|url|address|directory|\bdir\b|output_stream|descriptor_source)"
)


def test_no_operation_that_takes_a_file_or_an_address_is_taken_for_harmless() -> None:
    harmless = {}
    for name in dir(tf.raw_ops):
        definition = op_def_registry.get(name)
        if definition is None:
            continue
        fields = [field.name for field in (*definition.input_arg, *definition.attr)]
        reaches = [field for field in fields if _REACHES_OUT.search(field)]
        if reaches and not _rule(definition, targets=["a file"]):
            harmless[name] = reaches
    assert harmless == {}


def test_every_operation_with_state_is_known_or_refused() -> None:
    definitions = [op_def_registry.get(name) for name in dir(tf.raw_ops)]
    stateful = [each for each in definitions if each is not None and each.is_stateful]
    assert len(stateful) > 400
    passed = {each.name for each in stateful if _rule(each) in (None, "BP212")}
    assert passed == PASSED_ALTHOUGH_STATEFUL


def _rule(definition: Any, targets: list[str] | None = None) -> str | None:
    return effect(
        definition.name,
        is_training=lambda: False,
        stateful=definition.is_stateful,
        targets=targets or [],
    )


# Looked at one by one: they call functions, read the model's own state, check, or keep lists that
# live as long as one execution. Whoever adds one has read its kernel.
PASSED_ALTHOUGH_STATEFUL = frozenset(
    """
    AnonymousHashTable AnonymousMutableDenseHashTable AnonymousMutableHashTable
    AnonymousMutableHashTableOfTensors Assert Case CheckNumerics CheckNumericsV2 CudnnRNN
    CudnnRNNV2 CudnnRNNV3 DebugIdentityV2 DebugIdentityV3 DeepCopy DeviceIndex
    DisableCopyOnRead GuaranteeConst HashTable HashTableV2 If LookupTableExportV2
    LookupTableFindV2 LookupTableSizeV2 MutableDenseHashTable MutableDenseHashTableV2
    MutableHashTable MutableHashTableOfTensors MutableHashTableOfTensorsV2 MutableHashTableV2
    Print PrintV2 ReadVariableOp ResourceGather ResourceGatherNd StatefulPartitionedCall
    StatelessRandomGetAlg TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3
    TensorArrayGradV3 TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3
    TensorArrayV3 TensorArrayWriteV3 VarHandleOp VarIsInitializedOp Variable VariableShape
    VariableV2 While
    """.split()  # noqa: SIM905 - fifty names are read more easily as text
)
