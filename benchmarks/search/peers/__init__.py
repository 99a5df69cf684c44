"""The peers' drivers: each imports its own package and nothing of Tunesmith."""
