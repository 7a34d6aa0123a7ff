"""Measures how well AI agents do machine-learning engineering."""
