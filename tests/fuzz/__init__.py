"""`make fuzz`: whatever a client may send, over HTTP and over sockets, has a documented answer and breaks nothing."""
