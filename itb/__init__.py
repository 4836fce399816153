"""itb: automated release test-bed runner for GlideinWMS."""

try:
    from itb._version import VERSION  # written by the build
except ImportError:  # a source tree that nobody has installed
    VERSION = "0+unknown"

__version__ = VERSION
