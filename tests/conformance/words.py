"""The contracts' storage, word by word, against the core's state: a hundred times as fast as their
views, which the slow runs ask as well."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from eth_hash.auto import keccak

from escrow.adapters.evm.contracts import Contract, Contracts
from escrow.core.errors import Rejected
from escrow.core.phases import debt_now
from escrow.core.realise import auction_start, breached
from escrow.core.regions import loan as ln
from escrow.core.regions.loan import Outcome
from escrow.core.regions.system import Degraded, active_seconds, is_fresh, mode_at
from escrow.core.regions.token import outstanding
from escrow.core.rules import MAX_INTEREST_ACC, accrue, ltv_up
from escrow.core.sales import auction_price, is_stale_auction
from escrow.core.terms import NEW, Liquidation

if TYPE_CHECKING:
    from both_lab import Both

    from escrow.ports import EvmPort

PHASES = {
    ln.Offered: {0},
    ln.Accepted: {0},
    ln.Opened: {1},
    ln.Active: {2},
    ln.Called: {3},
    ln.Liquidating: {4},
    ln.Repaid: {5},
    ln.Seized: {6},
    ln.Cancelled: {7},
}
ENDS = {
    Outcome.RELEASED: {5},
    Outcome.SETTLED: {6},
    Outcome.WRITTEN_OFF: {6},
    Outcome.REFUNDED: {7},
    Outcome.CANCELLED: {7},
    Outcome.RECOVERED: {5, 6, 7, 8},
}
STATUS = {"RUNNING": 0, "ORACLE_STALE": 1, "PAUSED": 2}
AMENDED, DISPUTED, HEARD = 16, 32, 64
MASK_40, MASK_64 = 2**40 - 1, 2**64 - 1


def calldata(contract: Contract, function: str, args: Sequence[object]) -> bytes:
    """As ``Contract.encode``, in a tenth of the time: a test holds the two together."""
    entry = contract.artifact.functions[function]
    heads: list[bytes] = []
    tails: list[bytes] = []
    for kind, arg in zip(entry.inputs, args, strict=True):
        if kind.endswith("[]"):
            tails.append(_flat(len(arg)) + b"".join(map(_flat, arg)))
        elif kind == "bytes":
            tails.append(_flat(len(arg)) + arg + bytes(-len(arg) % 32))
        else:
            heads.append(_flat(arg))
            continue
        heads.append(b"")
    size = sum(len(head) or 32 for head in heads)
    rest = iter(tails)
    for n, head in enumerate(heads):
        if not head:
            heads[n], size = _flat(size), size + len(next(rest))
    return entry.selector + b"".join(heads) + b"".join(tails)


def _flat(arg) -> bytes:
    if isinstance(arg, int):
        return arg.to_bytes(32, "big")
    return arg.rjust(32, b"\0") if isinstance(arg, bytes) else b"".join(map(_flat, arg))


def layout(name: str) -> dict:
    """Where a contract keeps what, as its artifact says."""
    text = (files("escrow.adapters.evm") / "artifacts" / f"{name}.json").read_text()
    return json.loads(text)["storage"]


@lru_cache(maxsize=4_096)
def entry_of(slot: int, key: bytes) -> int:
    """The slot of a mapping's entry."""
    return int.from_bytes(keccak(slot.to_bytes(32, "big") + key.rjust(32, b"\0")), "big")


