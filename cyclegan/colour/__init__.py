"""Colours that G is conditioned on: colour maps, palettes, hints."""
