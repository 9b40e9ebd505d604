"""The provider for Umeng (友盟 U-Push): Android without Google's services, and iOS."""
