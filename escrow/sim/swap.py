"""An atomic swap of bitcoin for cash: one secret, a script on Bitcoin and a contract on the EVM.

    swap = propose(world, seller="borrower", buyer="lender", sats=Sats(10**8), cents=Cents(10**7))
    swap.lock_bitcoin(); world.mine(6); swap.lock_cash()
    swap.claim_cash()       # shows the secret on the EVM
    swap.claim_bitcoin()    # with the secret that the other now reads there

Each verb is an act of one party with its own key on the chain where it belongs. What was done is
read off the chains; nothing is kept here but the terms, and the secret of who drew it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Final, Self

from escrow.actors.party import Party
from escrow.adapters.bitcoin.htlc import HashTimeLock, sats_of, shown_in
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.adapters.evm.bundle import send_all
from escrow.adapters.evm.cash_orders import LOCK
from escrow.adapters.evm.contracts import Contract
from escrow.core.errors import Rejected
from escrow.core.units import HOUR, Cents, Sats, Seconds
from escrow.engine import PLATFORM
from escrow.ports import OutPoint
from escrow.sim.cash_legs import hash_lock
from escrow.sim.swap_terms import Leg, LegState, SwapTerms
from escrow.world import World

_FIRST_KEY: Final = 1 << 30
"""Index of the first swap's keys: the loans of no world come near it."""
_TARGET: Final = 1
"""Blocks within which a swap's transactions are wanted mined."""
_PROPOSE: Final = "swap-propose"
_LONGER: Final = Seconds(48 * HOUR)
_SHORTER: Final = Seconds(24 * HOUR)
_MARGIN: Final = Seconds(12 * HOUR)
_STATES: Final = (LegState.NONE, LegState.LOCKED, LegState.CLAIMED, LegState.REFUNDED)


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap in a world. Its verbs raise ``Rejected``: ``swap/…``, ``hashlock/…``, ``token/…``;
    ``Refused``: ``bitcoin/…``."""

    world: World
    terms: SwapTerms
    token: Contract
    """The cash: any token of the house that admits ``locks``."""
    locks: Contract
    """The ``HashLock``."""
    coins: HashTimeLock
    """The script that holds the bitcoin."""
    _secret: bytes = field(repr=False, default=b"")
    """The initiator's own; empty for who does not know it."""

    @classmethod
    def of(
        cls, world: World, terms: SwapTerms, *, token: Contract | None = None, secret: bytes = b""
    ) -> Self:
        """The swap of these terms, under way or not: for a world that was loaded, say. Raises
        ``BadInput``: ``input/unknown-party``, ``input/time``."""
        index = _FIRST_KEY + terms.number
        coins = HashTimeLock.create(
            claimer=world.party(terms.buyer).keys.vault_key(index),
            refunder=world.party(terms.seller).keys.vault_key(index),
            digest=terms.digest,
            refund_after=Seconds(terms.bitcoin_until - world.block_time_offset),
        )
        return cls(world, terms, token or world.evm.contracts.cash, hash_lock(world), coins, secret)

    # --- what one sees ---

    def state(self, leg: Leg) -> LegState:
        """Where a leg stands now."""
        if leg is Leg.CASH:
            return _STATES[self.locks.call("status", LOCK.hash(self._lock))]
        funding = self._funding()
        if funding is None:
            return LegState.NONE
        spend = self._spend(funding)
        if spend is None:
            return LegState.LOCKED
        shown = shown_in(spend, self.terms.digest) is not None
        return LegState.CLAIMED if shown else LegState.REFUNDED

    @property
    def is_final(self) -> bool:
        """Do the coins that were locked have their confirmations?"""
        funding = self._funding()
        depth = self.world.bitcoin.depth(funding.txid) if funding else None
        return (depth or 0) >= self.terms.confirmations

    def shown(self) -> bytes | None:
        """The secret, if anybody has shown it on either chain: read off the witness of a spend
        that may still wait to be mined, or off the contract's event."""
        funding = self._funding()
        spend = self._spend(funding) if funding else None
        if spend is not None and (found := shown_in(spend, self.terms.digest)):
            return found
        for log in self.world.evm.chain.logs(address=self.locks.address):
            event = self.locks.event(log)
            if event and event.name == "Claimed" and event.args["digest"] == self.terms.digest:
                return bytes(event.args["preimage"])
        return None

    # --- to lock ---

    def lock_bitcoin(self) -> str:
        """The seller pays the coins to the script; the txid."""
        terms = self.terms
        self._check_lock(Leg.BITCOIN)
        with self._act(Leg.BITCOIN, terms.seller, "lock", sats=terms.sats):
            wallet = Wallet(self._party(terms.seller).keys, node=self.world.bitcoin)
            paid = [(self.coins.script_pubkey, terms.sats)]
            return self.world.bitcoin.broadcast(wallet.pay(paid, feerate=self._feerate()))

    def lock_cash(self) -> None:
        """The buyer approves the contract for the cash and locks it there, or neither."""
        self._check_lock(Leg.CASH)
        account = self._party(self.terms.buyer).account
        with self._act(Leg.CASH, self.terms.buyer, "lock", cents=self.terms.cents):
            send_all(
                self.world.evm.chain,
                partial(self.token.send, account, "approve", self.locks.address, self.terms.cents),
                partial(self.locks.send, account, "lock", LOCK.values(self._lock)),
            )

    # --- to claim ---

    def claim_bitcoin(self, *, secret: bytes | None = None) -> str:
        """The buyer takes the coins, which shows the secret in the witness; the txid.

        Who shows it first makes sure that nobody can undo the lock or overtake the claim:
        ``swap/not-locked`` before the coins are final, ``swap/too-late`` near the deadline. Who
        knows it from the other chain tries as long as the coins are there. ``secret`` is in place
        of what the buyer knows. Raises ``BadInput("swap/preimage")``.
        """
        terms = self.terms
        secret = self._known(terms.buyer) if secret is None else secret
        funding, raw = self._locked()
        if self.shown() is None:
            terms.check_time(Leg.BITCOIN, now=self.world.now)
            if not self.is_final:
                raise Rejected("swap/not-locked", confirmations=terms.confirmations)
        buyer = self._party(terms.buyer)
        spend = self.coins.claim(
            funding,
            prev_tx=raw,
            to=buyer.script,
            feerate=self._feerate(),
            keys=buyer.keys,
            secret=secret,
        )
        with self._act(Leg.BITCOIN, terms.buyer, "claim"):
            return self.world.bitcoin.broadcast(spend)

    def claim_cash(self, *, secret: bytes | None = None) -> None:
        """The seller takes the cash, which shows the secret in the contract's event. ``secret`` is
        in place of what the seller knows."""
        terms = self.terms
        secret = self._known(terms.seller) if secret is None else secret
        self._require(Leg.CASH)
        with self._act(Leg.CASH, terms.seller, "claim"):
            # What the contract would refuse is not sent, so a refusal shows nothing.
            self.locks.send(
                self._party(terms.seller).account, "claim", LOCK.values(self._lock), secret
            )

    # --- to take back ---

    def refund_bitcoin(self) -> str:
        """The seller takes the coins back once Bitcoin's own clock is past the deadline; the
        txid."""
        seller = self._party(self.terms.seller)
        funding, raw = self._locked()
        spend = self.coins.refund(
            funding, prev_tx=raw, to=seller.script, feerate=self._feerate(), keys=seller.keys
        )
        with self._act(Leg.BITCOIN, self.terms.seller, "refund"):
            return self.world.bitcoin.broadcast(spend)

    def refund_cash(self) -> None:
        """The buyer takes the cash back after its deadline."""
        self._require(Leg.CASH)
        with self._act(Leg.CASH, self.terms.buyer, "refund"):
            self.locks.send(
                self._party(self.terms.buyer).account, "refund", LOCK.values(self._lock)
            )

    # --- inside ---

    @property
    def _lock(self) -> dict[str, object]:
        return {
            "token": self.token.address,
            "payer": self._party(self.terms.buyer).address_bytes,
            "payee": self._party(self.terms.seller).address_bytes,
            "amount": self.terms.cents,
            "digest": self.terms.digest,
            "deadline": self.terms.cash_until,
        }

    def _check_lock(self, leg: Leg) -> None:
        terms = self.terms
        if self.state(leg) is not LegState.NONE:
            raise Rejected("swap/locked", leg=leg.value)
        if leg is terms.second:
            first = self.state(terms.first)
            final = terms.first is Leg.CASH or self.is_final
            if first is not LegState.LOCKED or not final:
                raise Rejected("swap/order", leg=leg.value, first=first.value)
        terms.check_time(leg, now=self.world.now)

    def _require(self, leg: Leg) -> None:
        state = self.state(leg)
        if state is not LegState.LOCKED:
            raise Rejected("swap/not-locked", leg=leg.value, state=state.value)

    def _known(self, name: str) -> bytes:
        """The secret as far as this party knows it."""
        known = self._secret if name == self.terms.initiator else b""
        found = known or self.shown()
        if found is None:
            raise Rejected("swap/secret", party=name)
        return found

    def _funding(self) -> OutPoint | None:
        """The output that locks the coins. Anyone may pay the script less: that is a gift."""
        for outpoint in self.world.bitcoin.history(self.coins.script_pubkey):
            if sats_of(outpoint, self._raw(outpoint.txid)) >= self.terms.sats:
                return outpoint
        return None

    def _spend(self, funding: OutPoint) -> bytes | None:
        """The transaction that spends them, mined or not."""
        txid = self.world.bitcoin.spender(funding)
        return None if txid is None else self._raw(txid)

    def _locked(self) -> tuple[OutPoint, bytes]:
        """The coins as long as nobody spends them, and the transaction that locked them."""
        self._require(Leg.BITCOIN)
        funding = self._funding()
        assert funding is not None, "what is locked was paid"
        return funding, self._raw(funding.txid)

    def _raw(self, txid: str) -> bytes:
        raw = self.world.bitcoin.transaction(txid)
        assert raw is not None, "the node has what it tells of"
        return raw

    def _party(self, name: str) -> Party:
        return self.world.party(name)

    def _feerate(self) -> int:
        return self.world.bitcoin.estimate_feerate(_TARGET)

    def _act(self, leg: Leg, actor: str, verb: str, **asked: int) -> AbstractContextManager[None]:
        verb = f"swap-{verb}-{leg.value}"
        return self.world.act(actor, verb, PLATFORM, swap=self.terms.number, **asked)


