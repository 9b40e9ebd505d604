"""What happens to pushes after they were sent: read elsewhere, deleted, acknowledged, given up, forgotten."""
