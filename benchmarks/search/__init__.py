"""How well searchers search: Tunesmith's beside its peers', on the same problems with the same clock."""

import os

# One core each, before numpy is imported: with more threads the CPU time of small matrices is mostly waiting.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
