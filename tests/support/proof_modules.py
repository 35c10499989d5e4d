"""Functions of TensorFlow that keep rows apart, and functions that do not."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from support.proof_fixtures import CHANNELS, IMAGE_SHAPE, PIXELS, ROWS, Module

_FEATURES = PIXELS * PIXELS * CHANNELS


def plain(function: Callable[[Any], Any]) -> Callable[[], Module]:
    """A module without variables: from the batch to the answer."""
    return lambda: Module(lambda batch: {"answer": function(batch)})


def flat(function: Callable[[Any], Any]) -> Callable[[], Module]:
    """The same over ``[rows, 144]``."""
    return plain(lambda batch: function(tf.reshape(batch, [-1, _FEATURES])))


class Holder(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
    """Keeps what a function needs."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def _counting() -> Module:
    holder = Holder(count=tf.Variable(0.0))

    def answer(batch: Any) -> dict[str, Any]:
        holder.count.assign_add(1.0)
        return {"answer": tf.reduce_sum(batch, [1, 2, 3])}

    return Module(answer, holder, lambda: float(holder.count))


def _counting_deep_inside() -> Module:
    holder = Holder(count=tf.Variable(0.0))

    @tf.function  # type: ignore[untyped-decorator]
    def inner(batch: Any) -> Any:
        return tf.cond(
            tf.shape(batch)[1] > 2, lambda: holder.count.assign_add(1.0), lambda: holder.count + 1.0
        )

    def answer(batch: Any) -> dict[str, Any]:
        return {"answer": tf.reduce_sum(batch, [1, 2, 3]) + inner(batch)}

    return Module(answer, holder, lambda: float(holder.count))


def _fused_norm(*, training: bool) -> Module:
    vectors = {
        name: tf.Variable(np.linspace(low, 2, CHANNELS), dtype=tf.float32)
        for name, low in (("scale", 1), ("offset", 0), ("mean", -1), ("variance", 0.5))
    }
    holder = Holder(**vectors)

    def answer(batch: Any) -> dict[str, Any]:
        seen = tf.raw_ops.FusedBatchNormV3(
            x=batch,
            scale=holder.scale,
            offset=holder.offset,
            mean=[] if training else holder.mean,
            variance=[] if training else holder.variance,
            is_training=training,
        )
        return {"answer": seen.y}

    return Module(answer, holder)


def _seeded_by_variable() -> Module:
    holder = Holder(seed=tf.Variable([1, 2]))

    def answer(batch: Any) -> dict[str, Any]:
        noise = tf.random.stateless_normal(tf.shape(batch), holder.seed)
        holder.seed.assign_add([1, 1])
        return {"answer": batch + noise}

    return Module(answer, holder)


def _writing() -> Module:
    path = Path(tempfile.mkdtemp()) / "trace"

    def answer(batch: Any) -> dict[str, Any]:
        tf.io.write_file(str(path), tf.strings.as_string(tf.size(batch)))
        return {"answer": batch * 2}

    return Module(answer, None, path.exists)


def _reading() -> Module:
    path = Path(tempfile.mkdtemp()) / "factor"
    path.write_text("2")

    def answer(batch: Any) -> dict[str, Any]:
        # TensorFlow would read a constant path once and keep what it read.
        name = tf.gather([str(path)], tf.cast(0 * batch[0, 0, 0, 0], tf.int32))
        factor = tf.strings.to_number(tf.io.read_file(name))
        return {"answer": batch * factor}

    def snapshot() -> object:
        # Somebody else writes the file between two calls.
        path.write_text(str(int(path.read_text()) + 1))
        return "unchanged by the call"

    return Module(answer, None, snapshot)


def _remembering() -> Module:
    table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, -1.0)
    holder = Holder(table=table)

    def answer(batch: Any) -> dict[str, Any]:
        keys = tf.range(3, dtype=tf.int64)
        table.insert(keys, tf.ones([3]))
        return {"answer": batch * 2}

    return Module(answer, holder, lambda: int(table.size()))


