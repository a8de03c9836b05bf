"""Any order of anything that is done to pledge tokens, against a model in plain words: the token
refuses with the code that the model says, and its counts are the model's and always sum up."""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts_lab import FOR_EVER, raw
from eth_hash.auto import keccak
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from token_lab import DUST, LOAN, OTHER, TokenLab

from escrow.adapters.evm import typed
from escrow.adapters.evm.proof import MASK_64, SUPPLY_SLOT, loan_slot
from escrow.core.errors import Rejected
from escrow.core.units import MAX_MONEY

ACCOUNTS_SLOT = 0
CAP = 60 * DUST
MOST = 2**256 - 1
LAB = TokenLab(cap=CAP)
PEOPLE = {"borrower": LAB.borrower, "lender": LAB.lender, "buyer": LAB.buyer}
for each in PEOPLE.values():
    LAB.pledge.send(each, "approve", raw(LAB.stranger), MOST)
LAB.save()

WHO = st.sampled_from(list(PEOPLE))
VAULT = st.sampled_from((LOAN, OTHER))
SATS = st.sampled_from([*(n * DUST for n in (1, 1, 1, 2, 2, 3, 5, 9)), 0, 1, DUST + 1, MOST])
WHOSE = st.sampled_from(("pledgor", "pledgor", "pledgor", *PEOPLE))
"""Whose tokens are meant to be held: mostly whose they are."""


def mapped(slot: int, key: bytes) -> int:
    """Where Vyper keeps what a map has for a key."""
    return int.from_bytes(keccak(slot.to_bytes(32, "big") + key), "big")


@dataclass
class Account:
    balance: int = 0
    frozen: int = 0
    held: int = 0
    burns: int = 0
    eligible: bool = True

    @property
    def unheld(self) -> int:
        return self.balance - self.held

    @property
    def spendable(self) -> int:
        return max(0, self.unheld - self.frozen)

    def refuses(self, sats: int) -> str:
        if sats > self.balance:
            return "token/balance"
        if sats > self.unheld:
            return "token/held"
        return "token/frozen" if sats > self.spendable else ""

    def take(self, sats: int) -> None:
        self.frozen -= max(0, sats - self.spendable)
        self.balance -= sats


@dataclass
class Vault:
    outstanding: int = 0
    held: int = 0
    pledgor: str = ""

    @property
    def free(self) -> int:
        return self.outstanding - self.held


@dataclass
class Coin:
    att: dict[str, object]
    loan: bytes
    sats: int
    retired: bool = False


@dataclass
class Model:
    people: dict[str, Account] = field(default_factory=lambda: {who: Account() for who in PEOPLE})
    vaults: dict[bytes, Vault] = field(default_factory=lambda: {LOAN: Vault(), OTHER: Vault()})
    coins: list[Coin] = field(default_factory=list)

    @property
    def supply(self) -> int:
        return sum(account.balance for account in self.people.values())


