"""The claim on the coins: what was minted, what is pledged, what was burned.

Amounts of one loan's vault. A free token is anyone's claim on coins; a held one sits in the
escrow book and can only be released or seized.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from escrow.core.units import Sats, Seconds


@dataclass(frozen=True, slots=True)
class Burn:
    """Tokens destroyed for coins. Entitles one output, once."""

    id: int
    """Number that PledgeToken gave it."""
    sats: Sats
    """Coins claimed, before the miner's fee."""
    script: str
    """Output script that is to be paid, hex."""


@dataclass(frozen=True, slots=True)
class Token:
    """The token region of one loan."""

    outpoints: tuple[str, ...] = ()
    """Coins that were minted for, each once."""
    minted: Sats = Sats(0)
    """All that was ever minted."""
    held: Sats = Sats(0)
    """Pledged to the loan."""
    burned: Sats = Sats(0)
    """Destroyed for coins."""
    retired: Sats = Sats(0)
    """Destroyed because the coins behind them are gone."""
    retired_outpoints: tuple[str, ...] = ()
    """Coins that were retired, each once."""
    burns: tuple[Burn, ...] = ()
    """Every burn, in order."""


def outstanding(token: Token) -> Sats:
    """Tokens that exist."""
    return Sats(token.minted - token.burned - token.retired)


def free(token: Token) -> Sats:
    """Tokens that exist and are not pledged."""
    return Sats(outstanding(token) - token.held)


@dataclass(frozen=True, slots=True)
class Minted:
    """Attestors said the coin is final; its tokens went to the borrower."""

    at: Seconds
    outpoint: str
    sats: Sats
    tx: str


@dataclass(frozen=True, slots=True)
class TokensHeld:
    """The borrower pledged free tokens to the loan."""

    at: Seconds
    sats: Sats
    tx: str


@dataclass(frozen=True, slots=True)
class TokensFreed:
    """Pledged tokens were released to the borrower or seized by whoever covered the debt."""

    at: Seconds
    seized: Sats
    released: Sats


@dataclass(frozen=True, slots=True)
class Burned:
    """A holder destroyed free tokens and named where the coins shall go."""

    at: Seconds
    burn: Burn
    tx: str


@dataclass(frozen=True, slots=True)
class Retired:
    """Attestors said the coin is gone; its tokens were destroyed, pledged ones first."""

    at: Seconds
    outpoint: str
    sats: Sats
    tx: str


TokenEvent = Minted | TokensHeld | TokensFreed | Burned | Retired


def evolve_token(token: Token, event: TokenEvent) -> Token:
    """Fold one event into the claim."""
    match event:
        case Minted():
            return replace(
                token,
                minted=Sats(token.minted + event.sats),
                outpoints=(*token.outpoints, event.outpoint),
            )
        case TokensHeld():
            return replace(token, held=Sats(token.held + event.sats))
        case TokensFreed():
            return replace(token, held=Sats(token.held - event.seized - event.released))
        case Burned():
            return replace(
                token,
                burned=Sats(token.burned + event.burn.sats),
                burns=(*token.burns, event.burn),
            )
        case Retired():
            return replace(
                token,
                held=Sats(token.held - min(token.held, event.sats)),
                retired=Sats(token.retired + event.sats),
                retired_outpoints=(*token.retired_outpoints, event.outpoint),
            )
        case _:
            assert_never(event)
