"""Pure functions over cases and records."""
