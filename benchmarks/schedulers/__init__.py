"""Schedulers in virtual time: what each costs, saves and finds."""
