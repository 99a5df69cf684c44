"""The rules: what an experiment is and what happens next. No I/O, no clock."""
