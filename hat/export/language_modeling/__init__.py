"""Bundles of language models."""
