"""Runs the cluster's benchmarks: `python -m benchmarks.cluster.run [NAMES] [--peers-python PATH] [--quick]`."""

import sys

from benchmarks.cluster import measures
from benchmarks.run import Measure, main

BENCHMARKS = ("trials", "results", "first", "bookkeeping", "rates", "durable", "keeps_up")


def of_function(name: str) -> tuple[Measure, str]:
    """Return the measure of that name, and what it says of itself."""
    measure: Measure = getattr(measures, name)
    return measure, measure.__doc__ or ""


if __name__ == "__main__":
    sys.exit(main(BENCHMARKS, of_function, "python -m benchmarks.cluster.run", "Tunesmith over Ray."))
