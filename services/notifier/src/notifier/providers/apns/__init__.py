"""The provider for Apple's push notification service: apps on iPhone, iPad, Mac and Apple Watch."""
