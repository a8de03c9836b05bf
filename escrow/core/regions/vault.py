"""The coins: each one's life in the vault, and the payouts that spend them.

Bitcoin is right about where coins are. These events are sightings; a reorganisation can undo
any of them, and then the coin or the payout lands in a state with a name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from escrow.core.units import Sats, Seconds


@dataclass(frozen=True, slots=True)
class Seen:
    """In the mempool."""


@dataclass(frozen=True, slots=True)
class Confirming:
    """In a block, not yet final."""

    height: int
    """Block that holds it."""


@dataclass(frozen=True, slots=True)
class Locked:
    """Final: as deep as the terms ask."""

    height: int
    """Block that holds it."""


@dataclass(frozen=True, slots=True)
class Reorged:
    """Was final and is not any more: the reorganisation was deeper than the terms foresaw."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Will not come back: another transaction spent what funded it, or took it unbidden."""

    by: str
    """Transaction that took it."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Spent by a payout."""

    by: str
    """Transaction that spends it."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Spent by the borrower alone, through the timelock."""

    by: str
    """Transaction that spends it."""


CoinStatus = Seen | Confirming | Locked | Reorged | Lost | Spent | Recovered


@dataclass(frozen=True, slots=True)
class Coin:
    """One output that pays the vault."""

    outpoint: str
    """``txid:vout``."""
    sats: Sats
    """Its value."""
    status: CoinStatus
    """Where it stands."""
    change: bool = False
    """Came back from a payout of ours, so the tokens for it exist already."""


@dataclass(frozen=True, slots=True)
class Payout:
    """A spend by the quorum that pays burns."""

    txid: str
    """The transaction."""
    inputs: tuple[str, ...]
    """Coins it spends."""
    paid: tuple[tuple[int, Sats], ...]
    """Burn id and sats its output carries, in output order."""
    fee: Sats
    """The miner's fee."""
    change: Sats
    """What went back to the vault; 0 for none."""
    final: bool = False
    """As deep as the terms ask."""


@dataclass(frozen=True, slots=True)
class Vault:
    """The vault region of one loan."""

    coins: tuple[Coin, ...] = ()
    """Every coin ever seen, in order of sighting."""
    payouts: tuple[Payout, ...] = ()
    """Every payout, in order of broadcast."""


def find(vault: Vault, outpoint: str) -> Coin | None:
    """The coin at ``outpoint``, if it was ever seen."""
    return next((coin for coin in vault.coins if coin.outpoint == outpoint), None)


def locked(vault: Vault) -> tuple[Coin, ...]:
    """Coins that are final and unspent."""
    return tuple(coin for coin in vault.coins if isinstance(coin.status, Locked))


@dataclass(frozen=True, slots=True)
class CoinSeen:
    """An output that pays the vault appeared in the mempool, or fell back into it."""

    at: Seconds
    outpoint: str
    sats: Sats


@dataclass(frozen=True, slots=True)
class CoinMined:
    """The coin is in a block."""

    at: Seconds
    outpoint: str
    height: int


@dataclass(frozen=True, slots=True)
class CoinLocked:
    """The coin is final."""

    at: Seconds
    outpoint: str
    height: int


@dataclass(frozen=True, slots=True)
class CoinReorged:
    """A reorganisation took the coin out of the chain."""

    at: Seconds
    outpoint: str


@dataclass(frozen=True, slots=True)
class CoinLost:
    """The coin is gone without a payout of ours."""

    at: Seconds
    outpoint: str
    by: str


@dataclass(frozen=True, slots=True)
class PayoutSent:
    """The quorum signed and the operator broadcast."""

    at: Seconds
    payout: Payout


@dataclass(frozen=True, slots=True)
class PayoutFinal:
    """The payout is as deep as the terms ask."""

    at: Seconds
    txid: str


@dataclass(frozen=True, slots=True)
class PayoutReorged:
    """A reorganisation took the payout out of the chain; it must be sent again."""

    at: Seconds
    txid: str


@dataclass(frozen=True, slots=True)
class CoinsRecovered:
    """The borrower alone spent coins after the recovery time."""

    at: Seconds
    txid: str
    outpoints: tuple[str, ...]


VaultEvent = (
    CoinSeen
    | CoinMined
    | CoinLocked
    | CoinReorged
    | CoinLost
    | PayoutSent
    | PayoutFinal
    | PayoutReorged
    | CoinsRecovered
)


def _with(vault: Vault, outpoints: tuple[str, ...], status: CoinStatus) -> Vault:
    coins = tuple(
        replace(coin, status=status) if coin.outpoint in outpoints else coin for coin in vault.coins
    )
    return replace(vault, coins=coins)


def _with_final(vault: Vault, txid: str, *, final: bool) -> Vault:
    payouts = tuple(
        replace(payout, final=final) if payout.txid == txid else payout for payout in vault.payouts
    )
    return replace(vault, payouts=payouts)


def evolve_vault(vault: Vault, event: VaultEvent) -> Vault:
    """Fold one event into the vault."""
    match event:
        case CoinSeen():
            if find(vault, event.outpoint) is not None:
                return _with(vault, (event.outpoint,), Seen())
            return replace(vault, coins=(*vault.coins, Coin(event.outpoint, event.sats, Seen())))
        case CoinMined():
            return _with(vault, (event.outpoint,), Confirming(event.height))
        case CoinLocked():
            return _with(vault, (event.outpoint,), Locked(event.height))
        case CoinReorged():
            return _with(vault, (event.outpoint,), Reorged())
        case CoinLost():
            return _with(vault, (event.outpoint,), Lost(event.by))
        case PayoutSent(payout=payout):
            coins = _with(vault, payout.inputs, Spent(payout.txid)).coins
            if payout.change:
                # The watcher may have seen the output before it understood the payout.
                back = f"{payout.txid}:{len(payout.paid)}"
                known = find(vault, back)
                coin = Coin(back, payout.change, known.status if known else Seen(), change=True)
                coins = (*(c for c in coins if c.outpoint != back), coin)
            return Vault(coins, (*vault.payouts, payout))
        case PayoutFinal():
            return _with_final(vault, event.txid, final=True)
        case PayoutReorged():
            return _with_final(vault, event.txid, final=False)
        case CoinsRecovered():
            return _with(vault, event.outpoints, Recovered(event.txid))
        case _:
            assert_never(event)
