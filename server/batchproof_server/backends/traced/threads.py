"""TensorFlow's thread pools, which belong to the process and not to an engine.

Importing this module imports TensorFlow.
"""

import tensorflow as tf

from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused


def configure_threads(settings: EngineSettings) -> None:
    """Sets the thread pools of this process; TensorFlow has one set of them and fixes it once.

    Call it before anything executes. Repeating the same settings is harmless.

    Raises:
        ModelRefused: TensorFlow runs already, with other settings.
    """
    pools = tf.config.threading
    try:
        if pools.get_intra_op_parallelism_threads() != settings.intra_op_threads:
            pools.set_intra_op_parallelism_threads(settings.intra_op_threads)
        if pools.get_inter_op_parallelism_threads() != settings.inter_op_threads:
            pools.set_inter_op_parallelism_threads(settings.inter_op_threads)
    except RuntimeError as late:
        sentence = (
            f"engine: asked for intra_op_threads = {settings.intra_op_threads} and inter_op_threads"
            f" = {settings.inter_op_threads}, but TensorFlow runs with "
            f"{pools.get_intra_op_parallelism_threads()} and "
            f"{pools.get_inter_op_parallelism_threads()}; one process has one setting"
        )
        raise ModelRefused("TensorFlow already runs with other threads", (sentence,)) from late
