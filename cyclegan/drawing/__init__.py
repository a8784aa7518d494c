"""Drawings as strokes and as images: tracing photos, inking in many styles, normalising what people draw."""
