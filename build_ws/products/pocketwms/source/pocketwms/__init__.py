"""Pocket WMS: a pilot system in miniature with the shape of GlideinWMS."""
