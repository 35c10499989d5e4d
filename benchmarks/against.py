"""The server of this checkout against the server of an earlier commit, in turns, under one load.

    python benchmarks/against.py COMMIT [--seconds S] [--repeats N]

checks the commit out beside the build and starts a server of each on one core, with TensorFlow as
the engine. It prints whether the raw outputs of fifty pictures have the same bytes in buckets of 2
and 32 rows, and requests/s and the p50 of both for every model and number of callers.
"""

import argparse
import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import grpc
import numpy as np
from PIL import Image

from batchproof.compat import inference_pb2 as oip
from measuring import Figures, interleaved, medians, ratio
from output_digest import PICTURES
from processes import Server, closed_loop, served
from subjects import KEPT, Subject, affine_small, embedded, mobilenet_bytes, small_cnn

ROOT: Final = Path(__file__).resolve().parents[1]
EARLIER: Final = "earlier"
NOW: Final = "now"
INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
SUBJECTS: Final = (affine_small, embedded, small_cnn, mobilenet_bytes)
CALLERS: Final = (1, 16, 32)
BUCKETS_ROWS: Final = (2, 32)
_PICTURES: Final = 50


def main() -> None:
    """Prints the table and the digests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("commit", help="of the earlier server")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement")
    arguments = parser.parse_args()
    sides = {EARLIER: _checkout(arguments.commit), NOW: ROOT}
    print(f"SHA-256 of the raw outputs of {_PICTURES} pictures, embedded model")
    with _both(sides, embedded()) as servers:
        for rows in BUCKETS_ROWS:
            digests = {name: digest(server, rows) for name, server in servers.items()}
            verdict = "the same" if len({*digests.values()}) == 1 else "NOT THE SAME"
            print(f"{rows:>2} rows  {' '.join(digests.values())}  {verdict}", flush=True)
    print(f"\n{'model':28} {'callers':>7} {'requests/s':>17} {'of earlier':>10} {'p50, ms':>15}")
    for subject in (make() for make in SUBJECTS):
        with _both(sides, subject) as servers:
            for callers in CALLERS:
                rounds = _asked(servers, subject, callers, arguments)
                print(_line(subject, callers, rounds), flush=True)


def _checkout(commit: str) -> Path:
    folder = KEPT / "earlier" / commit
    if not folder.exists():
        command = ("git", "worktree", "add", "--detach", str(folder), commit)
        subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)
    return folder


@contextmanager
def _both(checkouts: Mapping[str, Path], subject: Subject) -> Iterator[dict[str, Server]]:
    """A server of each checkout; the one that is not asked waits without work."""
    with (
        served(_of(checkouts[EARLIER], subject), _settings(checkouts[EARLIER])) as earlier,
        served(subject, {**_settings(ROOT), "BATCHPROOF_ENGINE__NAME": "tensorflow"}) as now,
    ):
        yield {EARLIER: earlier, NOW: now}


def _of(checkout: Path, subject: Subject) -> Subject:
    """The subject with the bundle of that checkout, where the repository brings it."""
    if not subject.bundle.is_relative_to(ROOT / "examples"):
        return subject
    return replace(subject, bundle=checkout / subject.bundle.relative_to(ROOT))


def _settings(checkout: Path) -> dict[str, str]:
    folders = (checkout / name for name in ("proto", "server", "client"))
    return {
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        # On one core of some processors its other kernels answer by the place of a row.
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "BATCHPROOF_PROOF__CERTIFICATE_DIRECTORY": str(KEPT / f"certificates-{checkout.name}"),
    }


def _asked(
    servers: Mapping[str, Server], subject: Subject, callers: int, arguments: argparse.Namespace
) -> dict[str, list[Figures]]:
    def measure(name: str) -> Figures:
        return closed_loop(servers[name].grpc, subject.message, callers, arguments.seconds)

    return interleaved(tuple(servers), arguments.repeats, measure)


def _line(subject: Subject, callers: int, rounds: Mapping[str, Sequence[Figures]]) -> str:
    earlier, now = (medians(rounds[name]) for name in (EARLIER, NOW))
    gained = ratio(rounds[NOW], rounds[EARLIER], "requests_per_s")
    rates = f"{earlier['requests_per_s']:>7.0f} -> {now['requests_per_s']:>6.0f}"
    times = f"{earlier['p50_ms']:>6.2f} -> {now['p50_ms']:>5.2f}"
    return f"{subject.label:28} {callers:>7} {rates:>17} {gained:>9.2f}x {times:>15}"


def digest(server: Server, rows: int) -> str:
    """Of the raw outputs of all pictures, sent so many at a time."""
    total = hashlib.sha256()
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary(
            INFER,
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )
        contents = _pngs()
        for first in range(0, len(contents), rows):
            answer = infer(_request(contents[first : first + rows]), timeout=60)
            total.update(answer.raw_output_contents[0])
    return total.hexdigest()[:16]


def _pngs() -> list[bytes]:
    contents = []
    for pixels in np.load(PICTURES)["images"][:_PICTURES]:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        contents.append(file.getvalue())
    return contents


def _request(contents: Sequence[bytes]) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name="fashion-mnist")
    picture = request.inputs.add(name="image", datatype="BYTES", shape=[len(contents)])
    picture.contents.bytes_contents.extend(contents)
    return request


if __name__ == "__main__":
    main()
