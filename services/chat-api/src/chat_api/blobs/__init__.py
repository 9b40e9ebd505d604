"""Where the bytes of files are: one small door, and two houses behind it."""
