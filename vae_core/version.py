"""The version, for the package, its wheel and what it writes."""

__version__ = "0.1.0"
