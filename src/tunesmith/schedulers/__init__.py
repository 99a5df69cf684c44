"""When to stop, pause, promote or exploit a trial: one file, one method, one paper."""

from .asha import ASHAScheduler, AsyncHyperBandScheduler
from .fifo import FIFOScheduler
from .median import MedianStoppingRule

__all__ = ["ASHAScheduler", "AsyncHyperBandScheduler", "FIFOScheduler", "MedianStoppingRule"]
