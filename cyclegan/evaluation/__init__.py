"""Scores and sample sheets on held-out images."""
