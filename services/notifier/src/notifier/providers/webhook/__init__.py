"""The provider that tells an address of yours, signed as Standard Webhooks: you push, e-mail or text by yourself."""
