"""What a party has in its own wallet, shown to anyone: each coin with its way to a block, and one
signature (BIP-322) over all of it by the key that can move them.

The coins of vaults have statements of their own (``prover``): there a quorum signs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from escrow.actors.observer import Blocks, bitcoin_state, stated_coins
from escrow.actors.party import Party
from escrow.actors.statement import BitcoinState, StatedCoin
from escrow.actors.verifier import check_age, check_bitcoin, check_coin
from escrow.adapters.bitcoin import bip322, psbt
from escrow.adapters.bitcoin.vault import address_of, parse_address
from escrow.core.errors import BadInput, Refused
from escrow.core.units import Sats, Seconds

MAX_COINS: Final = 10_000
"""Most coins of one statement."""


@dataclass(frozen=True, slots=True)
class OwnCoins:
    """Signed, or about to be."""

    at: Seconds
    """When it was made."""
    owner: str
    """The party's name: a label, which proves nothing."""
    address: str
    """Where the coins are."""
    bitcoin: BitcoinState
    coins: tuple[StatedCoin, ...]
    """In the chain and unspent."""
    proof: str = ""
    """BIP-322 signature of ``message`` by whoever can move them."""

    @property
    def sats(self) -> Sats:
        """All of them."""
        return Sats(sum(coin.sats for coin in self.coins))

    @property
    def message(self) -> str:
        """What is signed: the hash of all but the signature."""
        body = [self.at, self.owner, self.address, self.bitcoin.hash]
        coins = [[coin.outpoint, coin.sats, coin.height] for coin in self.coins]
        raw = json.dumps([body, coins], separators=(",", ":")).encode()
        return f"Own coins, version 1: as in sha256 {sha256(raw).hexdigest()}"


def prove_own(party: Party, *, bitcoin: Blocks, at: Seconds) -> OwnCoins:
    """The party states and signs what is confirmed in its wallet and waits for no spend."""
    key = party.keys.wallet_key()
    here = [c for c in bitcoin.coins(party.script) if bitcoin.spender(c.outpoint) is None]
    stated = OwnCoins(
        at,
        party.name,
        address_of(party.script),
        bitcoin_state(bitcoin),
        tuple(stated_coins(here, bitcoin=bitcoin)),
    )
    draft = bip322.to_sign(stated.message, owner=key)
    return replace(stated, proof=bip322.proof_of(psbt.sign(draft, keys=party.keys)))


def verify_own(
    stated: OwnCoins,
    *,
    at: Seconds | None = None,
    max_age: Seconds | None = None,
    bitcoin_block: str | None = None,
) -> Sats:
    """How much it proves, from the statement alone. Vouched for by the signer, and not proved: that
    none of the coins was spent by the block that is named.

    Raises Refused: "reserves/block" for headers that do not link or another block than the
    verifier's, "reserves/altered", "reserves/signature", "reserves/stale";
    BadInput("reserves/format").
    """
    check_bitcoin(stated.bitcoin)
    if bitcoin_block is not None and bitcoin_block != stated.bitcoin.hash:
        raise Refused("reserves/block", wanted=bitcoin_block[:80], stated=stated.bitcoin.hash)
    if len(stated.coins) > MAX_COINS:
        raise BadInput("reserves/format", coins=len(stated.coins), most=MAX_COINS)
    if len({coin.outpoint for coin in stated.coins}) < len(stated.coins):
        raise Refused("reserves/altered", twice="coin")
    script = parse_address(stated.address)
    for coin in stated.coins:
        check_coin(coin, bitcoin=stated.bitcoin, script=script)
    bip322.check_proof(stated.proof, message=stated.message, address=stated.address)
    check_age(stated.at, at=at, max_age=max_age)
    return stated.sats
