"""How often somebody may do what: per user, kind of operation and process."""
