"""The notifier's tables: what was handed over, what was decided, and every push with what became of it."""

from notifier.store.store import Incoming, Lease, Poison, Store

__all__ = ["Incoming", "Lease", "Poison", "Store"]
