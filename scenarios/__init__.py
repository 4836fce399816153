"""Data of itb: see the README for what lives here."""
