"""How long a server needs after an overload until a lone request is quick again.

    python benchmarks/recovery.py ADDRESS MESSAGE_FILE RATE SECONDS DEADLINE_S QUICK_S

sends at a rate for so long, then one request after the other on another connection, and prints the
seconds from the last of the overload to the first lone request that was answered within QUICK_S.
"""

import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import grpc

from closed_loop import METHOD
from open_loop import Count, Sender, instants
from raw_connection import RawConnection, prefixed

PATIENCE_S = 10.0


def _recovery_s(
    address: str,
    message: bytes,
    rate_hz: float,
    duration_s: float,
    deadline_s: float,
    quick_s: float,
) -> float:
    with grpc.insecure_channel(address) as channel, closing(RawConnection(address)) as connection:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        call(message)
        begun_s = time.perf_counter()
        ended_s = begun_s + duration_s
        sender = Sender([connection], [prefixed(message)], deadline_s, Count(begun_s))
        due_s = instants(begun_s, rate_hz)
        overload = threading.Thread(target=sender.run, args=(due_s, ended_s), daemon=True)
        overload.start()
        # It waits for its answers after that.
        overload.join(max(0.0, ended_s - time.perf_counter()))
        while (asked_s := time.perf_counter()) < ended_s + PATIENCE_S:
            if _is_answered(call, message, deadline_s) and time.perf_counter() - asked_s < quick_s:
                break
        overload.join(PATIENCE_S)
        return asked_s - ended_s


def _is_answered(
    call: "grpc.UnaryUnaryMultiCallable[bytes, bytes]", message: bytes, timeout_s: float
) -> bool:
    try:
        call(message, timeout=timeout_s)
    except grpc.RpcError:
        return False
    return True


if __name__ == "__main__":
    target, file, *numbers = sys.argv[1:]
    rate, duration, deadline, quick = map(float, numbers)
    content = Path(file).read_bytes()
    print(_recovery_s(target, content, rate, duration, deadline, quick))
