"""ws-edge: holds the users' sockets, writes each frame to them, and says which device has it."""
