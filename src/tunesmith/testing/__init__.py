"""Contracts that a scheduler or a searcher of your own can be held to, in your own tests.

Only the standard library and Tunesmith itself are needed, no test framework: what does not hold is an AssertionError.
"""

from .schedulers import check_scheduler
from .searchers import check_searcher

__all__ = ["check_scheduler", "check_searcher"]
