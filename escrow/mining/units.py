"""Units of mining. All are integers; each says how many of what."""

from __future__ import annotations

from typing import Final, NewType

from escrow.core.units import Seconds

Ghs = NewType("Ghs", int)
"""Hash rate in 10⁹ hashes a second: 1 TH/s is 1,000."""
MilliJoules = NewType("MilliJoules", int)
"""Energy for 10¹² hashes, in 10⁻³ J: a machine of 17.5 J/TH has 17,500."""
MicroWatts = NewType("MicroWatts", int)
"""Power in 10⁻⁶ W: GH/s × mJ/TH is exactly that, so that no watt is rounded."""
WattHours = NewType("WattHours", int)
"""Energy as meters count it: 1 kWh is 1,000."""

GHS_IN_THS: Final = 1_000
GHS_IN_PHS: Final = 1_000_000
HASHES_IN_GH: Final = 10**9
MICRO: Final = 10**6
WH_IN_KWH: Final = 1_000
SECONDS_IN_HOUR: Final = 3_600
UTC: Final = Seconds(0)
"""The zone of days and months where nobody names another: seconds east of Greenwich."""

MAX_RATE: Final = Ghs(10**18)
"""A hash rate above 10²⁷ hashes a second is refused as absurd: the whole network's was near 10²¹
in 2025."""
