"""Contracts that a scheduler of your own can be held to, in your own tests.

Only the standard library and Tunesmith itself are needed, no test framework: what does not hold is an AssertionError.
"""

from .schedulers import check_scheduler

__all__ = ["check_scheduler"]
