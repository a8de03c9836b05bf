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
    height: int = 0
    """Block that held the coin then: where it stands again if the payout is undone."""


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
    generation: int = 0
    """Which of the vault's addresses it pays: 0 is that of the terms."""


@dataclass(frozen=True, slots=True)
class Payout:
    """A spend by the quorum that pays burns."""

    txid: str
    """The transaction."""
    inputs: tuple[str, ...]
    """Coins it spends."""
    paid: tuple[tuple[int, Sats], ...]
    """Burn id and sats its output carries, in output order. Empty: a sweep, which pays nobody and
    only moves coins within the vault."""
    fee: Sats
    """The miner's fee."""
    change: Sats
    """What went back to the vault; 0 for none."""
    final: bool = False
    """As deep as the terms ask."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A vault that took the place of the one before: one role has a new key."""

    program: str
    """Its witness program, 32 bytes in hex with 0x."""
    role: str
    """Whose key is new."""


@dataclass(frozen=True, slots=True)
class Vault:
    """The vault region of one loan."""

    coins: tuple[Coin, ...] = ()
    """Every coin ever seen, in order of sighting."""
    payouts: tuple[Payout, ...] = ()
    """Every payout that stands, in order of broadcast: none that was replaced or is void."""
    stuck: tuple[str, ...] = ()
    """Those of them that blocks pass by."""
    generations: tuple[Generation, ...] = ()
    """Those after the vault of the terms, oldest first: coins belong into the last."""


def find(vault: Vault, outpoint: str) -> Coin | None:
    """The coin at ``outpoint``, if it was ever seen."""
    return next((coin for coin in vault.coins if coin.outpoint == outpoint), None)


def change_of(payout: Payout) -> str:
    """Outpoint of what the payout gives back to the vault; empty if nothing."""
    return f"{payout.txid}:{len(payout.paid)}" if payout.change else ""


def with_heirs(vault: Vault, payouts: tuple[Payout, ...]) -> tuple[Payout, ...]:
    """These payouts and all that spend what they give back, youngest first."""
    found: list[Payout] = []
    for payout in vault.payouts:
        if payout in payouts or any(change_of(each) in payout.inputs for each in found):
            found.append(payout)
    return tuple(reversed(found))


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
class PayoutStuck:
    """Blocks pass the payout by: it pays too little for the day."""

    at: Seconds
    txid: str
    blocks: int


@dataclass(frozen=True, slots=True)
class PayoutMined:
    """A payout that was stuck is in a block after all."""

    at: Seconds
    txid: str


@dataclass(frozen=True, slots=True)
class PayoutReplaced:
    """Another payout took a coin of ``old``, which can confirm no more."""

    at: Seconds
    old: str
    payout: Payout


@dataclass(frozen=True, slots=True)
class PayoutVoid:
    """The payout can confirm no more, and none stands in its place: its burns are owed again."""

    at: Seconds
    txid: str
    by: str


@dataclass(frozen=True, slots=True)
class CoinsRecovered:
    """The borrower alone spent coins after the recovery time."""

    at: Seconds
    txid: str
    outpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """Borrower and lender agreed on a new vault, in which a lost key is replaced."""

    at: Seconds
    generation: Generation


@dataclass(frozen=True, slots=True)
class CoinPlaced:
    """The coin pays the address of another generation than was supposed."""

    at: Seconds
    outpoint: str
    generation: int


VaultEvent = (
    CoinSeen
    | CoinMined
    | CoinLocked
    | CoinReorged
    | CoinLost
    | PayoutSent
    | PayoutFinal
    | PayoutReorged
    | PayoutStuck
    | PayoutMined
    | PayoutReplaced
    | PayoutVoid
    | CoinsRecovered
    | Rekeyed
    | CoinPlaced
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
    return _unstuck(replace(vault, payouts=payouts), txid)


def _unstuck(vault: Vault, txid: str) -> Vault:
    return replace(vault, stuck=tuple(each for each in vault.stuck if each != txid))


def _send(vault: Vault, payout: Payout) -> Vault:
    coins = tuple(
        replace(coin, status=Spent(payout.txid, _height(coin.status)))
        if coin.outpoint in payout.inputs
        else coin
        for coin in vault.coins
    )
    if back := change_of(payout):
        # The watcher may have seen the output before it understood the payout.
        known = find(vault, back)
        status = known.status if known else Seen()
        change = Coin(back, payout.change, status, change=True, generation=len(vault.generations))
        coins = (*(coin for coin in coins if coin.outpoint != back), change)
    return replace(vault, coins=coins, payouts=(*vault.payouts, payout))


def _undo(vault: Vault, txid: str) -> Vault:
    """As if it had never been sent: its coins stand where they stood, its change never was."""
    payout = next((each for each in vault.payouts if each.txid == txid), None)
    assert payout is not None, "only what was sent is undone"
    coins = tuple(
        replace(coin, status=Locked(_height(coin.status)))
        if coin.outpoint in payout.inputs
        else coin
        for coin in vault.coins
        if coin.outpoint != change_of(payout)
    )
    left = tuple(each for each in vault.payouts if each.txid != txid)
    return _unstuck(replace(vault, coins=coins, payouts=left), txid)


def _height(status: CoinStatus) -> int:
    return status.height if isinstance(status, Confirming | Locked | Spent) else 0


def evolve_vault(vault: Vault, event: VaultEvent) -> Vault:
    """Fold one event into the vault."""
    match event:
        case CoinSeen():
            if find(vault, event.outpoint) is not None:
                return _with(vault, (event.outpoint,), Seen())
            new = Coin(event.outpoint, event.sats, Seen(), generation=len(vault.generations))
            return replace(vault, coins=(*vault.coins, new))
        case CoinMined():
            return _with(vault, (event.outpoint,), Confirming(event.height))
        case CoinLocked():
            return _with(vault, (event.outpoint,), Locked(event.height))
        case CoinReorged():
            return _with(vault, (event.outpoint,), Reorged())
        case CoinLost():
            return _with(vault, (event.outpoint,), Lost(event.by))
        case PayoutSent(payout=payout):
            return _send(vault, payout)
        case PayoutReplaced(old=old, payout=payout):
            return _send(_undo(vault, old), payout)
        case PayoutVoid():
            return _undo(vault, event.txid)
        case PayoutStuck():
            return replace(vault, stuck=(*vault.stuck, event.txid))
        case PayoutMined():
            return _unstuck(vault, event.txid)
        case PayoutFinal():
            return _with_final(vault, event.txid, final=True)
        case PayoutReorged():
            return _with_final(vault, event.txid, final=False)
        case CoinsRecovered():
            return _with(vault, event.outpoints, Recovered(event.txid))
        case Rekeyed(generation=generation):
            return replace(vault, generations=(*vault.generations, generation))
        case CoinPlaced(outpoint=outpoint, generation=number):
            coins = tuple(
                replace(coin, generation=number) if coin.outpoint == outpoint else coin
                for coin in vault.coins
            )
            return replace(vault, coins=coins)
        case _:
            assert_never(event)
