"""How often somebody may ask."""

import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

KNOWN = 10_000


@dataclass(slots=True)
class Rate:
    """A bucket for each who asks: it holds `most` requests and fills up again within `seconds`."""

    most: int
    seconds: float
    _left: OrderedDict[Hashable, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, who: Hashable) -> float:
        """Take one; gives 0, or the seconds until there is one again."""
        now = time.monotonic()
        at, left = self._left.pop(who, (now, float(self.most)))
        left = min(float(self.most), left + (now - at) * self.most / self.seconds)
        waits = 0.0 if left >= 1.0 else (1.0 - left) * self.seconds / self.most
        self._left[who] = (now, left if waits else left - 1.0)
        if len(self._left) > KNOWN:
            # Who was seen longest ago has had the most time to fill up again.
            self._left.popitem(last=False)
        return waits
