"""How many examples Hypothesis draws for a test that says so itself."""

from hypothesis import settings

LEAST = 5


def share_of(examples: int) -> int:
    """Return how many of these examples the profile draws: all, or in fast tests a fifth.

    With the profile `fast`, `share_of(60)` is 12, and `share_of(12)` is 5, the least.
    """
    return min(examples, max(LEAST, examples * settings.default.max_examples // 100))
