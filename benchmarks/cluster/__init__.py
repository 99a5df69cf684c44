"""Tunesmith on a cluster's engine beside Ray Tune on the same one, in one run, in turns, with intervals."""
