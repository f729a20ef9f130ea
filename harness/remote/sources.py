"""The agent as it is sent."""

from __future__ import annotations

from pathlib import Path


def agent_source() -> bytes:
    """The text of agent.py."""
    return Path(__file__).with_name("agent.py").read_bytes()
