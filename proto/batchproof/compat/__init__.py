"""The wire contracts of others, under private names.

They are the Open Inference Protocol v2 with Triton's additions, and TensorFlow Serving's.

Field numbers and types are the public ones, so the bytes are the same. The public packages
``inference`` and ``tensorflow`` live below ``batchproof.compat``, so that a process may also hold
the original descriptors.
"""

from typing import Final

PRIVATE: Final = "batchproof.compat."
"""What stands before the public names."""
