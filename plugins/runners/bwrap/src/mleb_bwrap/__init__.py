"""The bubblewrap runner."""
