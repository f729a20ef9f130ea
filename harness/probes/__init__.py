"""From what can be seen of a running case to values."""
