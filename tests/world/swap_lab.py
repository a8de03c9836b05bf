"""A swap between a miner and a bank: who looks after its own, and who does whatever it likes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from escrow.core.errors import EscrowError
from escrow.core.units import Cents, Sats
from escrow.sim.swap import Swap, propose
from escrow.sim.swap_terms import Leg, LegState
from escrow.world import World

SELLER, BUYER = "borrower", "lender"
SATS, CENTS = Sats(150_000_000), Cents(7_500_000)
STEP = 5
"""Hours between two looks of a party that looks after its own: less than any margin here."""
ACTS = {
    SELLER: ("lock_bitcoin", "claim_cash", "refund_bitcoin", "wrong_cash"),
    BUYER: (
        *("lock_cash", "claim_bitcoin", "refund_cash", "wrong_bitcoin"),
        *("rash_claim", "rash_lock"),
    ),
}
"""What a party may try. Rash: by its own hand, past the checks that protect it."""


def agreed(world: World, first: Leg, **changes: object) -> Swap:
    """1.5 BTC for 75,000.00; the initiator's leg for two days, the other's for one."""
    return propose(
        world, seller=SELLER, buyer=BUYER, sats=SATS, cents=CENTS, first=first, **changes
    )  # type: ignore[arg-type]


def attempt(act: Callable[[], object]) -> str:
    """Do it; the code of the refusal, or nothing."""
    try:
        act()
    except EscrowError as error:
        return error.code
    return ""


def rash_claim(swap: Swap) -> None:
    """The buyer claims the coins at the last moment, or before they are final, if it can."""
    buyer = swap.world.party(BUYER)
    funding, raw = swap._locked()
    spend = swap.coins.claim(
        funding,
        prev_tx=raw,
        to=buyer.script,
        feerate=2,
        keys=buyer.keys,
        secret=swap._known(BUYER),
    )
    swap.world.bitcoin.broadcast(spend)


def rash_lock(swap: Swap) -> None:
    """The buyer locks the cash whether or not it sees coins."""
    world, account = swap.world, swap.world.party(BUYER).account
    values = [swap._lock[name] for name in ("token", "payer", "payee", "amount")]
    swap.token.send(account, "approve", swap.locks.address, CENTS)
    swap.locks.send(account, "lock", (*values, swap.terms.digest, swap.terms.cash_until))
    world.settle()


def do(swap: Swap, act: str) -> str:
    """One of ``ACTS``; the code of the refusal, or nothing."""
    return attempt(
        {
            "rash_claim": lambda: rash_claim(swap),
            "rash_lock": lambda: rash_lock(swap),
            "wrong_bitcoin": lambda: swap.claim_bitcoin(secret=bytes(32)),
            "wrong_cash": lambda: swap.claim_cash(secret=bytes(32)),
        }.get(act)
        or getattr(swap, act)
    )


def look_after(swap: Swap, who: str) -> None:
    """What a careful party does whenever it looks: locks when it is its turn, claims what it can,
    takes back what is over."""
    terms = swap.terms
    own = next(leg for leg in Leg if terms.giver(leg) == who)
    theirs = next(leg for leg in Leg if leg is not own)
    if swap.state(own) is LegState.NONE:
        do(swap, f"lock_{own.value}")
    if swap.state(own) is LegState.LOCKED or swap.shown():
        do(swap, f"claim_{theirs.value}")
    if swap.world.now > terms.until(own) and swap.state(own) is LegState.LOCKED:
        do(swap, f"refund_{own.value}")


def play(swap: Swap, story: Sequence[tuple[str, int]], careful: Collection[str]) -> None:
    """Tell a story of acts with hours after each, while the careful look every ``STEP`` hours and
    not in between; then wait until all is over, and longer."""
    passed = 0
    rest = max(STEP, 55 - sum(wait for _, wait in story))
    for act, wait in (*story, ("", rest)):
        if act:
            do(swap, act)
        end = passed + wait
        while passed < end:
            if passed % STEP == 0:
                for who in careful:
                    look_after(swap, who)
            hours = min(end, passed - passed % STEP + STEP) - passed
            swap.world.advance(hours=hours)
            passed += hours
    for who in careful:
        look_after(swap, who)


def kept(swap: Swap, who: str) -> bool:
    """Has this party its own again, or never gave it?"""
    own = next(leg for leg in Leg if swap.terms.giver(leg) == who)
    return swap.state(own) in (LegState.NONE, LegState.REFUNDED)


def got(swap: Swap, who: str) -> bool:
    """Has this party the other's?"""
    theirs = next(leg for leg in Leg if swap.terms.taker(leg) == who)
    return swap.state(theirs) is LegState.CLAIMED


def all_sats(swap: Swap) -> int:
    """Coins of both, what the script holds, and what both paid to miners since block 104."""
    world = swap.world
    held = sum(coin.sats for coin in world.bitcoin.coins(swap.coins.script_pubkey))
    fees = sum(each.fee for each in world.bitcoin.index.transactions.values())
    return world.sats_of(SELLER) + world.sats_of(BUYER) + held + fees


def all_cents(swap: Swap) -> int:
    """Cash of both, and what the contract holds."""
    held = swap.token.call("balanceOf", swap.locks.address)
    return swap.world.cash_of(SELLER) + swap.world.cash_of(BUYER) + int(held)
