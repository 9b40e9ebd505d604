"""What may happen and what it means: pure functions over frozen values. Nothing here awaits or knows a driver."""
