"""Tells Weights & Biases of run groups."""
