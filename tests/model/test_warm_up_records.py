"""Recorded requests as TensorFlow writes them, in a bundle that is loaded."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from batchproof.compat import tensorflow_serving_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.discovery import Place
from batchproof_server.models.recorded import load_warm
from batchproof_server.rpc.tensorflow_serving.tensors import write_tensor
from batchproof_server.rpc.tensorflow_serving.warm_up import WARM_UP_NAME
from support.bundles_on_disk import RAW, write_bundle


def write_record(bundle: Path, sizes: int) -> None:
    """Writes a request with TensorFlow's own writer."""
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="m"))
    write_tensor(request.inputs["image"], np.ones((3, sizes), np.float32))
    record = pb.PredictionLog(predict_log=pb.PredictLog(request=request))
    (bundle / WARM_UP_NAME).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(bundle / WARM_UP_NAME)) as writer:
        writer.write(record.SerializeToString())


def test_a_bundle_with_records_is_loaded_and_with_bad_ones_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "m" / "1", RAW)
    place, plugs = Place("m", 1, bundle), loading_plugs(Config())
    write_record(bundle, 4)
    load_warm(place, plugs).backend.close()
    write_record(bundle, 5)
    with pytest.raises(ModelRefused) as refused:
        load_warm(place, plugs)
    assert refused.value.findings == (
        f'{WARM_UP_NAME}: record 1: input "image" is float32 [3, 5], expected float32 [rows, 4]',
    )
