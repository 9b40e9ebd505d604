"""chat-api: the record of every conversation, and the one door through which its events leave."""
