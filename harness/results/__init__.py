"""Runs on disk: what a run folder holds, how it is written, how it is read again."""