def _python(batch: Any) -> Any:
    seen: list[int] = []

    def odd(rows: Any) -> Any:
        seen.append(1)
        return rows * len(seen)

    return tf.ensure_shape(tf.numpy_function(odd, [batch], tf.float32), batch.shape)


def _until_all_small(batch: Any) -> Any:
    return tf.while_loop(
        lambda rows: tf.reduce_max(tf.abs(rows)) > 1, lambda rows: (rows / 2,), (batch,)
    )[0]


def _batch_decides(batch: Any) -> Any:
    return tf.cond(tf.reduce_mean(batch) > 0.6, lambda: batch * 2, lambda: batch - 1)


def _case_by_batch(batch: Any) -> Any:
    return tf.switch_case(
        tf.cast(tf.reduce_mean(batch) > 0.6, tf.int32), [lambda: batch, lambda: batch * 3]
    )


def _running_state(batch: Any) -> Any:
    return tf.scan(lambda state, row: 0.5 * state + row, batch)


def _with_positions(batch: Any) -> Any:
    places = tf.cast(tf.range(tf.shape(batch)[0]), tf.float32)
    return batch + 0.1 * places[:, None, None, None]


def _queued() -> Module:
    queue = tf.queue.FIFOQueue(10_000, tf.float32, shapes=())

    def answer(batch: Any) -> dict[str, Any]:
        queue.enqueue(1.0)
        return {"answer": batch * 2}

    return Module(answer, Holder(queue=queue), lambda: int(queue.size()))


BAD_MODULES: Mapping[str, Callable[[], Module]] = {
    "fused BatchNorm in training mode": lambda: _fused_norm(training=True),
    "moments over the batch": plain(
        lambda x: tf.nn.batch_normalization(x, *tf.nn.moments(x, [0, 1, 2]), None, None, 1e-3)
    ),
    "minus the mean of the batch": plain(lambda x: x - tf.reduce_mean(x, axis=0)),
    "minus the mean of everything": plain(lambda x: x - tf.reduce_mean(x)),
    "softmax over the rows": flat(lambda x: tf.nn.softmax(x, axis=0)),
    "running sum over the rows": flat(lambda x: tf.cumsum(x, axis=0)),
    "reversed rows": flat(lambda x: tf.reverse(x, [0])),
    "reversed rows by a step": flat(lambda x: x[::-1]),
    "rolled rows": flat(lambda x: tf.roll(x, 1, axis=0)),
    "rows times rows": flat(lambda x: tf.matmul(x, x, transpose_b=True)),
    "rows times rows by letters": flat(lambda x: tf.einsum("if,jf,jg->ig", x, x, x)),
    "attention between rows": flat(
        lambda x: tf.matmul(tf.nn.softmax(tf.matmul(x, x, transpose_b=True)), x)
    ),
    "rows reshaped into each other": plain(
        lambda x: tf.reshape(tf.cumsum(tf.reshape(x, [-1]))[: tf.size(x)], tf.shape(x))
    ),
    "rows transposed away": plain(
        lambda x: tf.transpose(tf.nn.softmax(tf.transpose(x, [1, 2, 3, 0])), [3, 0, 1, 2])
    ),
    "the neighbour's row": flat(
        lambda x: tf.gather(x, tf.math.floormod(tf.range(tf.shape(x)[0]) + 1, tf.shape(x)[0]))
    ),
    "the first row beside each": flat(
        lambda x: tf.concat([x, tf.repeat(x[:1], tf.shape(x)[0], axis=0)], axis=1)
    ),
    "the best over the rows": flat(
        lambda x: x * tf.cast(tf.argmax(x, axis=0), x.dtype)[tf.newaxis]
    ),
    "rows in order of their sums": flat(
        lambda x: tf.gather(x, tf.argsort(tf.reduce_sum(x, axis=1)))
    ),
    "the largest over the batch": flat(
        lambda x: x - tf.math.top_k(tf.transpose(x), 1).values[:, 0]
    ),
    "a norm of everything": flat(lambda x: x / tf.norm(x)),
    "clipped by the norm of everything": flat(lambda x: tf.clip_by_norm(x, 3.0)),
    "only some rows are counted": flat(
        lambda x: x * tf.cast(tf.size(tf.unique(tf.round(x[:, 0])).y), x.dtype)
    ),
    "rows picked by content": flat(
        lambda x: x + tf.reduce_sum(tf.boolean_mask(x, x[:, 0] > 0), axis=0)
    ),
    "rows sorted into parts": flat(
        lambda x: (
            x - tf.reduce_sum(tf.dynamic_partition(x, tf.cast(x[:, 0] > 0, tf.int32), 2)[0], axis=0)
        )
    ),
    "sums by groups of rows": flat(
        lambda x: x - tf.math.unsorted_segment_sum(x, tf.cast(x[:, 0] > 0, tf.int32), 2)[0]
    ),
    "the place in the batch": plain(_with_positions),
    "a branch that the batch takes": plain(_batch_decides),
    "a case that the batch takes": plain(_case_by_batch),
    "a loop until the whole batch is small": plain(_until_all_small),
    "state from row to row": plain(_running_state),
    "rows as channels": plain(
        lambda x: tf.transpose(
            tf.nn.conv2d(
                tf.transpose(x, [3, 1, 2, 0]),
                tf.ones([1, 1, ROWS, ROWS]) + tf.eye(ROWS),
                1,
                "SAME",
            ),
            [3, 1, 2, 0],
        )
    ),
    "quantised by the range of the batch": plain(
        lambda x: tf.quantization.quantize_and_dequantize_v2(x, 0, 0, range_given=False, num_bits=4)
    ),
    "counts its calls": _counting,
    "counts its calls deep inside": _counting_deep_inside,
    "random noise": plain(lambda x: x + tf.random.normal(tf.shape(x))),
    "random order": plain(tf.random.shuffle),
    "noise from a seed that moves": _seeded_by_variable,
    "a Python function": plain(_python),
    "writes a file": _writing,
    "reads a file": _reading,
    "writes a table": _remembering,
    "fills a queue": _queued,
    "asks for the time": plain(lambda x: x + tf.cast(tf.timestamp() % 1000, tf.float32)),
}


