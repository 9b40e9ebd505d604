"""The provider that answers as it is told: for tests of whoever integrates Natter, and for drills."""
