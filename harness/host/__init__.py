"""This machine: its GPUs and what the study's hardware table says of it."""
