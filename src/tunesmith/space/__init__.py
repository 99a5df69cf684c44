"""What may be tried: domains, grids, conditions, variants. Knows nothing of trials, searchers or results."""