def _windows(batch: Any) -> Any:
    """Partition into windows and back, as Swin does."""
    parts = tf.reshape(batch, [-1, 2, 3, 2, 3, CHANNELS])
    windows = tf.reshape(tf.transpose(parts, [0, 1, 3, 2, 4, 5]), [-1, 9, CHANNELS])
    seen = tf.matmul(tf.nn.softmax(tf.matmul(windows, windows, transpose_b=True)), windows)
    back = tf.transpose(tf.reshape(seen, [-1, 2, 2, 3, 3, CHANNELS]), [0, 1, 3, 2, 4, 5])
    return tf.reshape(back, [-1, *IMAGE_SHAPE])


def _views(batch: Any) -> Any:
    """Test-time augmentation inside the model."""
    both = tf.concat([batch, tf.reverse(batch, [2])], axis=0)
    pooled = tf.nn.relu(tf.reduce_max(both, axis=[1, 2]))
    return tf.reduce_mean(tf.reshape(pooled, [2, -1, CHANNELS]), axis=0)


def _token(batch: Any) -> Any:
    tokens = tf.reshape(batch, [-1, PIXELS * PIXELS, CHANNELS])
    first = tf.broadcast_to(
        tf.constant([[[1.0, 2.0, 3.0, 4.0]]]), [tf.shape(batch)[0], 1, CHANNELS]
    )
    return tf.reduce_mean(tf.concat([first, tokens], axis=1), axis=1)


def _over_time(batch: Any) -> Any:
    start = tf.zeros([tf.shape(batch)[0], PIXELS, CHANNELS])
    return tf.while_loop(
        lambda step, _: step < PIXELS,
        lambda step, state: (step + 1, tf.tanh(state + batch[:, step])),
        (0, start),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, PIXELS, CHANNELS])),
    )[1]


def _looked_up() -> Module:
    pairs = tf.lookup.KeyValueTensorInitializer(
        tf.constant([0, 1], tf.int64), tf.constant([0.5, 1.5])
    )
    table = tf.lookup.StaticHashTable(pairs, -1.0)

    def answer(batch: Any) -> dict[str, Any]:
        return {"answer": table.lookup(tf.cast(batch[:, 0, 0] > 0, tf.int64))}

    return Module(answer, Holder(table=table))


