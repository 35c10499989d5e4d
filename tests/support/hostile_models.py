"""SavedModels that do more than compute, written as their authors could write them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

VECTOR = tf.TensorSpec((None, 3), tf.float32, name="vector")
_function: Callable[[Any], Any] = tf.function
# Writes a model into a directory; its program would write the witness.
Save = Callable[[Path, Path], None]


def after(effect: Any, value: Any) -> Any:
    """The value, once the effect is done."""
    with tf.control_dependencies([effect]):
        return tf.identity(value)


def save(directory: Path, answer: Callable[[Any], Any], **parts: Any) -> None:
    """A model that answers like this; ``parts`` are objects that it holds."""
    module = tf.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    serve = tf.function(
        lambda vector: {"scores": answer(vector)}, input_signature=[VECTOR], autograph=False
    )
    module.serve = serve
    tf.saved_model.save(module, str(directory), signatures={"serving_default": serve})


def writing(witness: Path) -> Any:
    """An operation that writes the witness."""
    return tf.io.write_file(str(witness), "written")


class Table(tf.saved_model.experimental.TrackableResource):  # type: ignore[misc]  # TensorFlow ships no types
    """A table whose functions do what a test wants, at the same place as an honest one's."""

    def __init__(self, witness: Path, step: str) -> None:
        super().__init__()
        self._witness, self._step = witness, step

    def _write_in(self, step: str) -> None:
        if self._step == step and not tf.executing_eagerly():
            writing(self._witness)

    def _create_resource(self) -> Any:
        self._write_in("create")
        return tf.raw_ops.HashTableV2(
            key_dtype=tf.int64, value_dtype=tf.int64, shared_name=f"table of {self._step}"
        )

    @_function
    def _initialize(self) -> Any:
        self._write_in("initialize")
        return 1

    @_function
    def _destroy_resource(self) -> None:
        self._write_in("destroy")


def endless(value: Any, when: Any) -> Any:
    """The value, after a loop of hours when something holds."""
    rounds = tf.where(when, 2_000_000_000, 1)
    return tf.while_loop(
        lambda turn, _: turn < rounds, lambda turn, kept: (turn + 1, kept * 1.0000001), (0, value)
    )[1]


def hanging(directory: Path) -> None:
    """Answers, but for a row with a large number, of which its loop makes no end."""
    save(
        directory,
        lambda vector: tf.map_fn(lambda row: endless(row, tf.reduce_max(row) > 1000.0), vector),
    )


def hanging_when_opened(directory: Path) -> None:
    """Never ends to initialise its table."""

    class Endless(Table):
        @_function
        def _initialize(self) -> Any:
            # Nobody takes what comes of it, so without a state TensorFlow would leave it out.
            return tf.while_loop(
                lambda turn, _: turn < 2_000_000_000,
                lambda turn, kept: (turn + 1, kept * tf.random.uniform(())),
                (0, tf.constant(1.0)),
            )[1]

    table = Endless(directory, "none")

    def answer(vector: Any) -> Any:
        _ = table.resource_handle
        return vector * 2

    save(directory, answer, table=table)


def with_table(step: str) -> Save:
    """Writes when its table is created, initialised or destroyed."""

    def save_it(directory: Path, witness: Path) -> None:
        table = Table(witness, step)

        def answer(vector: Any) -> Any:
            _ = table.resource_handle
            return vector * 2

        save(directory, answer, table=table)

    return save_it


class Remembering(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
    """Restores itself from a checkpoint by a function of its own."""

    def __init__(self, witness: Path) -> None:
        super().__init__()
        self._witness = witness

    def _serialize_to_tensors(self) -> dict[str, Any]:
        return {"value": tf.constant(1.0)}

    def _restore_from_tensors(self, restored: dict[str, Any]) -> Any:
        return after(writing(self._witness), restored["value"])


def restoring(directory: Path, witness: Path) -> None:
    """Writes when its state is restored."""
    state = Remembering(witness)
    save(directory, lambda vector: vector * 2, state=state)


def private_function(directory: Path, witness: Path) -> None:
    """Holds a function under a name that TensorFlow keeps for itself."""
    hidden = tf.function(lambda: after(writing(witness), 1.0), input_signature=[])
    hidden.get_concrete_function()
    holder = tf.Module()
    holder._maybe_initialize_trackable_again = hidden
    save(directory, lambda vector: vector * 2, holder=holder)


def text_table(directory: Path, file: Path) -> None:
    """Fills a table from any file of the machine, which is no asset."""

    class FromFile(Table):
        @_function
        def _initialize(self) -> Any:
            tf.raw_ops.InitializeTableFromTextFileV2(
                table_handle=self.resource_handle,
                filename=str(file),
                key_index=-1,
                value_index=-1,
            )
            return 1

    table = FromFile(file, "none")

    def answer(vector: Any) -> Any:
        _ = table.resource_handle
        return vector * 2

    save(directory, answer, table=table)


def vocabulary(directory: Path, words: Path) -> None:
    """Honest: looks codes up in a table that is filled from an asset."""
    words.write_text("3\n5\n8\n")
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            str(words), tf.int64, tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        default_value=-1,
    )  # fmt: skip

    def answer(vector: Any) -> Any:
        return tf.cast(table.lookup(tf.cast(vector, tf.int64)), tf.float32)

    save(directory, answer, table=table)


def of_tensorflow_1(directory: Path, witness: Path, writes_in: str = "") -> None:
    """As TensorFlow 1 wrote it; writes in its main operation, in a table's, or when restored."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        vector = v1.placeholder(tf.float32, (None, 3), name="vector")
        weight = v1.get_variable("weight", initializer=2.0, use_resource=False)
        table = v1.lookup.StaticHashTable(
            v1.lookup.KeyValueTensorInitializer([1, 2], [3, 4], tf.int64, tf.int64), -1
        )
        found = tf.cast(table.lookup(tf.cast(vector, tf.int64)), tf.float32)
        scores = tf.identity(vector * weight + found, name="scores")
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        saver = v1.train.Saver()
        main_op = v1.tables_initializer()
        if writes_in == "main operation":
            main_op = tf.group(main_op, writing(witness))
        if writes_in == "table":
            v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, writing(witness))
        if writes_in == "answer":
            scores = after(writing(witness), scores)
        builder = v1.saved_model.builder.SavedModelBuilder(str(directory))
        signature = v1.saved_model.predict_signature_def({"vector": vector}, {"scores": scores})
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, saver=saver,
            main_op=None if writes_in == "table" else main_op,
        )  # fmt: skip
        builder.save()
    if writes_in == "restoring":
        edit(directory, lambda graph: _restore_after_writing(graph, witness))


def _restore_after_writing(graph: Any, witness: Path) -> None:
    nodes = graph.graph_def.node
    (restore,) = [node for node in nodes if node.name == graph.saver_def.restore_op_name]
    with tf.Graph().as_default() as planted:
        writing(witness)
    for node in planted.as_graph_def().node:
        copied = nodes.add()
        copied.CopyFrom(node)
        copied.name = f"planted/{node.name}"
        copied.input[:] = [f"planted/{name}" for name in node.input]
        if node.op == "WriteFile":
            restore.input.append(f"^{copied.name}")


def edit(directory: Path, change: Callable[[Any], None]) -> None:
    """Changes the first graph of a saved model, as a program of an attacker would."""
    file = directory / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(model.meta_graphs[0])
    file.write_bytes(model.SerializeToString())
