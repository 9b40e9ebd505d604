"""The provider for Umeng (友盟): Android without Google's services, and iOS."""
