"""When to stop, pause, promote or exploit a trial: one file, one method, one paper."""

from .asha import ASHAScheduler, AsyncHyperBandScheduler
from .fifo import FIFOScheduler
from .median import MedianStoppingRule
from .patience import PatienceRule
from .percentile import PercentileRule
from .threshold import ThresholdRule

__all__ = [
    "ASHAScheduler",
    "AsyncHyperBandScheduler",
    "FIFOScheduler",
    "MedianStoppingRule",
    "PatienceRule",
    "PercentileRule",
    "ThresholdRule",
]
