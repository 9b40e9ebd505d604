"""What a client knows of each stream, and how frames, pages and repairs merge into it. No I/O."""
