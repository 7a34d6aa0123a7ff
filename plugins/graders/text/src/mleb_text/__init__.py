"""Graders of text, sequences and answers to questions."""
