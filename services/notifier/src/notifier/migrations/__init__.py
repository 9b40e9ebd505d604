"""The schema's history; it travels inside the package, so that wherever the service is, its migrations are."""
