"""The world: two real chains, every party with its own keys, one clock, one seed.

    w = World(seed=1)
    loan = w.open(btc="1.5", principal="50000.00")
    w.price("36000"); print(loan)

Verbs are acts of a party, done with that party's own signature on the chain where they belong;
afterwards the engine looks at both chains and does what is due. ``w.w3`` is an ordinary
``web3.Web3`` on the same EVM, and ``w.bitcoin`` the node: whatever is done there, the world sees
at its next verb, or at ``w.settle()``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from escrow.actors.observer import Custody
from escrow.actors.oracle import Report
from escrow.actors.party import Party, borrower_at
from escrow.actors.vaults import Plan
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.taken import recovery_path
from escrow.adapters.bitcoin.vault import Vault, dust, parse_address
from escrow.adapters.evm.contracts import Contract as OnChain
from escrow.adapters.evm.contracts import deploy_one
from escrow.adapters.store.codec import state_hash
from escrow.adapters.store.kept import MAX_KEPT, Kept
from escrow.adapters.store.world_file import WorldData, read_world, write_world
from escrow.config import LoanDefaults, WorldConfig, block_time_offset
from escrow.core.decide import decide
from escrow.core.eligibility import Fact, RuleBook, Value
from escrow.core.errors import BadInput, Refused, Rejected
from escrow.core.gates import check_collateral, check_terms_now
from escrow.core.laws import Step
from escrow.core.phases import agreed_terms, takes_collateral
from escrow.core.regions.loan import Accepted, Opened
from escrow.core.regions.register import Purpose, Register
from escrow.core.regions.servicing import ServicingPlan
from escrow.core.regions.token import free
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.terms import MIN_DEPOSIT, Liquidation, Terms
from escrow.core.units import (
    CENTS_SCALE,
    DAY,
    HOUR,
    MAX_MONEY,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_up,
)
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.attest import Attest
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.declare_default import DeclareDefault
from escrow.core.verbs.impair import Impair, LiftImpairment
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.switch_profile import SwitchProfile
from escrow.core.verbs.transfer import Transfer
from escrow.core.verbs.withdraw import Withdraw
from escrow.deal import Act, Deal
from escrow.eligibility.read import load_profile
from escrow.engine import PLATFORM
from escrow.parse import parse_btc, parse_cents, parse_price
from escrow.recall import states_at
from escrow.vault_life import (
    Refresh,
    agree_rekey,
    found_coins,
    opens_by_waiting,
    refreshes,
    vaults_of,
)
from escrow.wiring import Wires, is_label, load_wires, new_wires
from escrow.words import exact

if TYPE_CHECKING:
    from web3 import Web3
    from web3.contract import Contract

_NO_LIMIT: Final = 2**256 - 1
_TARGET: Final = 1
"""Blocks within which parties want their own transactions mined."""
_MTP_BLOCKS: Final = 11
"""Blocks whose median is Bitcoin's own clock (BIP-113)."""


@dataclass(slots=True)
class _Acting:
    """An act while it goes on."""

    steps: list[tuple[str, Step]] = field(default_factory=list)
    loan: str = ""


