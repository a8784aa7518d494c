"""Uploads to the Hugging Face Hub: weights with a model card, the demo as a Space."""
