"""Tunesmith measured beside its peers, in one run. Nothing here is part of the package."""
