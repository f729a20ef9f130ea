"""Runs inside images: what `harness images check` finds out there. Standard library, Python 3.8."""
