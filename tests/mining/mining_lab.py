"""A small site on a plain network, in round numbers."""

from __future__ import annotations

from escrow.core.units import Sats, Seconds
from escrow.mining.catalogue import load_catalogue
from escrow.mining.network import bits_of_difficulty
from escrow.mining.path import NetworkPath, implied_rate, network_path
from escrow.mining.pool import PoolTerms, Scheme, pool_terms
from escrow.mining.site import Rack, Site, new_site

START = Seconds(1_764_547_200)
"""2025-12-01T00:00:00Z."""
SCRIPT = b"\x00\x14" + bytes(20)
BITS = bits_of_difficulty(148_260_000_000_000)


def refusal_of(call, *args, **kwargs) -> str:
    """The code with which a call is refused, or nothing."""
    from escrow.core.errors import EscrowError

    try:
        call(*args, **kwargs)
    except EscrowError as error:
        return error.code
    return ""


def plain_path(*, fees: int = 2_000_000, periods: int = 8, height: int = 927_360) -> NetworkPath:
    """Steady: the hash rate that the difficulty implies."""
    rates = [implied_rate(BITS)] * periods
    return network_path(at=START, height=height, bits=BITS, fees=Sats(fees), hash_rates=rates)


def plain_site(**changes) -> Site:
    """Ten S21 and ten S19 Pro under a cap that lets all run."""
    machine = load_catalogue().machine
    given = {
        "racks": (Rack(machine("antminer-s19-pro"), 10), Rack(machine("antminer-s21"), 10)),
        "power_cap": 100_000,
        "tariff": 500,
        "since": START,
    }
    return new_site("a site", **(given | changes))


def plain_pool(**changes) -> PoolTerms:
    given = {
        "scheme": Scheme.FPPS,
        "fee_bps": 200,
        "threshold": 500_000,
        "payout_script": SCRIPT,
    }
    return pool_terms("a pool", **(given | changes))
