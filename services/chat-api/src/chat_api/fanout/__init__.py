"""From an event to its recipients: who must get it, did it arrive, and if not, on to the notifier."""
