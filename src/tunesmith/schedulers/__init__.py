"""When to stop, pause, promote or exploit a trial: one file, one method, one paper."""

from .allocation import DistributeResources, DistributeResourcesToTopJob
from .asha import ASHAScheduler, AsyncHyperBandScheduler
from .fifo import FIFOScheduler
from .hyperband import HyperBandForBOHB, HyperBandScheduler
from .median import MedianStoppingRule
from .multi_frequency import MultiFrequencyPBT
from .patience import PatienceRule
from .pb2 import PB2
from .pbt import PopulationBasedTraining
from .percentile import PercentileRule
from .replay import PopulationBasedTrainingReplay
from .resource_changing import ResourceChangingScheduler
from .threshold import ThresholdRule
from .multi_objective import MultiObjectiveASHA

__all__ = ["DistributeResources", "DistributeResourcesToTopJob", "ResourceChangingScheduler","MultiObjectiveASHA", 
    "ASHAScheduler",
    "AsyncHyperBandScheduler",
    "FIFOScheduler",
    "HyperBandForBOHB",
    "HyperBandScheduler",
    "MedianStoppingRule",
    "MultiFrequencyPBT",
    "PB2",
    "PopulationBasedTraining",
    "PopulationBasedTrainingReplay",
    "PatienceRule",
    "PercentileRule",
    "ThresholdRule",
]
