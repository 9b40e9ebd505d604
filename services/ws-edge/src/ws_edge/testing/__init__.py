"""For tests, ours and others': fakes, a client of raw bytes, real servers, and an echo server for outside suites."""
