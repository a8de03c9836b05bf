"""What is attacked, and what it costs: the table, its page, and an attacker's tools.

Every row of ``ATTACKS`` is one test of ``test_attacks.py``, by name. ``docs/attacks.md`` is the
same table for people to read; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from world_lab import coins, fees, in_vault

from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.vault import Vault
from escrow.adapters.evm import typed
from escrow.adapters.evm.client import terms_mapping
from escrow.adapters.evm.typed import encode_terms
from escrow.core.errors import CODES, EscrowError
from escrow.deal import Deal
from escrow.ports import OutPoint
from escrow.world import World

COSIGNERS = ("lender", "borrower", "custodian")
PLEDGED = 150_000_000
FEE = 2 * 155  # of one coin to one P2WPKH output
NOTHING = "nothing"


@dataclass(frozen=True)
class Attack:
    """One row."""

    name: str
    """Of its test, without ``test_``."""
    who: str
    """Who attacks, with what in hand."""
    does: str
    """What is tried."""
    stop: str
    """Codes of the refusals that stop it; empty if nothing does."""
    lost: str = NOTHING
    """What the owner of the coins loses: nothing, or how much and why."""


ATTACKS = (
    # --- the operator lies ---
    Attack(
        "a_spend_to_somebody_else",
        "operator",
        "asks the quorum to pay a burn to another address, wholly or in part",
        "cosigner/destination",
    ),
    Attack(
        "coins_of_another_vault",
        "operator",
        "pays a burn of one loan with another loan's coins",
        "cosigner/input",
    ),
    Attack(
        "terms_nobody_signed",
        "operator",
        "names terms with a wider fee bound or fewer confirmations",
        "cosigner/loan-state",
    ),
    Attack(
        "a_forged_vault",
        "operator",
        "describes the coins by a vault with its own key in it",
        "bitcoin/missing-input, cosigner/loan-state, cosigner/input",
    ),
    Attack(
        "an_output_changed_between_signatures",
        "operator",
        "shows each cosigner another spend and merges the signatures",
        "psbt/altered",
    ),
    Attack(
        "an_output_changed_after_signing",
        "operator",
        "writes its own address into the signed transaction",
        "bitcoin/script",
    ),
    # --- entitled once, paid once ---
    Attack(
        "a_burn_paid_twice",
        "operator",
        "asks again for a burn that waits, is mined, or is final",
        "cosigner/amount",
    ),
    Attack(
        "a_burn_paid_again_after_a_reorganisation",
        "operator",
        "asks for other coins while the first payout is thrown out",
        "cosigner/amount",
    ),
    Attack(
        "a_signature_held_back",
        "operator",
        "keeps a signed spend and asks for a second one from other coins",
        "cosigner/amount",
    ),
    Attack(
        "a_burn_in_no_block",
        "operator",
        "asks for a burn whose EVM block is under way, or not deep enough",
        "cosigner/burn",
    ),
    Attack(
        "more_burned_than_was_free",
        "operator",
        "deployed a token that lets pledged coins be burned",
        "cosigner/loan-state",
    ),
    # --- fees ---
    Attack(
        "a_fee_above_the_bound",
        "operator and a miner",
        "offers the miner more than the terms allow, or keeps the change as fee",
        "cosigner/fee, cosigner/amount",
    ),
    Attack(
        "many_dear_spends",
        "operator and a miner",
        "pays every burn by itself and at the highest fee, again and again",
        "cosigner/amount",
        "`max_fee` of the terms for each burn, once, borne by who is paid",
    ),
    Attack(
        "a_sweep_that_keeps_a_sat",
        "operator",
        "gathers the vault's coins and gives it less than it took",
        "cosigner/input",
    ),
    # --- the price ---
    Attack(
        "a_seizure_on_a_stale_price",
        "lender",
        "calls the book itself, at and after the heartbeat",
        "price/stale",
    ),
    Attack(
        "a_round_that_was_kept",
        "lender",
        "keeps a low round that the oracles signed and posts it later",
        "price/too-old, price/not-newer, price/round",
    ),
    Attack(
        "a_platform_with_a_longer_heartbeat",
        "operator and lender",
        "deployed prices that stay fresh for longer than was agreed; the book allows the seizure",
        "cosigner/price",
    ),
    Attack(
        "a_book_that_seizes_healthy_loans",
        "operator and lender",
        "deployed a book without the check of loan-to-value; it allows the seizure",
        "cosigner/price",
    ),
    Attack(
        "a_book_that_lets_calls_expire_early",
        "operator and lender",
        "deployed a book without cure time; it allows the seizure",
        "cosigner/price",
    ),
    Attack(
        "a_book_that_takes_too_much",
        "operator and lender",
        "deployed a book that seizes all of the pledge, or lets anybody take it over",
        "cosigner/price",
    ),
    Attack(
        "a_book_that_releases_unpaid_loans",
        "operator and borrower",
        "deployed a book that lets a loan be cancelled after the draw",
        "cosigner/loan-state",
        "nothing: the pledge stays in the vault, for the lender too",
    ),
    Attack(
        "a_book_that_takes_no_cash",
        "operator and borrower",
        "deployed a book that says a loan is repaid and takes nothing for it",
        "cosigner/loan-state",
        "nothing: the pledge stays in the vault, for the lender too",
    ),
    Attack(
        "a_book_that_lets_collateral_go",
        "operator and borrower",
        "deployed a book without the level of a withdrawal",
        "cosigner/loan-state",
        "nothing: the pledge stays in the vault, for the lender too",
    ),
    Attack(
        "a_book_that_ignores_disputes",
        "operator and lender",
        "deployed a book in which disputed calls expire, or anybody rejects a dispute; it allows "
        "the seizure",
        "cosigner/price",
    ),
    Attack(
        "a_book_that_sells_too_cheap",
        "operator and a buyer",
        "deployed a book whose auctions ask half the price",
        "cosigner/price",
    ),
    Attack(
        "a_book_that_makes_up_terms",
        "operator and lender",
        "deployed a book that takes new terms which the borrower never signed; it allows the "
        "seizure at their level",
        "cosigner/price",
    ),
    Attack(
        "a_false_price_by_a_quorum",
        "all five oracles, who can make any jump, and the lender",
        "sign a price at which the loan is in breach, and seize",
        "",
        "what debt and bonus are worth at that price, up to all: nothing stops these six keys",
    ),
    # --- time ---
    Attack(
        "a_locked_path_before_its_time",
        "operator",
        "asks a cosigner for the recovery path, or for a relative lock that has not passed",
        "cosigner/loan-state, cosigner/early",
    ),
    # --- one stolen key ---
    Attack(
        "the_borrowers_key",
        "thief of the borrower's keys",
        "everything, while the loan runs",
        "psbt/incomplete, burn/no-tokens, cancel/too-late",
    ),
    Attack(
        "the_borrowers_key_after_repayment",
        "thief of the borrower's keys",
        "burns the free tokens to its own address",
        "",
        "all that is free: free tokens are the borrower's alone",
    ),
    Attack(
        "the_lenders_key",
        "thief of the lender's keys",
        "everything, while the loan is healthy",
        "psbt/incomplete, liquidate/healthy, burn/no-tokens",
    ),
    Attack("the_custodians_key", "thief of the custodian's keys", "everything", "psbt/incomplete"),
    Attack(
        "the_recovery_key_before_its_time",
        "thief of the recovery key",
        "spends by the time lock",
        "bitcoin/non-final, psbt/incomplete",
    ),
    Attack(
        "the_recovery_key_in_its_time",
        "thief of the recovery key",
        "spends by the time lock once it has passed",
        "",
        "all that the vault still holds then: that key alone is the policy's last way out",
    ),
    Attack(
        "an_oracles_key",
        "thief of one oracle's keys",
        "posts a price by itself",
        "price/too-few-signers, price/duplicate-signer",
    ),
    Attack(
        "an_attestors_key",
        "thief of one attestor's keys",
        "mints, and retires others' tokens",
        "mint/too-few-signers",
    ),
    Attack(
        "the_operators_key",
        "thief of the operator's keys",
        "everything",
        "liquidate/not-lender, call/healthy, cancel/not-party",
    ),
    Attack(
        "the_issuers_key",
        "thief of the cash issuer's keys",
        "prints cash, and repays the loan with it",
        "liquidate/kind",
        "nothing: the borrower gets coins and debt back; the lender is paid in what was printed",
    ),
    Attack(
        "the_registrars_key",
        "thief of the registrar's keys",
        "suspends both parties, and admits an account of its own",
        "token/cannot-send, token/not-registry, token/not-authority",
        "nothing: others can pay the debt, which frees the pledge; but who stays suspended gets no "
        "coins by a burn, only by the recovery path",
    ),
    Attack(
        "the_authoritys_key",
        "thief of the authority's keys",
        "takes the pledge by force, while the loan runs",
        "token/held, burn/no-tokens",
    ),
    Attack(
        "the_authoritys_key_after_repayment",
        "thief of the authority's keys",
        "takes the free tokens by force, and burns them to its own address",
        "",
        "all that is free: an authority that may give tokens to another may give coins",
    ),
    # --- two together ---
    Attack(
        "two_keys_of_the_vault",
        "any two of borrower, lender, custodian",
        "sign to their own address",
        "",
        "all coins of the vault, at any time: that is what two of three means",
    ),
    Attack(
        "a_key_of_the_vault_and_the_recovery_key",
        "one of them, and the recovery key",
        "sign to their own address",
        "psbt/incomplete, bitcoin/non-final",
        "nothing before the recovery time; then what the recovery key takes alone",
    ),
    Attack(
        "any_other_two",
        "any two of all eight that are not two keys of the vault",
        "pool their keys on both chains",
        "psbt/incomplete, …",
    ),
)


HEAD = """# What was tried, and what it cost

