"""Is this hardware feasible for my deep-learning project? A benchmark in pinned containers."""

__version__ = "0.1.0"
