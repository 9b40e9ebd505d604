"""What a client's request and frames mean: input in, decision out; no I/O, no clock, no event loop."""