Each row is a test that attacks a running world on both chains: `tests/world/test_attacks.py`, with
`test_` before the name. The vault is `two-of-three-recovery`, and the sums on chain are compared
before and after. What is refused with a code `cosigner/…`, each cosigner refuses by itself.

| test | who | does | refused with | the owner of the coins loses |
| --- | --- | --- | --- | --- |"""
TAIL = """
A price is what the quorum of oracles says: no cosigner knows a better one. A quorum of attestors
that mints for coins which are not there gets no coins of the vault (`cosigner/change`).
What a stolen key's owner holds elsewhere, coins in its own wallet and cash, is the thief's.
"""


def row(name: str) -> Attack:
    return next(each for each in ATTACKS if each.name == name)


def page() -> str:
    """``docs/attacks.md``."""
    lines = [HEAD]
    for each in ATTACKS:
        stop = ", ".join(f"`{code}`" for code in codes(each)) or "nothing"
        lines.append(f"| {each.name} | {each.who} | {each.does} | {stop} | {each.lost} |")
    return "\n".join([*lines, TAIL])


def codes(attack: Attack) -> list[str]:
    found = [code for code in attack.stop.split(", ") if code and code != "…"]
    assert all(code in CODES for code in found), found
    return found


PAGE = Path(__file__).resolve().parents[2] / "docs" / "attacks.md"


@dataclass(frozen=True)
class Sums:
    """Where the coins are, by the node's own count."""

    vaults: int
    wallets: dict[str, int]
    fees: int

    @classmethod
    def of(cls, world: World) -> Sums:
        return cls(
            sum(in_vault(world, deal) for deal in world.loans),
            {name: coins(world, name) for name in world.parties},
            fees(world),
        )


