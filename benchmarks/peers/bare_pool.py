"""The standard library's process pool with nothing on top of it: what reused workers cost at the least."""

import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.peers.common import CPUS, Answer, main


def no_op(x: float) -> float:
    return x


def trials(folder: Path, reused: int) -> Answer:
    del folder
    with ProcessPoolExecutor(CPUS) as pool:
        began = time.perf_counter()
        for answer in [pool.submit(no_op, x / reused) for x in range(reused)]:
            answer.result()
        return {"reused": reused / (time.perf_counter() - began)}


if __name__ == "__main__":
    main("concurrent", {"trials": trials})
