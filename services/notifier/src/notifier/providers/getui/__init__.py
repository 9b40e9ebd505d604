"""The provider for Getui (个推): Android without Google's services, and iOS."""
