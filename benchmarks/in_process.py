"""The ceiling: the very function that the server executes, called in a loop without a server.

    python benchmarks/in_process.py BUNDLE

loads the bundle as the server does, with the engine that BATCHPROOF_ENGINE__NAME says, and prints
the buckets as JSON. Then every line "ROWS SECONDS" on standard input is answered by one line with
the images/s of so many rows.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from batchproof_server.application.config import prepare_engines, read_config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.models.discovery import discover
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import load_version


def load(bundle: Path) -> LoadedModel:
    """The bundle as the server loads it, without a proof, in its buckets and that of one row."""
    prepare_engines()
    config = read_config(None, {})
    # One row too, which a server asks for where its proof allows it.
    rows = tuple(sorted({1, *config.batching.buckets_rows}))
    batching = replace(config.batching, buckets_rows=rows)
    plugs = replace(loading_plugs(config), prove=None, batching=batching)
    return load_version(discover(bundle)[0], plugs)


def _main() -> None:
    loaded = load(Path(sys.argv[1]))
    backend = loaded.backend
    print(json.dumps(loaded.batching.buckets_rows), flush=True)
    random = np.random.default_rng(1)
    for line in sys.stdin:
        row_count, duration_s = int(line.split()[0]), float(line.split()[1])
        inputs = {
            spec.name: (
                random.random((row_count, *(size or 1 for size in spec.row_shape))) * 255
            ).astype(spec.dtype)
            for spec in backend.signature.inputs
        }
        backend.execute(inputs)
        count, started_s = 0, time.perf_counter()
        while time.perf_counter() - started_s < duration_s:
            backend.execute(inputs)
            count += row_count
        print(count / (time.perf_counter() - started_s), flush=True)


if __name__ == "__main__":
    _main()
