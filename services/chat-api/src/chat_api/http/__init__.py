"""HTTP in, commands and queries out. Writes go through `commands`, reads through `store.queries`."""
