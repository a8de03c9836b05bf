"""One coin, one claim: whatever holders, the book, the market and the attestors do in any order,
every coin was minted for once at most, and what is free, held for loans and in the market is all
there is, and no more than the coins that were confirmed.

The model is plain words about who has what; each rule asks it what must be said, then asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from book_lab import FAST
from contracts_lab import ACTIVE, OPENED, REPAID, raw
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lending_lab import ALL, LendingLab

from escrow.adapters.evm import typed
from escrow.core.errors import Rejected
from escrow.core.units import COIN

LAB = LendingLab(FAST)
HOLDERS = {"borrower": LAB.borrower, "buyer": LAB.buyer}
UNIT = COIN // 10
TERMS = {name: LAB.terms(nonce=n, vault=bytes([n]) * 32) for n, name in enumerate("AB", start=40)}
LOANS = {name: typed.loan_id(terms) for name, terms in TERMS.items()}
for each in TERMS.values():
    LAB.open(each)
LAB.fund(LAB.lender, 10**12)
LAB.fund(LAB.borrower, 10**12)
LAB.act(LAB.lender, "supply", 10**11)
LAB.burn(LAB.borrower, b"\x31" * 32, 10 * COIN)
LAB.save()
assert LAB.pledge.call("totalSupply") == 0

WHO = st.sampled_from(list(HOLDERS))
LOAN = st.sampled_from(list(LOANS))
SATS = st.sampled_from([UNIT, UNIT, 2 * UNIT, 5 * UNIT, 0, UNIT + 1, 2**64])


def refusal_of(do: Callable[..., object], *args: object) -> str:
    """The code of the refusal; empty for what was done."""
    try:
        do(*args)
    except Rejected as refusal:
        return refusal.code
    return ""


@dataclass
class Coin:
    """Confirmed in the vault of a loan."""

    att: dict[str, object]
    loan: str
    sats: int
    minted: bool = False


@dataclass
class Model:
    free: dict[str, int] = field(default_factory=lambda: dict.fromkeys(HOLDERS, 0))
    held: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LOANS, 0))
    market: dict[str, int] = field(default_factory=lambda: dict.fromkeys(HOLDERS, 0))
    outstanding: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LOANS, 0))
    burned: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LOANS, 0))
    coins: list[Coin] = field(default_factory=list)

    def refuses(self, who: str, sats: int) -> str:
        """What the token says to a move of ``sats``."""
        if sats <= self.free[who]:
            return ""
        held = sum(self.held.values()) if who == "borrower" else 0
        return "token/balance" if sats > self.free[who] + held else "token/held"


class LendingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        LAB.back()
        self.model = Model()

    @initialize()
    def two_vaults_with_a_coin_each(self) -> None:
        for loan in LOANS:
            self.confirm(loan, 5 * UNIT)
            self.mint(self.model.coins[-1], "borrower", loan)

    def ask(self, expected: str, *args: object) -> bool:
        """Whether it was done, which must be what was expected."""
        contract, account, function, *rest = args
        code = refusal_of(contract.send, account, function, *rest)
        assert code == expected, function
        return not code

    # --- coins ---

    @rule(loan=LOAN, sats=st.sampled_from((UNIT, 3 * UNIT)))
    def confirm(self, loan: str, sats: int) -> None:
        self.model.coins.append(Coin(LAB.attestation(LOANS[loan], sats), loan, sats))

    @rule(data=st.data(), holder=WHO, claimed=LOAN)
    def mint_some_coin(self, data, holder: str, claimed: str) -> None:
        self.mint(data.draw(st.sampled_from(self.model.coins)), holder, claimed)

    def mint(self, coin: Coin, holder: str, claimed: str) -> None:
        """A quorum that is honest about the amount, and may forget that it signed before, or for
        which vault."""
        first = not coin.minted
        loan = coin.loan if first else claimed
        att = coin.att | {
            "loan": LOANS[loan],
            "holder": raw(HOLDERS[holder]),
            "seen_at": LAB.now,
            "reserves": 10**12,
        }
        values, sigs = typed.ATTESTATION.values(att), LAB.sign_attestation(att)
        code = "" if first else "mint/replayed"
        if self.ask(code, LAB.pledge, LAB.stranger, "mint", values, sigs):
            coin.minted = True
            self.model.outstanding[loan] += coin.sats
            self.model.free[holder] += coin.sats

    @rule(who=WHO, loan=LOAN, sats=SATS)
    def burn(self, who: str, loan: str, sats: int) -> None:
        free = self.model.outstanding[loan] - self.model.held[loan]
        code = "burn/no-tokens" if sats > min(free, self.model.free[who]) else ""
        if sats < 10_000:
            code = "burn/dust"
        account = HOLDERS[who]
        request = LAB.pledge.call("burns_of", raw(account))
        script = bytes.fromhex("0014") + bytes(20)
        if self.ask(code, LAB.pledge, account, "burn", LOANS[loan], sats, script, request):
            self.model.free[who] -= sats
            self.model.outstanding[loan] -= sats
            self.model.burned[loan] += sats

    @rule(giver=WHO, taker=WHO, sats=SATS)
    def transfer(self, giver: str, taker: str, sats: int) -> None:
        code = self.model.refuses(giver, sats)
        to = raw(HOLDERS[taker])
        if self.ask(code, LAB.pledge, HOLDERS[giver], "transfer", to, sats):
            self.model.free[giver] -= sats
            self.model.free[taker] += sats

    # --- the book ---

    @rule(loan=LOAN, sats=SATS)
    def pledge_to_a_loan(self, loan: str, sats: int) -> None:
        free = self.model.outstanding[loan] - self.model.held[loan]
        code = "top-up/no-tokens" if sats > min(free, self.model.free["borrower"]) else ""
        if LAB.phase(TERMS[loan]) not in (OPENED, ACTIVE):
            code = "top-up/not-live"
        elif sats == 0:
            code = "loan/amount"
        values = typed.encode_terms(TERMS[loan])
        if self.ask(code, LAB.book, LAB.borrower, "top_up", values, sats):
            self.model.free["borrower"] -= sats
            self.model.held[loan] += sats

    @rule(loan=LOAN)
    def draw_and_pay_back(self, loan: str) -> None:
        """As far as the book lets it: then all that was held is free again."""
        code = refusal_of(LAB.do, LAB.borrower, "draw", TERMS[loan], 100)
        if code:
            assert code in {"draw/not-open", "draw/above-initial-ltv"}
            return
        LAB.do(LAB.borrower, "close", TERMS[loan])
        assert LAB.phase(TERMS[loan]) == REPAID
        self.model.free["borrower"] += self.model.held[loan]
        self.model.held[loan] = 0

    # --- the market ---

    @rule(who=WHO, sats=SATS)
    def put_in(self, who: str, sats: int) -> None:
        code = "loan/amount" if not 0 < sats < 2**64 else self.model.refuses(who, sats)
        if self.ask(code, LAB.market, HOLDERS[who], "supply_collateral", sats):
            self.model.free[who] -= sats
            self.model.market[who] += sats

    @rule(who=WHO, sats=SATS)
    def take_out(self, who: str, sats: int) -> None:
        code = "market/collateral" if sats > self.model.market[who] else ""
        if sats == 0:
            code = "loan/amount"
        debt = LAB.debt(HOLDERS[who])
        if not code and debt * 10**14 * 10_000 > self.worth(self.model.market[who] - sats):
            code = "market/unhealthy"
        if self.ask(code, LAB.market, HOLDERS[who], "withdraw_collateral", sats):
            self.model.free[who] += sats
            self.model.market[who] -= sats

    @staticmethod
    def worth(sats: int) -> int:
        return sats * int(LAB.prices.call("latest")[0]) * 8_600

    @rule(who=WHO, percent=st.sampled_from((1, 50, 100, 100, 101)))
    def borrow(self, who: str, percent: int) -> None:
        """Of what its collateral still carries."""
        spare = self.worth(self.model.market[who]) // 10**18 - LAB.debt(HOLDERS[who])
        cents = max(1, spare * percent // 100)
        code = "market/unhealthy" if cents > spare else ""
        self.ask(code, LAB.market, HOLDERS[who], "borrow", cents)

    @rule(who=WHO)
    def pay_back(self, who: str) -> None:
        code = "" if LAB.debt(HOLDERS[who]) else "repay/no-debt"
        self.ask(code, LAB.market, LAB.keeper, "repay", raw(HOLDERS[who]), ALL)

    @rule(who=WHO)
    def a_crash_and_a_liquidation(self, who: str) -> None:
        """Of whoever had borrowed all that it could, if it had put anything in."""
        self.borrow(who, 100)
        LAB.wait(1)
        LAB.post(LAB.prices.call("latest")[0] * 9 // 10)
        market = self.model.market
        code = refusal_of(LAB.act, LAB.keeper, "liquidate", raw(HOLDERS[who]), ALL, 0)
        if code:
            assert code == "market/healthy"
            return
        left = LAB.position(HOLDERS[who])[2]
        # Whoever liquidates gives them on, so that the model has two holders.
        LAB.pledge.send(LAB.keeper, "transfer", raw(LAB.buyer), market[who] - left)
        self.model.free["buyer"] += market[who] - left
        market[who] = left

    # --- what always holds ---

    @invariant()
    def a_coin_has_one_claim_at_most(self) -> None:
        model, call = self.model, LAB.pledge.call
        for loan, name in LOANS.items():
            minted = [coin.sats for coin in model.coins if coin.loan == loan and coin.minted]
            assert call("outstanding", name) == model.outstanding[loan]
            assert model.outstanding[loan] + model.burned[loan] == sum(minted)
            assert call("held", name) == model.held[loan] <= model.outstanding[loan]
        for coin in model.coins:
            txid, vout = coin.att["txid"], coin.att["vout"]
            assert call("minted", txid, vout) == (coin.sats if coin.minted else 0)

    @invariant()
    def what_is_free_held_and_in_the_market_is_all_there_is(self) -> None:
        model, call = self.model, LAB.pledge.call
        assert {who: LAB.tokens(account) for who, account in HOLDERS.items()} == model.free
        assert {who: LAB.position(account)[2] for who, account in HOLDERS.items()} == model.market
        assert call("balanceOf", LAB.market.address) == sum(model.market.values())
        assert call("balanceOnHold", LAB.market.address) == 0
        places = (model.free, model.held, model.market)
        total = sum(sum(place.values()) for place in places)
        burned = sum(model.burned.values())
        assert call("totalSupply") == total <= sum(c.sats for c in model.coins) - burned

    @invariant()
    def the_pool_is_sound(self) -> None:
        LAB.sound()


TestLending = LendingMachine.TestCase
TestLending.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
