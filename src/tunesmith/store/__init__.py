"""What is remembered: the journal of an experiment, and the checkpoints beside it."""
