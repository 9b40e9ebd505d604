"""Carrying out commands: load what the decision needs, decide, store, in one transaction."""
