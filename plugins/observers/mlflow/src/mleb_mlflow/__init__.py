"""Tells MLflow of run groups."""
