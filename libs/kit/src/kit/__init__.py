"""Bricks that every service needs and none owns: settings, logs, tokens, the NATS connection, health."""