class Thief:
    """Tries, counts what was refused, and shows at the end what moved on chain."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.attack = row(name)
        self.before = Sums.of(world)
        self.seen: list[str] = []

    def fails(self, call, *args, **more) -> str:
        """It is refused; by which code."""
        try:
            call(*args, **more)
        except EscrowError as error:
            self.seen.append(error.code)
            return error.code
        raise AssertionError(f"{call} was not refused")

    def asks(self, deal: Deal, psbt, *, cosigners=None, terms=None, script=None) -> None:
        """Every cosigner refuses, and remembers nothing."""
        for cosigner in cosigners or self.world._wires.cosigners:
            memory = cosigner.memory
            self.fails(
                cosigner.sign,
                psbt,
                terms=terms or deal.terms,
                script=script or deal.vault.script_pubkey,
            )
            assert cosigner.memory == memory

    def ends(self, *, lost: int = 0, to: str = "", fee: int = 0, paid=None, dear=False):
        """The sums on chain: ``lost`` sats are gone from the vaults ``to`` a party, ``fee`` to the
        miner, ``paid`` to whom it belongs, and nothing else has moved. ``dear``: the fee is the
        loss."""
        after, paid = Sums.of(self.world), paid or {}
        for name, sats in after.wallets.items():
            gained = sats - self.before.wallets[name]
            assert gained == paid.get(name, 0) + (lost if name == to else 0), name
        assert after.fees - self.before.fees == fee
        assert self.before.vaults - after.vaults == lost + sum(paid.values()) + fee
        assert self.attack.lost.startswith(NOTHING) == (not lost and not dear)
        assert set(codes(self.attack)) <= set(self.seen), (self.attack, set(self.seen))
        assert self.world.engine.broken == []


def burned(world: World, *, btc: str | None = None) -> Deal:
    """The borrower repaid and burned, and the operator has not asked the quorum yet."""
    deal = world.loans[0]
    world.repay(deal)
    world.silence(*COSIGNERS)
    world.burn(deal, btc=btc)
    world.evm.chain.seal()
    world.answer(*COSIGNERS)
    return deal


def draft(world: World, deal: Deal, outputs, *, coins=None, vault: Vault | None = None, **more):
    """A PSBT as an operator makes it: Creator, then Updater."""
    inputs = [OutPoint.parse(each) for each in coins or [deal.state.vault.coins[0].outpoint]]
    raws = [world.bitcoin.transaction(each.txid) for each in inputs]
    bare = bip174.create(inputs, outputs=outputs, **more)
    return bip174.update(
        bare, owner=vault or deal.vault, prev_txs=[raw for raw in raws if raw is not None]
    )


def home(world: World, name: str = "borrower") -> bytes:
    return world.party(name).script


def complete(psbts) -> bytes:
    return bip174.extract(bip174.finalize(bip174.combine(list(psbts))))


def signed(world: World, deal: Deal, psbt, *names: str) -> bytes:
    """These cosigners agree."""
    quorum = {each.party.name: each for each in world._wires.cosigners}
    script = deal.vault.script_pubkey
    return complete(quorum[name].sign(psbt, terms=deal.terms, script=script) for name in names)


def stolen(world: World, psbt, *names: str) -> bytes:
    """These keys sign whatever their thief likes."""
    return complete(bip174.sign(psbt, keys=world.party(name).keys) for name in names)


def on_evm(world: World, deal: Deal, thief: Thief, name: str) -> None:
    """Everything that the account of a party can try against a loan; cash and coins end, if they
    can be had, with the stranger."""
    account, parts = world.party(name).account, world.evm.contracts
    loan, script = bytes.fromhex(deal.id[2:]), home(world, "stranger")
    terms, away = encode_terms(terms_mapping(deal.terms)), world.party("stranger").address_bytes
    for function, args in (
        ("cancel", ()),
        ("margin_call", ()),
        ("expire_call", ()),
        ("cure", ()),
        ("take_over", ()),
        ("liquidate", (2**256 - 1, 0)),
        ("take", (PLEDGED, 2**256 - 1)),
        ("redo", ()),
        ("dispute", ()),
        ("resolve", (True,)),
        ("withdraw", (PLEDGED,)),
        ("recovered", ()),
        ("top_up", (1,)),
        ("draw", (1,)),
    ):
        thief.fails(parts.book.send, account, function, terms, *args)
    for function, args in (
        (
            "burn",
            (loan, 100_000, script, parts.pledge.call("burns_of", world.party(name).address_bytes)),
        ),
        ("release", (loan, away, PLEDGED)),
        ("execute", (loan, world.party("borrower").address_bytes, away, PLEDGED, 0)),
        ("forcedTransfer", (world.party("borrower").address_bytes, away, PLEDGED)),
        ("hold", (loan, world.party("borrower").address_bytes, PLEDGED)),
    ):
        thief.fails(parts.pledge.send, account, function, *args)
    now, domain = world.now, parts.pledge.domain
    price = {"round": world.engine.system.price.round + 1, "price": 10**8, "at": now}
    sig = typed.sign_price(account, price=price, domain=parts.prices.domain)
    for reports in ([(10**8, sig)], 3 * [(10**8, sig)]):
        thief.fails(parts.prices.send, account, "post", price["round"], now, reports)
    seen = {
        "loan": loan,
        "holder": away,
        "txid": b"\xab" * 32,
        "vout": 0,
        "sats": PLEDGED,
        "reserves": 2 * PLEDGED,
        "seen_at": now,
        "bitcoin_block": bytes.fromhex(world.bitcoin.tip_hash),
    }
    att = typed.sign_attestation(account, attestation=seen, domain=domain)
    thief.fails(parts.pledge.send, account, "mint", tuple(seen.values()), [att])
    [coin] = deal.state.vault.coins
    gone = {
        "loan": loan,
        "holder": world.party("borrower").address_bytes,
        "pledgor": world.party("borrower").address_bytes,
        "txid": bytes.fromhex(coin.outpoint[:64]),
        "vout": int(coin.outpoint[65:]),
        "sats": PLEDGED,
        "deadline": now + 60,
    }
    ret = typed.sign_retirement(account, retirement=gone, domain=domain)
    thief.fails(parts.pledge.send, account, "retire", tuple(gone.values()), [ret])


def on_bitcoin(world: World, deal: Deal, thief: Thief, *names: str) -> None:
    """What these keys can sign without a lock is not enough."""
    psbt = draft(world, deal, [(home(world, "stranger"), PLEDGED - FEE)])
    psbts = []
    for name in names:
        if name in COSIGNERS:
            psbts.append(bip174.sign(psbt, keys=world.party(name).keys))
        else:
            assert thief.fails(bip174.sign, psbt, keys=world.party(name).keys) == "psbt/no-key"
    thief.fails(lambda: complete(psbts or [psbt]))


def by_recovery(world: World, deal: Deal) -> bytes:
    """The recovery key signs the vault to the stranger by its time lock."""
    vault = deal.vault
    psbt = bip174.update(
        bip174.create(
            [OutPoint.parse(deal.state.vault.coins[0].outpoint)],
            outputs=[(home(world, "stranger"), PLEDGED - FEE)],
            locktime=vault.locktime("recovery"),
            sequence=vault.sequence("recovery"),
        ),
        owner=vault,
        prev_txs=[world.bitcoin.transaction(deal.state.vault.coins[0].outpoint[:64])],
        path="recovery",
    )
    return complete([bip174.sign(psbt, keys=world.party("borrower").keys)])
