"""The provider for JPush (极光推送): Android without Google's services, and iOS."""
