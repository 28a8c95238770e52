"""Faults injected into a running house: whether each is named in time, and whether the house mends itself."""
