"""Knows the safety code: what is in force where and when, which readings break its limits, which clauses a risk meets.

Clauses are written as drafts and published by a second person; limits turn readings into risks; matches carry reasons.
"""
