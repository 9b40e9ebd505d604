"""The chaos suite: seeded runs on a real stack while faults fire, and a checker that forgives nothing."""
