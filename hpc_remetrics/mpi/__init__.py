"""Ranks and what they do together: messages, collectives, task pools, shuffles."""
