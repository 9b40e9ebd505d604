"""The provider for Web Push: browsers, by the standards that they share."""
