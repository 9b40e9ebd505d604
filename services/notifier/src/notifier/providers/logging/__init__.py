"""The provider that prints pushes: for development, demonstrations and tests."""