def propose(
    world: World,
    *,
    seller: str,
    buyer: str,
    sats: Sats,
    cents: Cents,
    first: Leg = Leg.BITCOIN,
    longer: Seconds = _LONGER,
    shorter: Seconds = _SHORTER,
    margin: Seconds = _MARGIN,
    confirmations: int = 6,
    token: Contract | None = None,
) -> Swap:
    """Both agree on a swap; the initiator, whose leg is ``first``, draws the secret.

    ``longer`` and ``shorter`` are seconds from now to the deadlines of its leg and the other's.
    ``token`` is the cash, by default that of the loans. Raises ``BadInput``: ``swap/terms``,
    ``input/unknown-party``, ``input/time``; ``Rejected("swap/margin")``.
    """
    number = sum(act.verb == _PROPOSE for act in world.acts)
    until = {first: Seconds(world.now + longer)}
    other = Leg.CASH if first is Leg.BITCOIN else Leg.BITCOIN
    until[other] = Seconds(world.now + shorter)
    secret = world.streams.fresh(f"swap/{number}")
    terms = SwapTerms(
        number=number,
        seller=seller,
        buyer=buyer,
        sats=sats,
        cents=cents,
        digest=sha256(secret).digest(),
        first=first,
        bitcoin_until=until[Leg.BITCOIN],
        cash_until=until[Leg.CASH],
        margin=margin,
        confirmations=confirmations,
    )
    swap = Swap.of(world, terms, token=token, secret=secret)
    with world.act(terms.initiator, _PROPOSE, sats=sats, cents=cents, digest=terms.digest.hex()):
        pass
    return swap
