"""How long a server needs after an overload until a lone request is quick again.

    python benchmarks/recovery.py ADDRESS MESSAGE_FILE RATE SECONDS DEADLINE_S QUICK_S

sends at a constant rate for so long, then one request after the other, and prints the seconds from
the last of the overload to the first lone request that was answered within QUICK_S.
"""

import asyncio
import sys
import time
from pathlib import Path

import grpc

from closed_loop import METHOD

PATIENCE_S = 10.0


async def _recovery_s(
    address: str, message: bytes, rate: float, duration_s: float, deadline_s: float, quick_s: float
) -> float:
    async with grpc.aio.insecure_channel(address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)

        async def one() -> bool:
            try:
                await call(message, timeout=deadline_s)
            except grpc.aio.AioRpcError:
                return False
            return True

        begun_s = time.perf_counter()
        sent: set[asyncio.Task[bool]] = set()
        for number in range(int(rate * duration_s)):
            await asyncio.sleep(max(0.0, begun_s + number / rate - time.perf_counter()))
            sent.add(asyncio.create_task(one()))
        ended_s = time.perf_counter()
        while (asked_s := time.perf_counter()) < ended_s + PATIENCE_S:
            if await one() and time.perf_counter() - asked_s < quick_s:
                break
        await asyncio.gather(*sent)
        return asked_s - ended_s


if __name__ == "__main__":
    target, file, *numbers = sys.argv[1:]
    rate, duration_s, deadline_s, quick_s = map(float, numbers)
    content = Path(file).read_bytes()
    print(asyncio.run(_recovery_s(target, content, rate, duration_s, deadline_s, quick_s)))
