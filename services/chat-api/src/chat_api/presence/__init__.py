"""Who is connected where, as chat-api knows it from what the edges write down."""