class Words:
    """Reads one deployment."""

    def __init__(self, contracts: Contracts, *, chain: EvmPort) -> None:
        self._contracts = contracts
        self._chain = chain
        book, pledge = layout("EscrowBook"), layout("PledgeToken")
        cash, prices = layout("CashToken"), layout("PriceRounds")
        self._loans, self._disputes = book["loans"]["slot"], book["disputes"]["slot"]
        self._auctions = book["auction_debt"]["slot"]
        self._claims = pledge["loans"]["slot"]
        self._tokens = pledge["regulated"]["accounts"]["slot"]
        self._cash = cash["regulated"]["accounts"]["slot"]
        self._packed = prices["packed"]["slot"]

    def _word(self, contract: Contract, slot: int, key: bytes = b"") -> int:
        return self._chain.storage(contract.address, entry_of(slot, key) if key else slot)

    def burns_of(self, who: bytes) -> int:
        """How often somebody burned."""
        return self._word(self._contracts.pledge, self._tokens, who) >> 233

    def compare(self, both: Both) -> None:
        """Every word that a story changes."""
        parts, state = self._contracts, both.state
        self._compare_loan(both)
        claims = self._word(parts.pledge, self._claims, both.loan)
        held, borrower = state.token.held, _raw(both, "borrower")
        assert claims & MASK_64 == outstanding(state.token)
        assert claims >> 64 & MASK_64 == held
        assert not held or claims >> 128 == int.from_bytes(borrower[:16], "big")
        assert self._word(parts.book, self._auctions) == both.in_auction
        system, word = state.system, self._word(parts.prices, self._packed)
        last = system.price
        round_ = (word & 2**60 - 1, word >> 60 & MASK_40, word >> 100 & 2**32 - 1)
        assert round_ == ((last.price, last.at, last.round) if last else (0, round_[1], 0))
        assert _clock(word, heartbeat=system.heartbeat, at=both.now) == (
            is_fresh(system, at=both.now),
            active_seconds(system, at=both.now),
        )
        for name in both.cash:
            who = _raw(both, name)
            assert self._word(parts.cash, self._cash, who) & MASK_64 == both.cash[name], name
            tokens = self._word(parts.pledge, self._tokens, who)
            pledged = held if name == "borrower" else 0
            assert tokens & MASK_64 == both.tokens[name] + pledged, name
            assert tokens >> 128 & MASK_64 == pledged, name

    def _compare_loan(self, both: Both) -> None:
        word = self._word(self._contracts.book, self._loans, both.loan)
        loan, at = both.state.loan, both.now
        expected = ENDS[loan.outcome] if isinstance(loan, ln.Ended) else PHASES[type(loan)]
        assert word & 15 in expected, (word & 15, loan)
        flags = AMENDED if both.terms.origin != NEW else 0
        deadline = 0
        if isinstance(loan, ln.Called):
            deadline = loan.deadline
            flags |= (HEARD if loan.heard else 0) | (DISPUTED if loan.dispute else 0)
            if loan.dispute:
                begun = self._word(self._contracts.book, self._disputes, both.loan)
                assert begun == loan.dispute.at | loan.dispute.active << 40
        elif isinstance(loan, ln.Liquidating):
            deadline = loan.since
        assert word & 240 == flags, (word & 240, loan)
        assert word >> 112 & MASK_40 == deadline, loan
        if isinstance(loan, ln.Indebted):
            debt = accrue(loan.debt, rate_bps=loan.terms.rate_bps, at=at)
            principal, since = word >> 8 & MASK_64, word >> 72 & MASK_40
            grown = (word >> 152) + principal * loan.terms.rate_bps * (at - since)
            assert principal == debt.principal
            assert min(grown, MAX_INTEREST_ACC) == debt.interest_acc

    def ask_views(self, both: Both) -> None:
        """What the views say, and what ``EvmClient`` makes of it."""
        client, state, at = both.lab.client, both.state, both.now
        loan, system, name = state.loan, state.system, "0x" + both.loan.hex()
        expected = ENDS[loan.outcome] if isinstance(loan, ln.Ended) else PHASES[type(loan)]
        assert client.entry(name).phase in expected
        assert client.held(name) == state.token.held
        assert client.outstanding(name) == outstanding(state.token)
        assert client.burns(name) == state.token.burns
        called = loan if isinstance(loan, ln.Called) else None
        open_since = called.dispute.at if called and called.dispute else 0
        book, prices = self._contracts.book, self._contracts.prices
        assert book.call("dispute_of", both.loan) == (bool(called and called.heard), open_since)
        assert book.call("auction_debt") == both.in_auction
        price = system.price.price if system.price else 0
        last = prices.call("latest")
        fresh, active = is_fresh(system, at=at), active_seconds(system, at=at)
        assert (last[0], *last[2:]) == (price, fresh, active)
        assert prices.call("last_round") == (system.price.round if system.price else 0)
        mode = mode_at(system, at=at)
        reason = mode.reason if isinstance(mode, Degraded) else "RUNNING"
        assert prices.call("status") == STATUS[reason]
        if isinstance(loan, ln.Indebted):
            debt, held = debt_now(state, at=at), state.token.held
            assert client.entry(name).principal == loan.debt.principal
            assert book.call("owed", both.book_terms) == debt
            ratio = ltv_up(debt, sats=held, price=price) if held * price else 2**256 - 1
            assert book.call("ltv", both.book_terms) == ratio
        self._ask_auction(both)
        for each in both.cash:
            who, pledged = _raw(both, each), state.token.held if each == "borrower" else 0
            assert self._contracts.cash.call("balanceOf", who) == both.cash[each]
            assert self._contracts.pledge.call("balanceOf", who) == both.tokens[each] + pledged
            assert self._contracts.pledge.call("spendable", who) == both.tokens[each]

    def _ask_auction(self, both: Both) -> None:
        loan, at, book = both.state.loan, both.now, self._contracts.book
        if both.terms.liquidation is not Liquidation.AUCTION or not isinstance(loan, ln.Indebted):
            return
        try:
            found, price, reason = breached(both.state, at=at)
        except Rejected as refusal:
            with pytest.raises(Rejected, match=refusal.code):
                book.call("auction_price", both.book_terms)
            return
        elapsed = at - auction_start(found, price, reason)
        if is_stale_auction(both.terms, elapsed=elapsed):
            with pytest.raises(Rejected, match="auction/stale"):
                book.call("auction_price", both.book_terms)
        else:
            asked = auction_price(both.terms, price=price.price, elapsed=elapsed)
            assert book.call("auction_price", both.book_terms) == asked


def _clock(word: int, *, heartbeat: int, at: int) -> tuple[bool, int]:
    """Whether the price of this word of PriceRounds is fresh, and the active clock: all seconds
    but those in which it was not, each counted once."""
    price, priced_at, lost = word & 2**60 - 1, word >> 60 & MASK_40, word >> 132 & MASK_40
    stale_from, since, until = priced_at + heartbeat, word >> 172 & MASK_40, word >> 212
    paused_until = min(at, until)
    paused = paused_until - since
    stale = max(0, at - stale_from)
    twice = max(0, paused_until - max(since, stale_from))
    fresh = price != 0 and at <= stale_from and at >= until
    return fresh, at - lost - paused - stale + twice


def _raw(both: Both, name: str) -> bytes:
    return bytes.fromhex(both.lab.people[name].address[2:])
