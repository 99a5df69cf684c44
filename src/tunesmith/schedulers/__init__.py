"""When to stop, pause, promote or exploit a trial: one file, one method, one paper."""

from .allocation import DistributeResources, DistributeResourcesToTopJob
from .asha import ASHAScheduler, AsyncHyperBandScheduler
from .asha_promotion import PromotionASHAScheduler
from .fifo import FIFOScheduler
from .hyperband import HyperBandForBOHB, HyperBandScheduler
from .median import MedianStoppingRule
from .multi_frequency import MultiFrequencyPBT
from .multi_objective import MultiObjectiveASHA
from .pasha import PASHAScheduler
from .patience import PatienceRule
from .pb2 import PB2
from .pbt import PopulationBasedTraining
from .percentile import PercentileRule
from .racing import RacingScheduler
from .replay import PopulationBasedTrainingReplay
from .resource_changing import ResourceChangingScheduler
from .threshold import ThresholdRule
from .top_k import TopKScheduler

__all__ = [
    "ASHAScheduler",
    "AsyncHyperBandScheduler",
    "DistributeResources",
    "DistributeResourcesToTopJob",
    "FIFOScheduler",
    "HyperBandForBOHB",
    "HyperBandScheduler",
    "MedianStoppingRule",
    "MultiFrequencyPBT",
    "MultiObjectiveASHA",
    "PASHAScheduler",
    "PB2",
    "PatienceRule",
    "PercentileRule",
    "PopulationBasedTraining",
    "PopulationBasedTrainingReplay",
    "PromotionASHAScheduler",
    "RacingScheduler",
    "ResourceChangingScheduler",
    "ThresholdRule",
    "TopKScheduler",
]
