"""What edges may ask for over NATS: one module per command, each a `Handler` made by its function."""
