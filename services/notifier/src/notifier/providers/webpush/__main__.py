"""`python -m notifier.providers.webpush`: makes a key pair for Web Push and prints it."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from notifier.providers.webpush.vapid import base64url, public_bytes


def main() -> None:
    """Print a new pair: the private key for the notifier, the public one for the page."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = base64url(key.private_numbers().private_value.to_bytes(32, "big"))
    print(f"NATTER_WEBPUSH_PRIVATE_KEY={private}")  # noqa: T201
    print(f"# for the page, as applicationServerKey: {base64url(public_bytes(key))}")  # noqa: T201


if __name__ == "__main__":
    main()
