"""Which config next: one file, one method, one paper."""