def _fixed_features() -> Module:
    def answer(batch: Any) -> dict[str, Any]:
        weights = tf.random.stateless_normal([_FEATURES, 3], [1, 2])
        return {"answer": tf.reshape(batch, [-1, _FEATURES]) @ weights}

    return Module(answer)


def _configured(batch: Any) -> Any:
    return tf.cond(tf.shape(batch)[1] > 4, lambda: batch * 2, lambda: batch - 1)


GOOD_MODULES: Mapping[str, Callable[[], Module]] = {
    "fused BatchNorm in inference mode": lambda: _fused_norm(training=False),
    "each row by its own norm": flat(lambda x: tf.math.l2_normalize(x, axis=1)),
    "softmax over the classes": flat(tf.nn.softmax),
    "each picture by its own mean": plain(tf.image.per_image_standardization),
    "contrast of each picture": plain(lambda x: tf.image.adjust_contrast(x, 1.5)),
    "resized pictures": plain(lambda x: tf.image.resize(x, [4, 5], antialias=True)),
    "turned pictures": plain(lambda x: tf.image.rot90(tf.image.flip_left_right(x))),
    "the best classes of each row": flat(lambda x: tf.math.top_k(x, 3).values),
    "each row in order": flat(lambda x: tf.sort(x, axis=1)),
    "the best place of each row": flat(
        lambda x: tf.gather(x, tf.argmax(x, axis=1)[:, None], batch_dims=1)
    ),
    "running sum along the row": flat(lambda x: tf.cumsum(x, axis=1)),
    "attention inside each row": plain(lambda x: tf.einsum("bqkc,bqlc->bqkl", x, x)),
    "windows and back": plain(_windows),
    "views inside the model": plain(_views),
    "a token for each row": plain(_token),
    "a loop over time": plain(_over_time),
    "a table that only answers": _looked_up,
    "fixed random features": _fixed_features,
    "a branch that the configuration takes": plain(_configured),
    "one choice for each element": plain(lambda x: tf.where(x > 0, x, tf.exp(x) - 1)),
    "one choice for each row": plain(lambda x: tf.where(x[:, :1, :1, :1] > 0, x, tf.zeros_like(x))),
    "one-hot classes": flat(lambda x: tf.one_hot(tf.argmax(x, axis=1), _FEATURES)),
    "pixels into channels and back": plain(
        lambda x: tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2), 2)
    ),
    "shifted pixels": plain(lambda x: tf.roll(x, [1, 2], axis=[1, 2])),
    "dilated convolution by blocks": plain(
        lambda x: tf.batch_to_space(
            tf.nn.max_pool2d(tf.space_to_batch(x, [2, 2], [[0, 0], [0, 0]]), 2, 1, "SAME"),
            [2, 2],
            [[0, 0], [0, 0]],
        )
    ),
    "rows last and back": plain(
        lambda x: tf.transpose(tf.nn.relu(tf.transpose(x, [1, 2, 3, 0])), [3, 0, 1, 2])
    ),
    "channels apart and together": plain(
        lambda x: tf.stack(tf.unstack(x, axis=3)[::-1], axis=3) + tf.concat(tf.split(x, 2, 3), 3)
    ),
    "shapes with any number of rows": plain(
        lambda x: tf.reshape(x, tf.stack([tf.shape(x)[0], PIXELS * PIXELS, tf.shape(x)[3]]))
    ),
    "padded and cropped": plain(
        lambda x: tf.pad(x, [[0, 0], [1, 1], [2, 0], [0, 0]], "REFLECT")[:, 1:, ..., ::2]
    ),
    "grids of the picture": plain(
        lambda x: x + tf.linspace(0.0, 1.0, PIXELS)[:, None, None] * tf.ones([1, PIXELS, CHANNELS])
    ),
    "repeated and averaged": plain(
        lambda x: tf.reduce_mean(tf.reshape(tf.repeat(x, 3, axis=0), [-1, 3, *IMAGE_SHAPE]), 1)
    ),
}