class World:
    """Everything of one simulation. Close it, or use it as a context manager."""

    def __init__(self, seed: int = 1, *, config: WorldConfig | None = None) -> None:
        """A new world. Raises ``BadInput`` for a config that makes no sense.

        ``seed`` is ignored where ``config`` is given: it has its own.
        """
        self.config = config or WorldConfig(seed=seed)
        self._wire(new_wires(self.config, self._vaults_of, self._answers, self._note))
        self._pace.tell()

    def _wire(self, wires: Wires) -> None:
        self._wires = wires
        self.clock = wires.clock
        self.bitcoin = wires.bitcoin
        self.evm = wires.evm
        self.engine = wires.engine
        self.parties: dict[str, Party] = wires.parties
        self.streams = wires.streams
        self._pace = wires.pace
        self.silent: set[str] = set()
        """Names of parties that do not answer: they neither sign nor act."""
        self.acts: list[Act] = []
        self._closed = False
        self._acting: _Acting | None = None

    # --- what one sees ---

    @property
    def now(self) -> Seconds:
        """The present, unix seconds."""
        return self.clock.now

    @property
    def extras(self) -> Mapping[str, OnChain]:
        """What was deployed besides the contracts of every world, by label."""
        return self._wires.extras

    @property
    def kept(self) -> Mapping[str, Kept]:
        """Registers that are kept with this world, by label (``keep``)."""
        return self._wires.kept

    @property
    def loans(self) -> tuple[Deal, ...]:
        """Every loan, oldest first."""
        return tuple(Deal(self, loan) for loan in self.engine.deals)

    @property
    def state_hash(self) -> str:
        """SHA-256 over all that the log folds to. Replaying the log gives it again."""
        deals = {
            loan: (deal.loan, deal.vault, deal.token, deal.incidents)
            for loan, deal in self.engine.deals.items()
        }
        register = self.engine.register
        if register == Register():
            return state_hash(self.engine.system, deals)
        books = {loan: deal.book for loan, deal in self.engine.deals.items()}
        return state_hash(self.engine.system, deals, register, books)

    @property
    def block_time_offset(self) -> int:
        """World time − Bitcoin block time, constant."""
        return block_time_offset(self.config)

    def log_lines(self) -> Iterator[str]:
        """The append-only log, one JSON object a record, with its hash chain."""
        return self._wires.log.export_jsonl()

    def events(self) -> Iterator[tuple[str, Event]]:
        """Every event of the log, oldest first, with the loan it belongs to ("" for what all loans
        share)."""
        for record in self._wires.log.read():
            yield record.stream, record.event

    @cached_property
    def w3(self) -> Web3:
        """A normal ``web3.Web3`` on this world's EVM, to script it as one is used to.

        Asking it seals the block under way, so that ``latest`` holds all that was done.
        """
        from web3 import Web3

        from escrow.adapters.evm.host import Bare
        from escrow.adapters.evm.provider import InProcessProvider
        from escrow.adapters.evm.rpc import Rpc

        chain = self.evm.chain
        rpc = Rpc(chain, host=Bare(chain, returns=False))
        return Web3(InProcessProvider(rpc, before=chain.seal))

    def contract(self, name: str) -> Contract:
        """One of this world's contracts as ``web3`` has them, e.g. ``EscrowBook``. A deal's terms
        as its calls take them are ``deal.terms_tuple``. Raises ``BadInput("evm/contract")``."""
        parts = {part.name: part for part in self.evm.contracts.parts} | self._wires.extras
        for label, part in parts.items():
            if label == name:
                address = self.w3.to_checksum_address("0x" + part.address.hex())
                return self.w3.eth.contract(address=address, abi=list(part.artifact.abi))
        raise BadInput("evm/contract", name=name[:40])

    def __repr__(self) -> str:
        return (
            f"<World seed={self.config.seed} now={self.now} bitcoin=#{self.bitcoin.height} "
            f"evm=#{self.evm.chain.block_number} loans={len(self.engine.deals)}>"
        )

    def _repr_html_(self) -> str:
        loans = "".join(deal._repr_html_() for deal in self.loans)
        return f"<div><p>{escape(repr(self))}</p>{loans}</div>"

    def state_of(self, loan: str) -> Escrow:
        """All four regions of a loan."""
        return self.engine.deal(loan)

    def states_after(self, n: int) -> dict[str, Escrow]:
        """Every loan as it stood when act ``n`` was over. Raises ``BadInput("step/unknown")``."""
        if type(n) is not int or not 1 <= n <= len(self.acts):
            raise BadInput("step/unknown", steps=len(self.acts))
        return states_at(self._wires.tale(), length=self.acts[n - 1].log[1])

    def party(self, name: str) -> Party:
        """A party by name. Raises ``BadInput("input/unknown-party")``."""
        if name not in self.parties:
            raise BadInput("input/unknown-party", name=name[:40])
        return self.parties[name]

    def sats_of(self, name: str) -> Sats:
        """Confirmed coins in a party's own wallet."""
        return self._wires.wallet(self.party(name)).balance()

    def tokens_of(self, name: str) -> Sats:
        """Pledge tokens that a party may spend: neither pledged nor frozen."""
        return Sats(self.evm.contracts.pledge.call("spendable", self.party(name).address_bytes))

    def cash_of(self, name: str) -> Cents:
        """Cash that a party holds."""
        return Cents(self.evm.contracts.cash.call("balanceOf", self.party(name).address_bytes))

    def vault_of(self, loan: str) -> Vault:
        """The vault of a loan, from its terms. Raises ``loan/unknown``."""
        return self._vaults_of(loan)[-1]

    def custody_of(self, loan: str) -> Custody:
        """Every generation of a loan's vault, and what was signed for the later ones. Raises
        ``loan/unknown``."""
        terms, vaults = agreed_terms(self.engine.deal(loan)), self._vaults_of(loan)
        return Custody(terms, vaults, tuple(a for a in self._wires.rekeys if a.loan == loan))

    # --- agreement ---

    def terms(
        self,
        *,
        principal: str | int | None = None,
        liquidation: str | None = None,
        arbiter: str | None = None,
        borrower: str = "borrower",
        **changes: int,
    ) -> Terms:
        """Terms between a borrower and this world's lender, with a vault of their own.

        ``liquidation`` is ``take-over``, ``third-party``, ``partial`` or ``auction``; ``arbiter``
        the party that decides on disputed calls. Spans count from now. ``changes`` are fields of
        ``LoanDefaults``. Raises ``BadInput``.
        """
        kinds = {kind.name.lower().replace("_", "-"): kind for kind in Liquidation}
        if liquidation is not None and liquidation not in kinds:
            raise BadInput("scenario/value", liquidation=liquidation[:40])
        try:
            plan = replace(LoanDefaults(), **changes)  # type: ignore[arg-type]
        except TypeError:
            raise BadInput("scenario/unknown-key", keys=" ".join(sorted(changes))[:80]) from None
        if principal is not None:
            plan = replace(plan, principal=parse_cents(principal))
        if liquidation is not None:
            plan = replace(plan, liquidation=kinds[liquidation])
        maturity = Seconds(self.now + plan.term)
        recover_at = Seconds(maturity + plan.grace + plan.recover_in)
        nonce = len(self.engine.deals)
        owner = self.party(borrower)
        if owner.role is not Role.BORROWER:
            raise BadInput("input/unknown-party", name=borrower[:40], role=owner.role.value)
        default_at = Seconds(maturity + plan.grace)
        vault = self._wires.vaults.vault(Plan(nonce, default_at, recover_at, owner.address))
        return Terms(
            borrower=owner.address,
            lender=self.party("lender").address,
            vault="0x" + vault.witness_program.hex(),
            principal=plan.principal,
            rate_bps=plan.rate_bps,
            initial_ltv=plan.initial_ltv,
            restore_ltv=plan.restore_ltv,
            call_ltv=plan.call_ltv,
            liquidation_ltv=plan.liquidation_ltv,
            cure=plan.cure,
            expires_at=Seconds(self.now + plan.expires_in),
            draw_by=Seconds(self.now + plan.draw_in),
            maturity=maturity,
            grace=plan.grace,
            recover_at=recover_at,
            confirmations=plan.confirmations,
            liquidation=plan.liquidation,
            max_fee=plan.max_fee,
            nonce=nonce,
            fee_bps=plan.fee_bps,
            min_left=plan.min_left,
            **plan.of_kind,
            **({} if arbiter is None else self._arbiter(arbiter, plan.dispute)),
        )

    def _arbiter(self, name: str, time: Seconds) -> dict[str, Any]:
        return {"arbiter": self.party(name).address, "dispute": time}

    def offer(
        self, terms: Terms | None = None, *, plan: ServicingPlan | None = None, by: str = "lender"
    ) -> Deal:
        """The lender binds itself to terms, and to a plan beside them that the operator services:
        notices, instalments, patience. Raises ``Rejected``."""
        terms = terms or self.terms()
        expected = self._wires.vaults.vault(Plan.of(terms))
        if terms.vault != "0x" + expected.witness_program.hex():
            raise BadInput("terms/vault", vault=terms.vault[:80])
        loan = self.evm.loan_id(terms)
        # Two loans on one vault would count the same coins twice.
        if any(d.terms.vault == terms.vault for d in self.loans if d.id != loan):
            raise BadInput("terms/vault", vault=terms.vault[:80], reason="used by another loan")
        with self.act(by, "offer", loan, principal=terms.principal):
            self.engine.ask(loan, Offer(self._role(by, terms), self.now, terms, plan))
        return Deal(self, loan)

    def switch_profile(
        self, profile: str | RuleBook, *, what_if: bool = False, by: str = "registrar"
    ) -> RuleBook:
        """From now on new offers are under these rules: a shipped profile, a TOML file or a book.
        Loans keep theirs.

        Raises ``BadInput``: ``profile/…``; ``Rejected``: ``profile/not-registrar``,
        ``profile/unchanged``, ``eligibility/not-in-force`` unless ``what_if``.
        """
        book = load_profile(profile).book if isinstance(profile, str) else profile
        with self.act(by, "switch-profile", profile=book.profile, version=book.version):
            self.engine.ask(PLATFORM, SwitchProfile(self._role(by), self.now, book, what_if))
        return book

    def attest(
        self, party: str, facts: Mapping[str, Value], *, until: int, by: str = "registrar"
    ) -> None:
        """The registrar records what it saw evidence of: ``facts`` of a party, as rules call them,
        counting up to second ``until``. Raises ``Rejected``, ``BadInput``: ``attest/…``."""
        known = tuple(Fact(name, value) for name, value in facts.items())
        address = self.party(party).address
        with self.act(by, "attest", party=party, facts=" ".join(facts)):
            ask = Attest(self._role(by), self.now, address, known, Seconds(until))
            self.engine.ask(PLATFORM, ask)

    def transfer(
        self, *, by: str, to: str, btc: str | int, purpose: Purpose = Purpose.PURCHASE
    ) -> None:
        """A holder passes free pledge tokens on, if the rules of today let it. Rules and token are
        asked before anything is written down or moves. Raises ``Rejected``:
        ``eligibility/denied``, ``token/…``."""
        sender, receiver, sats = self.party(by), self.party(to), parse_btc(btc)
        pledge, move = self.evm.contracts.pledge, (receiver.address_bytes, sats)
        with self.act(by, "transfer", to=to, sats=sats, purpose=purpose.value):
            ask = Transfer(
                self._role(by), self.now, sender.address, receiver.address, sats, purpose
            )
            decide(self.engine.deal(PLATFORM), ask)
            pledge.call("transfer", *move, sender=sender.address_bytes)
            self.engine.ask(PLATFORM, ask)
            pledge.send(sender.account, "transfer", *move)

    def accept(self, loan: Deal | None = None, *, by: str | None = None) -> Deal:
        """The borrower signs too; the operator carries both signatures to the escrow book."""
        deal, by = self._owned(loan, by)
        with self.act(by, "accept", deal.id):
            self.engine.ask(deal.id, Accept(self._role(by, deal.terms), self.now))
        return deal

    def cancel(self, loan: Deal | None = None, *, by: str | None = None) -> Deal:
        """End what was never drawn: withdraw the offer, or cancel on the EVM."""
        deal, by = self._owned(loan, by)
        with self.act(by, "cancel", deal.id):
            if isinstance(deal.state.loan, Opened) or deal.state.vault.coins:
                self._book(by, "cancel", deal)
            else:
                self.engine.ask(deal.id, Cancel(self._role(by, deal.terms), self.now))
        return deal

    # --- coins and money ---

    def pay(self, by: str, *, btc: str | int, to: str) -> str:
        """A party pays coins from its own wallet to any regtest address; the txid.

        Raises ``BadInput``: ``input/amount``, ``bitcoin/address``; ``Refused("bitcoin/funds")``.
        """
        sats, script = parse_btc(btc), parse_address(to)
        with self.act(by, "pay", PLATFORM, sats=sats, to=to):
            return self._send(by, script, sats)

    def pledge(self, loan: Deal | None = None, *, btc: str | int, wait: bool = True) -> Deal:
        """The borrower pays coins to the vault and, unless ``wait`` is false, sees them through:
        confirmed, attested, minted, and the tokens pledged to the loan.

        Pledging twice is more collateral. Raises ``BadInput("input/amount")``; ``Rejected``:
        ``mint/amount`` below the smallest deposit, ``pledge/late`` if the loan takes no more,
        ``eligibility/denied``;
        ``Refused("bitcoin/funds")``.
        """
        deal, by = self._owned(loan)
        sats = self._depositable(deal, btc)
        check_collateral(deal.state, at=self.now)
        with self.act(by, "pledge", deal.id, sats=sats):
            self._send(by, deal.vault.script_pubkey, sats)
        if wait:
            self.mine(deal.terms.confirmations)
            self.secure(deal)
        return deal

    def pledge_many(
        self, deposits: Sequence[tuple[Deal, str | int]], *, wait: bool = True
    ) -> tuple[Deal, ...]:
        """Each borrower funds its vaults in one transaction, which is cheaper than one each, and
        all of them are in the same block; the rest as ``pledge``, which says what is raised.
        Nothing is paid unless every borrower can pay."""
        chosen = [(deal, self._depositable(deal, btc)) for deal, btc in deposits]
        if not chosen:
            raise BadInput("input/amount", deposits=0)
        for deal, _ in chosen:
            check_collateral(deal.state, at=self.now)
        asked = " ".join(f"{deal.id[:10]}={sats}" for deal, sats in chosen)
        outputs: dict[str, list[tuple[bytes, Sats]]] = {}
        for deal, sats in chosen:
            outputs.setdefault(self._owned(deal)[1], []).append((deal.vault.script_pubkey, sats))
        actor = next(iter(outputs)) if len(outputs) == 1 else "borrowers"
        with self.act(actor, "pledge-many", PLATFORM, deposits=asked):
            feerate = self._feerate()
            wallets = {name: self._wires.wallet(self.party(name)) for name in outputs}
            paid = [wallets[name].pay(each, feerate=feerate) for name, each in outputs.items()]
            for raw in paid:
                self.bitcoin.broadcast(raw)
        deals = tuple({deal.id: deal for deal, _ in chosen}.values())
        if wait:
            self.mine(max(deal.terms.confirmations for deal in deals))
            for deal in deals:
                self.secure(deal)
        return deals

    def consolidate(self, loan: Deal | None = None, *, by: str | None = None) -> Deal:
        """Gather all coins of the vault that tokens stand on into one; ``by`` pays the miner.

        Each coin saves its bytes when the payout comes. Raises Rejected("payout/not-locked") for
        fewer than two; Refused: ``cosigner/…``, ``bitcoin/…``.
        """
        return self._swept("consolidate", loan, by, least=2)

    def refresh(self, loan: Deal | None = None, *, by: str | None = None) -> Deal:
        """Move the vault's coins to where they are, before a path opens for which less is asked
        (``refresh_by``): each coin rests anew. Raises as ``consolidate``, and BadInput("psbt/path")
        if no path of the policy opens by waiting."""
        if not opens_by_waiting(self._wires.vaults.policy):
            raise BadInput("psbt/path", policy=self._wires.vaults.policy.name)
        return self._swept("refresh", loan, by, least=1)

    def refresh_by(self, loan: Deal | None = None) -> tuple[Refresh, ...]:
        """Which coins are to be moved by when, the most urgent first: empty if no path of the
        policy opens by waiting."""
        deal = self._deal(loan)
        return refreshes(self._wires, deal.vault, deal.state, offset=self.block_time_offset)

    def rekey(self, loan: Deal | None = None, *, lost: str) -> Deal:
        """A role's key is lost, or rotated: borrower and lender agree on a vault in which it is
        new, and the quorum of those that are left moves the coins there; the borrower pays the
        miner, else the lender. The tokens and the debt stay as they are.

        Coins that come to an older address are moved too, as soon as they are minted for. What
        cannot be moved yet stays due (``SweepVault``). Raises Refused("rekey/quorum") if too few
        keys are left: then the recovery path remains, where there is one. BadInput("bitcoin/key")
        for no role of the policy; Rejected: ``rekey/…``.
        """
        deal = self._deal(loan)
        with self.act("operator", "rekey", deal.id, lost=lost):
            now = self._wires.clock.now
            self.engine.ask(
                deal.id, agree_rekey(self._wires, deal.id, deal.state, lost=lost, at=now)
            )
        return deal

    def secure(self, loan: Deal | None = None, *, by: str | None = None) -> Deal:
        """Pledge every free token of the vault to the loan (``EscrowBook.top_up``)."""
        deal, by = self._owned(loan, by)
        sats = free(deal.state.token)
        check_collateral(deal.state, at=self.now)
        with self.act(by, "top-up", deal.id, sats=sats):
            self._book(by, "top_up", deal, sats)
        return deal

    def top_up(self, loan: Deal | None = None, *, btc: str | int) -> Deal:
        """More coins to the same vault, seen through until they count."""
        return self.pledge(loan, btc=btc)

    def draw(
        self, loan: Deal | None = None, amount: str | int | None = None, *, by: str | None = None
    ) -> Deal:
        """The borrower draws ``amount``, by default all that the terms allow."""
        deal, by = self._owned(loan, by)
        cents = deal.terms.principal if amount is None else parse_cents(amount)
        with self.act(by, "draw", deal.id, cents=cents):
            self._book(by, "draw", deal, cents)
        return deal

    def repay(
        self, loan: Deal | None = None, amount: str | int | None = None, *, by: str | None = None
    ) -> Deal:
        """Anyone pays ``amount``, by default everything owed at this second."""
        deal, by = self._owned(loan, by)
        cents = deal.debt if amount is None else parse_cents(amount)
        with self.act(by, "repay", deal.id, cents=cents):
            if amount is None:
                self._book(by, "close", deal)
            else:
                self._book(by, "repay", deal, cents)
        return deal

    def margin_call(self, loan: Deal | None = None, *, by: str = "lender") -> Deal:
        """Call the loan. The operator does so by itself when the level is reached."""
        return self._simple("margin_call", "margin-call", loan, by)

    def cure(self, loan: Deal | None = None, *, by: str | None = None) -> Deal:
        """Have a restored loan called cured. The operator does so by itself."""
        return self._simple("cure", "cure", loan, by)

    def expire_call(self, loan: Deal | None = None, *, by: str = "lender") -> Deal:
        """Have an unanswered call called expired. The operator does so by itself."""
        return self._simple("expire_call", "expire-call", loan, by)

    def dispute(self, loan: Deal | None = None, *, by: str | None = None) -> Deal:
        """The borrower disputes a margin call: it does not expire until ``resolve``."""
        return self._simple("dispute", "dispute", loan, by)

    def resolve(self, loan: Deal | None = None, *, upheld: bool, by: str = "arbiter") -> Deal:
        """The arbiter that the terms name decides: was the borrower right?"""
        deal = self._deal(loan)
        with self.act(by, "resolve", deal.id, upheld=str(upheld).lower()):
            self._book(by, "resolve", deal, upheld)
        return deal

    def liquidate(
        self,
        loan: Deal | None = None,
        *,
        by: str | None = None,
        pay: str | int | None = None,
        least: str | int = 0,
    ) -> Deal:
        """Realise the collateral at the oracle's price, in the way that the terms chose.

        A third party pays ``pay`` at most, by default all it takes, for at least ``least`` coins.
        Raises ``Rejected``: ``liquidate/…``, ``loan/amount``, ``price/stale``.
        """
        deal = self._deal(loan)
        if deal.terms.liquidation is Liquidation.TAKE_OVER:
            by = by or self._holder(deal.terms.lender).name
            with self.act(by, "take-over", deal.id):
                self._book(by, "take_over", deal)
            return deal
        by = by or "liquidator"
        most = _NO_LIMIT if pay is None else parse_cents(pay)
        fewest = parse_btc(least) if least else 0
        with self.act(by, "liquidate", deal.id, **({} if pay is None else {"pay": most})):
            self._book(by, "liquidate", deal, most, fewest)
        return deal

    def take(
        self,
        loan: Deal | None = None,
        *,
        by: str = "liquidator",
        btc: str | int | None = None,
        most: str | None = None,
    ) -> Deal:
        """Buy pledged coins in an auction at the price of this second: ``btc`` of them, by default
        all that the debt needs, at ``most`` a coin. Raises ``Rejected``: ``auction/stale``,
        ``liquidate/…``, ``loan/amount``, ``price/stale``."""
        deal = self._deal(loan)
        want = Sats(MAX_MONEY) if btc is None else parse_btc(btc)
        limit = _NO_LIMIT if most is None else parse_price(most)
        asked = {} if btc is None else {"sats": want}
        with self.act(by, "take", deal.id, **asked):
            self._book(by, "take", deal, want, limit)
        return deal

    def redo(self, loan: Deal | None = None, *, by: str = "operator") -> Deal:
        """Have an auction's price start from the top. The operator does so by itself."""
        return self._simple("redo", "redo", loan, by)

    def withdraw(self, loan: Deal | None = None, *, btc: str | int, by: str | None = None) -> Deal:
        """The borrower takes pledged tokens back; ``burn`` then brings the coins. Raises
        ``Rejected``: ``withdraw/…``, ``loan/amount``, ``price/stale``."""
        (deal, by), sats = self._owned(loan, by), parse_btc(btc)
        with self.act(by, "withdraw", deal.id, sats=sats):
            self._book(by, "withdraw", deal, sats)
        return deal

    def substitute(
        self, loan: Deal | None = None, *, btc: str | int, by: str | None = None
    ) -> Deal:
        """New coins for as many pledged ones: seen through until they count, and only then are
        the others taken back and paid out (ISO 20022 colr.010 to 012: the taker releases the old
        piece after the new one is received).

        Raises ``Rejected``: ``withdraw/…``, ``price/stale``, ``loan/amount`` before a coin moves;
        and what ``pledge`` and ``burn`` raise.
        """
        deal, by = self._owned(loan, by)
        sats, state = self._depositable(deal, btc), deal.state
        both = replace(state, token=replace(state.token, held=Sats(state.token.held + sats)))
        decide(both, Withdraw(self._role(by, deal.terms), self.now, sats))
        self.pledge(deal, btc=btc)
        self.withdraw(deal, btc=btc, by=by)
        return self.burn(deal, btc=btc, by=by)

    def refinance(
        self,
        loan: Deal | None = None,
        *,
        by: str = "operator",
        lender: str | None = None,
        **changes: int,
    ) -> Deal:
        """Both parties sign new terms, which settle the old debt and go on with it as principal.

        ``lender`` may be another party, which pays the debt to the one before. ``changes`` are
        fields of ``Terms``, by default those in force; the time to accept ends now, and what the
        vault was built on cannot change: its keys and its policy stay. Raises ``BadInput``;
        ``Rejected``: ``refinance/…`` (not-agreed if a party does not answer), ``terms/…``,
        ``draw/…``, ``token/…``, ``price/stale``.
        """
        deal = self._deal(loan)
        old = deal.terms
        # One more than any before: terms count once, also where nothing else differs.
        fresh: dict[str, Any] = {
            "origin": deal.id,
            "nonce": old.nonce + 2**64,
            "expires_at": self.now,
        }
        if lender is not None:
            fresh["lender"] = self.party(lender).address
        fresh["draw_by"] = max(self.now, old.draw_by)
        try:
            new = replace(old, **(fresh | changes))
        except TypeError:
            raise BadInput("scenario/unknown-key", keys=" ".join(sorted(changes))[:80]) from None
        check_terms_now(deal.state, new, at=self.now)
        with self.act(by, "refinance", deal.id, principal=new.principal, rate_bps=new.rate_bps):
            parties = [self._holder(new.borrower), self._holder(new.lender)]
            if not all(map(self._answers, parties)):
                raise Rejected("refinance/not-agreed", lender=new.lender)
            signatures = self._wires.operator.signed(new, *parties)
            self.evm.refinance(self.party(by).account, old, new, *signatures)
        return deal

    def burn(
        self,
        loan: Deal | None = None,
        *,
        by: str | None = None,
        btc: str | int | None = None,
        to: str | None = None,
    ) -> Deal:
        """A holder destroys free tokens for coins, by default all its tokens, to its own wallet.

        The quorum then pays. Raises ``Rejected``: ``burn/…``; ``BadInput("bitcoin/address")``.
        """
        deal, by = self._owned(loan, by)
        script = self.party(by).script if to is None else parse_address(to)
        most = min(self.tokens_of(by), free(deal.state.token))
        sats = Sats(most) if btc is None else parse_btc(btc)
        with self.act(by, "burn", deal.id, sats=sats):
            pledge, party = self.evm.contracts.pledge, self.party(by)
            request = pledge.call("burns_of", party.address_bytes)
            pledge.send(party.account, "burn", bytes.fromhex(deal.id[2:]), sats, script, request)
        return deal

    def release(self, loan: Deal | None = None) -> Deal:
        """After repayment: the borrower burns its tokens, the quorum pays, the payout is buried."""
        deal = self.burn(loan)
        self.mine(deal.terms.confirmations)
        return deal

    def recover(self, loan: Deal | None = None) -> Deal:
        """The borrower alone spends the vault by its timelock, whatever the others do.

        Raises ``BadInput("psbt/path")`` if the custody policy has no such way out,
        ``Refused("bitcoin/non-final")`` before the recovery time on Bitcoin's own clock,
        ``Refused("bitcoin/funds")`` if nothing is there.
        """
        deal, by = self._owned(loan)
        vaults, borrower = self._vaults_of(deal.id), self.party(by)
        path, vault = recovery_path(deal.vault) or "recovery", deal.vault
        found = [
            coin
            for each in vaults
            for coin in self.bitcoin.coins(each.script_pubkey)
            if self.bitcoin.spender(coin.outpoint) is None
        ]
        fee = self._feerate() * vault.vsize(path, len(found), [borrower.script])
        left = Sats(sum(coin.sats for coin in found) - fee)
        if left < dust(borrower.script):
            raise BadInput("bitcoin/funds", found=len(found), left=left)
        with self.act(by, "recover", deal.id, sats=left):
            draft = bip174.create(
                [coin.outpoint for coin in found],
                outputs=[(borrower.script, left)],
                locktime=vault.locktime(path),
                sequence=vault.sequence(path),
            )
            raws = [raw for c in found if (raw := self.bitcoin.transaction(c.outpoint.txid))]
            scripts = {coin.script_pubkey for coin in found}
            for each in vaults:
                if each.script_pubkey in scripts:
                    draft = bip174.update(draft, owner=each, prev_txs=raws, path=path)
            signers = self._signers(vault, path, borrower=borrower)
            signed = [bip174.sign(draft, keys=each.keys) for each in signers]
            self.bitcoin.broadcast(bip174.extract(bip174.finalize(bip174.combine(signed))))
        return deal

    def bump(
        self,
        loan: Deal | None = None,
        *,
        by: str = "operator",
        feerate: int | None = None,
        most: int | None = None,
    ) -> str:
        """Have the newest payout that waits pay ``feerate`` sat/vB; the txid of what does that.

        The operator asks the quorum for a replacement within the bound of the terms (RBF); when
        a payout is stuck it does so by itself. Whoever the payout pays spends that output at a fee
        that pays for both (CPFP): its own money, so within ``most`` sats and no other bound.
        It may also do so with a payout that is signed but too cheap to be relayed. Without a
        ``feerate``: what the next block asks. One that pays it already is left alone.

        Raises Rejected: ``payout/unknown`` if none waits that pays this party, ``payout/fee``;
        BadInput("input/amount"); Refused: ``cosigner/…``, ``bitcoin/…``.
        """
        deal, rate = self._deal(loan), self._feerate() if feerate is None else feerate
        for each in (rate, 1 if most is None else most):
            if type(each) is not int or each < 1:
                raise BadInput("input/amount", amount=str(each)[:40])
        wallet, payer = self._wires.wallet(self.party(by)), self._wires.operator.payer
        with self.act(by, "bump", deal.id, feerate=rate):
            waiting = [
                each.txid for each in deal.state.vault.payouts if self.bitcoin.depth(each.txid) == 0
            ]
            if self._role(by) is Role.OPERATOR:
                if not waiting:
                    raise Rejected("payout/unknown", waiting=0)
                return payer.bump(deal.id, deal.state, waiting[-1], feerate=rate) or waiting[-1]
            self.engine.settle()  # what is signed and held back is known once it was tried
            held = payer.held.get(deal.id, {}).values()
            raws = [*held, *(self.bitcoin.transaction(each) for each in waiting)]
            parents = [raw for raw in raws if raw is not None and wallet.is_paid_by(raw)]
            if not parents:
                raise Rejected("payout/unknown", waiting=len(waiting), party=by)
            child = wallet.child(
                parents[-1], feerate=rate, most=None if most is None else Sats(most)
            )
            return self.bitcoin.broadcast_package((parents[-1], child))[1]

    def impair(self, loan: Deal | None = None, *, by: str = "lender") -> None:
        """The lender holds a serviced loan for impaired: all of it is due. Raises ``Rejected``:
        ``impair/…``, ``plan/none``."""
        deal = self._deal(loan)
        with self.act(by, "impair", deal.id):
            self.engine.ask(deal.id, Impair(self._role(by), self.now))

    def lift_impairment(self, loan: Deal | None = None, *, by: str = "lender") -> None:
        """The lender takes that back. Raises ``Rejected``: ``impair/…``."""
        deal = self._deal(loan)
        with self.act(by, "lift-impairment", deal.id):
            self.engine.ask(deal.id, LiftImpairment(self._role(by), self.now))

    def declare_default(self, loan: Deal | None = None, *, by: str = "lender") -> None:
        """The lender declares the default of a serviced loan. The coins stay until the escrow
        book's own time of default. Raises ``Rejected``: ``default/…``, ``plan/none``."""
        deal = self._deal(loan)
        with self.act(by, "declare-default", deal.id):
            self.engine.ask(deal.id, DeclareDefault(self._role(by), self.now))

    def open(
        self,
        *,
        btc: str | int = "1.5",
        price: str | int | None = None,
        plan: ServicingPlan | None = None,
        **terms: object,
    ) -> Deal:
        """A running loan in one call: offered, accepted, pledged, minted and drawn in full.

        ``terms`` as for ``terms()``. Without a ``price`` given or posted before, one at which the
        loan-to-value is 40 % is posted.
        """
        deal = self.accept(self.offer(self.terms(**terms), plan=plan))  # type: ignore[arg-type]
        self.pledge(deal, btc=btc)
        if price is not None:
            self.price(price)
        elif self._pace.market is None:
            worth = muldiv_up(deal.terms.principal, 10, 4) * CENTS_SCALE
            self.price(exact(muldiv_up(worth, 1, parse_btc(btc))))
        return self.draw(deal)

    def close(self) -> None:
        """Free both chains and the log. What is asked afterwards is ``Refused("world/closed")``."""
        self._closed = True
        self._wires.close()

    # --- price, time and chains ---

    def price(self, price: str | int) -> PriceE8:
        """The oracles sign what 1 BTC costs, each for itself, and the operator posts the round.

        A round takes a second if there was one at this very instant. Raises ``BadInput`` or
        ``Rejected``: ``price/…``.
        """
        value = parse_price(price)
        with self.act("oracles", "price", PLATFORM, price=f"{value}e-8"):
            self._pace.price(value)
        return value

    def post_price(self, reports: Sequence[Report], *, at: Seconds) -> None:
        """Post a round that was signed elsewhere, ascending by price. Raises ``Rejected``:
        ``price/…``; nothing changed then."""
        prices = " ".join(f"{price}e-8" for price, _ in reports)
        with self.act("operator", "price", PLATFORM, prices=prices):
            self._pace.post(reports, at=at)

    def lie(self, name: str, price: str | int | None) -> None:
        """From now on this oracle says that ``price``, whatever the market says; with ``None`` it
        is honest again. Raises ``BadInput``: ``input/unknown-party``, ``input/amount``."""
        self._pace.lie(name, None if price is None else parse_price(price))

    def pause(self, seconds: int, *, by: str = "guardian") -> None:
        """The guardian stops everything that needs a price. Raises ``Rejected``: ``pause/…``."""
        if type(seconds) is not int or seconds < 0:
            raise BadInput("input/time", seconds=str(seconds)[:40])
        with self.act(by, "pause", PLATFORM, seconds=seconds):
            self.evm.contracts.prices.send(self.party(by).account, "pause", seconds)

    def resume(self, *, by: str = "guardian") -> None:
        """The guardian ends its pause. Raises ``Rejected``: ``pause/…``."""
        with self.act(by, "resume", PLATFORM):
            self.evm.contracts.prices.send(self.party(by).account, "resume")

    def advance(self, *, days: int = 0, hours: int = 0, minutes: int = 0, seconds: int = 0) -> None:
        """Let time pass on the one clock. Blocks are found, duties come due, and the oracles sign
        their last price again before it grows stale, unless they are silent."""
        span = days * DAY + hours * HOUR + minutes * 60 + seconds
        if any(type(each) is not int for each in (days, hours, minutes, seconds)):
            raise BadInput("input/time", reason="not whole numbers")
        if span < 0:
            raise Rejected("clock/backwards", now=self.now, at=self.now + span)
        with self.act("world", "advance", PLATFORM, seconds=span):
            self._pace.advance_to(Seconds(self.now + span))

    def mine(self, blocks: int = 1, *, to: str = "") -> None:
        """Find Bitcoin blocks, ten minutes apart: time passes with them.

        The rewards go to the party ``to``, which may spend them a hundred blocks later; by default
        to nobody in this world. Raises ``BadInput("input/unknown-party")``.
        """
        script = self.party(to).script if to else None
        with self.act(to or "miners", "mine", PLATFORM, blocks=blocks):
            self._pace.mine(blocks, script=script)

    def reorg(self, depth: int, *, drop: Sequence[str] = ()) -> None:
        """Replace the last blocks of Bitcoin by one more than they were, empty ones; what was in
        them waits in the mempool again, except transactions in ``drop``, which are gone."""
        with self.act("miners", "reorg", PLATFORM, depth=depth):
            self._pace.reorg(depth, drop=drop)

    def fee_market(self, feerate: int) -> None:
        """From now on miners take no transaction, with what its children pay for it, below
        ``feerate`` sat/vB, and nodes relay none. Raises BadInput("input/amount")."""
        with self.act("miners", "fee-market", PLATFORM, feerate=feerate):
            self.bitcoin.set_floor(feerate)

    def settle(self) -> None:
        """Look at both chains, for those who have used them directly."""
        with self.act("world", "settle", PLATFORM):
            pass

    def silence(self, *names: str) -> None:
        """These parties stop answering: oracles, attestors, cosigners, anyone."""
        for name in names:
            self.party(name)
        self.silent.update(names)

    def answer(self, *names: str) -> None:
        """These parties answer again."""
        for name in names:
            self.party(name)
        self.silent.difference_update(names)

    # --- verbs and contracts of one's own ---

    @contextmanager
    def act(self, actor: str, verb: str, loan: str = PLATFORM, **asked: object) -> Iterator[None]:
        """Bracket a verb: take in what happened outside, do it, settle, write it down.

        For verbs of one's own: those of this world are bracketed already. ``asked`` is written
        down as text, so nothing secret belongs there.
        """
        self._require_open()
        self._pace.sync()
        if self._acting is not None:
            # Part of the act around it: a stretch of the log belongs to one act.
            yield
            self._pace.sync()
            self.engine.settle()
            return
        acting = self._acting = _Acting(loan=loan)
        began, mark, first = self.now, self._wires.evm_count(), self._wires.log.length
        try:
            yield
            self._pace.sync()
            self.engine.settle()
        finally:
            self._acting = None
        touched = dict.fromkeys((loan, *(name for name, _ in acting.steps)))
        touched.pop(PLATFORM, None)
        self.acts.append(
            Act(
                n=len(self.acts) + 1,
                at=began,
                actor=actor,
                verb=verb,
                loan=loan,
                asked={name: str(value) for name, value in asked.items()},
                steps=tuple(acting.steps),
                evm=self._wires.evm_hashes(mark),
                refusals=self._wires.take_refusals(),
                after={name: self.engine.deal(name) for name in touched},
                log=(first, self._wires.log.length),
                sent=(mark, self._wires.evm_count()),
            )
        )

    def deploy(self, name: str, *args: object, label: str = "", by: str = "operator") -> OnChain:
        """One more contract of the shipped ones on this EVM, by the party's own transaction.

        ``label`` tells two of a kind apart: ``extras[label or name]`` has it from now on, also
        when the world was saved and loaded. Raises ``BadInput``: ``evm/contract`` for an unknown
        name or a label that is taken, ``evm/word``; ``Rejected`` with the constructor's code.
        """
        label = label or name
        if label in self.extras or not is_label(label):
            raise BadInput("evm/contract", name=label[:40])
        account = self.party(by).account
        with self.act(by, "deploy", contract=label):
            self._wires.extras[label] = deploy_one(
                name, *args, account=account, chain=self.evm.chain
            )
        return self.extras[label]

    # --- to keep and to branch ---

    def keep(self, label: str, register: Kept) -> None:
        """From now on a register of miners, of assets or of traders is a part of this world:
        ``kept[label]``, also when the world was saved and loaded or forked.

        Raises ``BadInput``: ``keep/label``, also for a label that is taken; ``keep/kind``.
        """
        if label in self.kept or not is_label(label):
            raise BadInput("keep/label", label=label[:40])
        if not isinstance(register, Kept) or len(self.kept) >= MAX_KEPT:
            raise BadInput("keep/kind", kind=type(register).__name__, most=MAX_KEPT)
        self._wires.kept[label] = register

    def save(self, path: str | Path) -> None:
        """Write the whole world to one SQLite file; what was there is replaced. Raises
        ``Refused("log/write")``; ``BadInput``: ``keep/words``, ``keep/size``; nothing was then."""
        write_world(path, self._data())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A world that goes on where the saved one stood. Raises ``world/format``,
        ``world/tampered``."""
        return cls._from_data(read_world(path))

    def fork(self) -> Self:
        """A second world, equal and independent."""
        return self._from_data(self._data())

    def _data(self) -> WorldData:
        self._require_open()
        self._pace.sync()
        return self._wires.data(self.config, silent=self.silent, acts=self.acts)

    @classmethod
    def _from_data(cls, data: WorldData) -> Self:
        world = cls.__new__(cls)
        config, silent, acts, wires = load_wires(
            data, world._vaults_of, world._answers, world._note
        )
        world.config = config
        world._wire(wires)
        world.silent = silent
        world.acts = acts
        return world

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- inside ---

    def _require_open(self) -> None:
        if self._closed:
            raise Refused("world/closed")

    def _note(self, loan: str, step: Step) -> None:
        if self._acting is not None:
            self._acting.steps.append((loan, step))

    def _deal(self, loan: Deal | None) -> Deal:
        if loan is not None:
            return loan
        if not self.engine.deals:
            raise Rejected("loan/unknown")
        return self.loans[-1]

    def _owned(self, loan: Deal | None, by: str | None = None) -> tuple[Deal, str]:
        """A deal, and who acts: where nobody is named its own borrower."""
        deal = self._deal(loan)
        return deal, by or borrower_at(self.parties, deal.terms.borrower).name

    def _role(self, name: str, terms: Terms | None = None) -> Role:
        """What a party is; to a loan that is not its own, a borrower is anyone."""
        role = self.party(name).role
        if terms is None or role is not Role.BORROWER:
            return role
        owner = borrower_at(self.parties, terms.borrower)
        return role if name == owner.name else Role.STRANGER

    def _holder(self, address: str) -> Party:
        """Whose account this is. Raises ``BadInput("input/unknown-party")``."""
        for party in self.parties.values():
            if party.address == address:
                return party
        raise BadInput("input/unknown-party", name=str(address)[:42])

    def _send(self, by: str, script: bytes, sats: Sats) -> str:
        wallet = self._wires.wallet(self.party(by))
        return self.bitcoin.broadcast(wallet.pay([(script, sats)], feerate=self._feerate()))

    def _depositable(self, deal: Deal, btc: str | int) -> Sats:
        sats = parse_btc(btc)
        if sats < MIN_DEPOSIT:
            raise Rejected("mint/amount", sats=sats, least=MIN_DEPOSIT)
        if not (isinstance(deal.state.loan, Accepted) or takes_collateral(deal.state.loan)):
            raise Rejected("pledge/late", loan=deal.phase)
        return sats

    def _swept(self, verb: str, loan: Deal | None, by: str | None, *, least: int) -> Deal:
        deal, by = self._owned(loan, by)
        payer, vault = self.party(by), deal.vault
        with self.act(by, verb, deal.id):
            coins = found_coins(self._wires, deal.state)
            if len(coins) < least:
                raise Rejected("payout/not-locked", coins=len(coins), least=least)
            self._wires.operator.sweeper.sweep(
                coins, terms=deal.terms, old=vault, new=vault, funder=payer
            )
        return deal

    def _feerate(self) -> int:
        return self.bitcoin.estimate_feerate(_TARGET)

    def _answers(self, party: Party) -> bool:
        return party.name not in self.silent

    def _simple(self, function: str, verb: str, loan: Deal | None, by: str | None) -> Deal:
        deal, by = self._owned(loan, by)
        with self.act(by, verb, deal.id):
            self._book(by, function, deal)
        return deal

    def _book(self, by: str, function: str, deal: Deal, *args: object) -> None:
        self.evm.book(self.party(by).account, function, deal.terms, *args)

    def _signers(self, vault: Vault, name: str, *, borrower: Party) -> list[Party]:
        """Who signs by a path of their own accord: the first of its roles."""
        path, holder = vault.policy.path(name), self._wires.vaults.holder
        return [holder(role, borrower=borrower.address) for role in path.roles[: path.threshold]]

    def _vaults_of(self, loan: str) -> tuple[Vault, ...]:
        return vaults_of(self._wires, self.engine.deal(loan))
