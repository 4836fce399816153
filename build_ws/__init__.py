"""Data of itb: README.md says what lives here."""
