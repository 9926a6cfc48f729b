"""How long to wait before a server that could not be reached is tried again."""

from __future__ import annotations

import random


def wait_s(first_ms: int, most_ms: int, failed: int) -> float:
    """The wait after so many attempts in a row have failed: it doubles up to a limit, and is a little longer or shorter each
    time, so that clients which lost their server together don't come back together."""
    doubled: int = first_ms << min(max(failed - 1, 0), 64)
    return min(doubled, max(first_ms, most_ms)) / 1000 * random.uniform(0.8, 1.2)
