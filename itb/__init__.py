"""itb: automated release test-bed runner for GlideinWMS."""

__version__ = "0.1.0"
