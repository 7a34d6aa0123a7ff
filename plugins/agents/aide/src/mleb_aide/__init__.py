"""AIDE as an agent of mleb."""