class TokenMachine(RuleBasedStateMachine):
    """Each rule asks the model what the token must say, then asks the token."""

    def __init__(self) -> None:
        super().__init__()
        LAB.back()
        LAB.wait(12)
        self.model = Model()

    @initialize()
    def everybody_has_some(self) -> None:
        for who in PEOPLE:
            for loan in (LOAN, OTHER):
                self.mint(who, loan, 5 * DUST)
        self.hold("borrower", LOAN, 9 * DUST)
        self.hold("lender", OTHER, 4 * DUST)

    def ask(self, expected: str, *args: object) -> bool:
        """Whether it was done, which must be what was expected."""
        account, function, *rest = args
        said = ""
        try:
            LAB.pledge.send(account, function, *rest)
        except Rejected as refusal:
            said = refusal.code
        assert said == expected, function
        return not said

    # --- attestors ---

    @rule(who=WHO, loan=VAULT, sats=SATS)
    def mint(self, who: str, loan: bytes, sats: int) -> None:
        account, vault = self.model.people[who], self.model.vaults[loan]
        code = ""
        if not account.eligible:
            code = "token/cannot-receive"
        elif not DUST <= sats <= MAX_MONEY:
            code = "mint/amount"
        elif self.model.supply + sats > CAP:
            code = "mint/cap"
        att = LAB.attestation(loan, sats, holder=raw(PEOPLE[who]))
        values, sigs = typed.ATTESTATION.values(att), LAB.sign_attestation(att)
        if self.ask(code, LAB.stranger, "mint", values, sigs):
            account.balance += sats
            vault.outstanding += sats
            self.model.coins.append(Coin(att, loan, sats))

    @rule(data=st.data(), holder=WHO, whose=WHOSE, all_of_it=st.booleans(), sats=SATS)
    def retire(self, data, holder: str, whose: str, all_of_it: bool, sats: int) -> None:
        coin = data.draw(st.sampled_from(self.model.coins))
        pledgor = self.meant(whose, coin.loan)
        vault, account = self.model.vaults[coin.loan], self.model.people[holder]
        sats = coin.sats if all_of_it else sats
        pledged = min(sats, vault.held)
        code = ""
        if coin.retired:
            code = "retire/replayed"
        elif not 0 < sats <= coin.sats:
            code = "mint/amount"
        elif sats > vault.outstanding:
            code = "retire/insufficient"
        elif pledged and pledgor != vault.pledgor:
            code = "token/not-pledgor"
        elif sats > pledged and sats - pledged > account.unheld:
            code = "retire/insufficient"
        ret = coin.att | {
            "holder": raw(PEOPLE[holder]),
            "pledgor": raw(PEOPLE[pledgor]),
            "sats": sats,
            "deadline": LAB.now,
        }
        values, sigs = typed.RETIREMENT.values(ret), LAB.sign_retirement(ret)
        if self.ask(code, LAB.stranger, "retire", values, sigs):
            coin.retired = True
            vault.outstanding -= sats
            vault.held -= pledged
            if pledged:
                self.model.people[pledgor].balance -= pledged
                self.model.people[pledgor].held -= pledged
            if sats > pledged:
                account.take(sats - pledged)

    # --- holders ---

    @rule(sender=WHO, receiver=WHO, sats=SATS, carried=st.booleans())
    def transfer(self, sender: str, receiver: str, sats: int, carried: bool) -> None:
        giver, taker = self.model.people[sender], self.model.people[receiver]
        code = giver.refuses(sats)
        if not giver.eligible:
            code = "token/cannot-send"
        elif not taker.eligible:
            code = "token/cannot-receive"
        to = raw(PEOPLE[receiver])
        if carried:
            done = self.ask(code, LAB.stranger, "transferFrom", raw(PEOPLE[sender]), to, sats)
        else:
            done = self.ask(code, PEOPLE[sender], "transfer", to, sats)
        if done:
            giver.balance -= sats
            taker.balance += sats

    @rule(who=WHO, loan=VAULT, sats=SATS, ahead=st.sampled_from((0, 0, 0, 1)))
    def burn(self, who: str, loan: bytes, sats: int, ahead: int) -> None:
        account, vault = self.model.people[who], self.model.vaults[loan]
        code = ""
        if not account.eligible:
            code = "token/cannot-send"
        elif ahead:
            code = "burn/replayed"
        elif sats < DUST:
            code = "burn/dust"
        elif sats > vault.free or sats > account.unheld:
            code = "burn/no-tokens"
        elif sats > account.spendable:
            code = "token/frozen"
        script, request = bytes.fromhex("0014") + bytes(20), account.burns + ahead
        if self.ask(code, PEOPLE[who], "burn", loan, sats, script, request):
            account.balance -= sats
            account.burns += 1
            vault.outstanding -= sats

    # --- the book ---

    @rule(who=WHO, loan=VAULT, sats=SATS)
    def hold(self, who: str, loan: bytes, sats: int) -> None:
        account, vault = self.model.people[who], self.model.vaults[loan]
        code = ""
        if not account.eligible:
            code = "token/cannot-send"
        elif vault.held and vault.pledgor != who:
            code = "token/not-pledgor"
        elif sats > vault.free or sats > account.unheld:
            code = "top-up/no-tokens"
        elif sats > account.spendable:
            code = "token/frozen"
        if self.ask(code, LAB.hand, "hold", loan, raw(PEOPLE[who]), sats):
            account.held += sats
            vault.held += sats
            vault.pledgor = who

    def meant(self, whose: str, loan: bytes) -> str:
        return whose if whose in PEOPLE else self.model.vaults[loan].pledgor

    @rule(whose=WHOSE, loan=VAULT, sats=SATS)
    def release(self, whose: str, loan: bytes, sats: int) -> None:
        who, vault = self.meant(whose, loan), self.model.vaults[loan]
        account = self.model.people[who]
        code = ""
        if vault.pledgor != who:
            code = "token/not-pledgor"
        elif sats > vault.held:
            code = "token/not-held"
        if self.ask(code, LAB.hand, "release", loan, raw(PEOPLE[who]), sats):
            account.held -= sats
            vault.held -= sats

    @rule(whose=WHOSE, taker=WHO, loan=VAULT, seized=SATS, part=st.integers(0, 2))
    def execute(self, whose: str, taker: str, loan: bytes, seized: int, part: int) -> None:
        who, vault = self.meant(whose, loan), self.model.vaults[loan]
        account = self.model.people[who]
        released = max(0, vault.held - seized) * part // 2
        code = ""
        if vault.pledgor != who:
            code = "token/not-pledgor"
        elif seized + released > vault.held:
            code = "token/not-held"
        elif seized and not self.model.people[taker].eligible:
            code = "token/cannot-receive"
        people = raw(PEOPLE[who]), raw(PEOPLE[taker])
        if self.ask(code, LAB.hand, "execute", loan, *people, seized, released):
            account.held -= seized + released
            account.balance -= seized
            vault.held -= seized + released
            self.model.people[taker].balance += seized

    # --- authorities ---

    @rule(who=WHO, sats=SATS)
    def freeze(self, who: str, sats: int) -> None:
        self.ask("", LAB.authority, "setFrozenTokens", raw(PEOPLE[who]), sats)
        self.model.people[who].frozen = min(sats, 2**64 - 1)

    @rule(sender=WHO, receiver=WHO, sats=SATS)
    def force(self, sender: str, receiver: str, sats: int) -> None:
        giver, taker = self.model.people[sender], self.model.people[receiver]
        code = giver.refuses(sats).replace("token/frozen", "")
        if not taker.eligible:
            code = "token/cannot-receive"
        people = raw(PEOPLE[sender]), raw(PEOPLE[receiver])
        if self.ask(code, LAB.authority, "forcedTransfer", *people, sats):
            giver.take(sats)
            taker.balance += sats

    @rule(who=WHO | st.none())
    def suspend_one_at_most(self, who: str | None) -> None:
        LAB.registry.send(LAB.registrar, "reinstate", [raw(each) for each in PEOPLE.values()])
        if who is not None:
            LAB.suspend(raw(PEOPLE[who]))
        for name, account in self.model.people.items():
            account.eligible = name != who

    # --- what always holds ---

    @invariant()
    def the_token_stores_what_the_model_says_and_it_sums_up(self) -> None:
        accounts = [self.account(who) for who in PEOPLE]
        assert accounts == list(self.model.people.values())
        vaults = [self.vault(loan) for loan in self.model.vaults]
        assert vaults == list(self.model.vaults.values())
        word = LAB.chain.storage(LAB.pledge.address, SUPPLY_SLOT)
        supply, burns = word & MASK_64, word >> 64
        assert supply == sum(account.balance for account in accounts) <= CAP
        assert supply == sum(vault.outstanding for vault in vaults)
        assert sum(each.held for each in accounts) == sum(each.held for each in vaults)
        assert burns == sum(account.burns for account in accounts)
        for account in accounts:
            frozen = min(account.frozen, account.unheld)
            assert account.balance == account.held + frozen + account.spendable

    def account(self, who: str) -> Account:
        key = raw(PEOPLE[who]).rjust(32, b"\0")
        word = LAB.chain.storage(LAB.pledge.address, mapped(ACCOUNTS_SLOT, key))
        fields = [word >> at & MASK_64 for at in (0, 64, 128)]
        until, burns = word >> 192 & 2**40 - 1, word >> 233
        assert until in (0, FOR_EVER)
        return Account(*fields, burns, eligible=until == FOR_EVER)

    def vault(self, loan: bytes) -> Vault:
        word = LAB.chain.storage(LAB.pledge.address, loan_slot(loan))
        tags = {int.from_bytes(raw(each)[:16], "big"): who for who, each in PEOPLE.items()}
        return Vault(word & MASK_64, word >> 64 & MASK_64, tags.get(word >> 128, ""))

    def teardown(self) -> None:
        """The views say the same as the storage."""
        for who, account in self.model.people.items():
            shown = (account.balance, account.frozen, account.held, account.spendable)
            assert LAB.word(LAB.pledge, PEOPLE[who]) == shown
        for loan, vault in self.model.vaults.items():
            counts = [LAB.pledge.call(name, loan) for name in ("outstanding", "held", "free")]
            assert counts == [vault.outstanding, vault.held, vault.free]
        assert LAB.pledge.call("totalSupply") == self.model.supply


TestToken = TokenMachine.TestCase
TestToken.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
