"""Turns risks into alerts that are seen at once, drafts their documents and closes the loop.

By policy where every condition holds, by a person everywhere else; every change leaves an audit line.
"""
