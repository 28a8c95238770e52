"""Gets frames, readings and risks onto the log, and is the log.

Everything that more than one stage must agree on lives here: messages, risk types, the site, evidence, the tables'
engine.
"""
