"""Postgres: the record of events, the read tables that follow from it, and every line of SQL."""
