"""The provider for Firebase Cloud Messaging, HTTP v1: Android apps."""
