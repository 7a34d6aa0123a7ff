"""Graders of masks, boxes and points."""
