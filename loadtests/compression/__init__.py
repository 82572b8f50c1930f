"""The bench of compression: its models, what makes variants of them, and how these are timed."""
