"""A discreet log contract on the kernel's chain: funded by both, closed together, as the oracle
says, or after the other party or the oracle has vanished. Each way is taken on a chain of its own.
"""

from __future__ import annotations

import pickle
from dataclasses import replace
from hashlib import sha256

import pytest
from bitcoin_lab import (
    BORROWER,
    COIN,
    LENDER,
    P2WPKH,
    START,
    STRANGER,
    N,
    grow,
    party,
    pay,
    ripe,
    spend,
)
from btclib.tx import Tx
from btclib_wallet import dlc as dlcspecs
from ecc.ecc import ecdsa_adaptor, ssa
from hypothesis import given
from hypothesis import strategies as st

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.dlc import (
    Promise,
    Sealed,
    complete,
    exits,
    promise,
    refund,
    seal,
)
from escrow.adapters.bitcoin.dlc_oracle import Announcement, Attestation, Oracle, contradict
from escrow.adapters.bitcoin.dlc_terms import (
    LIQUIDATED,
    REFUND,
    REPAID,
    Contract,
    Outcome,
    Stake,
    ladder,
    outcome_at,
)
from escrow.adapters.bitcoin.keys import Keys
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.vault import compile_vault
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import DAY, Cents, PriceE8, Sats, Seconds
from escrow.custody.policy import Moment
from escrow.custody.read import load_policy

RECOVERY = Seconds(START + 365 * DAY)
SEED = sha256(b"oracle").digest()
FEERATE = 2
PAYOUTS = {"borrower": b"\x00\x14" + b"b" * 20, "lender": b"\x00\x14" + b"l" * 20}
PLAIN = (Outcome(REPAID, Sats(0)), Outcome(LIQUIDATED, Sats(COIN)))
RUNGS = [PriceE8(price * 10**8) for price in (40_000, 50_000, 60_000)]
LADDER = ladder(Sats(COIN), debt=Cents(3_000_000), prices=RUNGS)
FUNDING, CET, SPLIT, REFUNDED = 252, 137, 168, 137
"""vB as the chain measured them: two inputs and three outputs; one payout; two; all back."""


def announced(outcomes: tuple[Outcome, ...] = PLAIN, *, event: str = "loan-7") -> Announcement:
    names = [each.name for each in outcomes]
    return Oracle(SEED).announce(event, outcomes=names, matures=RECOVERY)


def attested(announcement: Announcement, outcome: str) -> Attestation:
    return Oracle(SEED).attest(announcement, outcome=outcome)


def stake(node: Node, keys: Keys, *, sats: int, name: str) -> Stake:
    """A party with one coin of ``sats`` in its wallet."""
    wallet = keys.wallet_key()
    txid = node.broadcast(pay(node, wallet.script_pubkey, sats=sats))
    grow(node)
    raw = node.transaction(txid)
    assert raw is not None
    return Stake(keys.vault_key(), PAYOUTS[name], wallet, (OutPoint(txid, 0),), (raw,))


def drafted(
    node: Node, *, outcomes: tuple[Outcome, ...] = PLAIN, announcement: Announcement | None = None
) -> Contract:
    return Contract.draft(
        borrower=stake(node, BORROWER, sats=COIN + 20_000, name="borrower"),
        lender=stake(node, LENDER, sats=20_000, name="lender"),
        collateral=Sats(COIN),
        outcomes=outcomes,
        announcement=announcement or announced(outcomes),
        feerate=FEERATE,
        refund_at=RECOVERY,
    )


def agreed(contract: Contract) -> Sealed:
    return seal(contract, promises=[promise(contract, keys=each) for each in (BORROWER, LENDER)])


def open_(node: Node, contract: Contract) -> str:
    """Both wallets sign the funding, and it is confirmed."""
    copies = [psbt.sign(contract.funding(), keys=each) for each in (BORROWER, LENDER)]
    txid = node.broadcast(psbt.extract(psbt.finalize(psbt.combine(copies))))
    grow(node)
    return txid


def opened(outcomes: tuple[Outcome, ...] = PLAIN) -> tuple[Node, Sealed]:
    node = ripe()
    sealed = agreed(drafted(node, outcomes=outcomes))
    open_(node, sealed.contract)
    return node, sealed


def wait(node: Node, until: int) -> None:
    node.mine(time=until + 1)
    grow(node, 10)


def paid(node: Node, name: str) -> int:
    return sum(coin.sats for coin in node.coins(PAYOUTS[name]))


@pytest.fixture(scope="module")
def world() -> tuple[Node, Sealed]:
    return opened()


@pytest.fixture(scope="module")
def sealed(world: tuple[Node, Sealed]) -> Sealed:
    return world[1]


@pytest.fixture(scope="module")
def contract(sealed: Sealed) -> Contract:
    return sealed.contract


class TestWaysOut:
    def test_opens(self, world: tuple[Node, Sealed]):
        node, sealed = world
        contract = sealed.contract
        coin = node.coin(contract.coin)
        assert coin is not None
        assert (coin.sats, coin.script_pubkey) == (contract.sats, contract.script_pubkey)
        raw = node.transaction(contract.coin.txid)
        assert raw is not None
        assert FUNDING - 1 <= Tx.parse(raw).vsize <= FUNDING

    def test_is_the_vault_of_the_policy(self, contract: Contract):
        vault = compile_vault(
            load_policy("dlc"),
            keys={"borrower": BORROWER.vault_key(), "lender": LENDER.vault_key()},
            moments={Moment.RECOVERY: RECOVERY},
        )
        assert vault.script_pubkey == contract.script_pubkey

    def test_closed_by_both_at_a_feerate_of_the_day(self):
        node, sealed = opened()
        contract = sealed.contract
        vault = compile_vault(
            load_policy("dlc"),
            keys={"borrower": BORROWER.vault_key(), "lender": LENDER.vault_key()},
            moments={Moment.RECOVERY: RECOVERY},
        )
        funding = node.transaction(contract.coin.txid)
        assert funding is not None
        bare = psbt.create([contract.coin], outputs=[(P2WPKH, Sats(contract.sats - 9_000))])
        draft = psbt.update(bare, owner=vault, prev_txs=[funding], path="close")
        one = psbt.sign(draft, keys=BORROWER)
        with pytest.raises(Refused, match="psbt/incomplete"):
            psbt.finalize(one)
        raw = psbt.extract(psbt.finalize(psbt.combine([one, psbt.sign(draft, keys=LENDER)])))
        node.broadcast(raw)
        grow(node)
        assert 136 <= Tx.parse(raw).vsize <= vault.vsize("close", 1, [P2WPKH]) == 137
        # What was signed up front is void from then on.
        with pytest.raises(Refused, match="bitcoin/missing-input"):
            node.broadcast(
                complete(sealed, REPAID, attestation=attested(contract.announcement, REPAID))
            )

    @pytest.mark.parametrize(
        ("outcome", "payee", "other"),
        [(REPAID, "borrower", "lender"), (LIQUIDATED, "lender", "borrower")],
    )
    def test_as_the_oracle_says(self, outcome: str, payee: str, other: str):
        node, sealed = opened()
        word = attested(sealed.contract.announcement, outcome)
        raw = complete(sealed, outcome, attestation=word)
        node.broadcast(raw)
        grow(node)
        assert (paid(node, payee), paid(node, other)) == (COIN, 0)
        assert CET - 1 <= Tx.parse(raw).vsize <= CET + 1

    def test_at_a_price(self):
        node, sealed = opened(LADDER)
        outcome = outcome_at(PriceE8(55_000 * 10**8), prices=RUNGS)
        word = attested(sealed.contract.announcement, outcome)
        raw = complete(sealed, outcome, attestation=word)
        node.broadcast(raw)
        grow(node)
        # 30,000.00 at 50,000: 0.6 BTC
        assert (paid(node, "lender"), paid(node, "borrower")) == (60_000_000, 40_000_000)
        assert SPLIT - 1 <= Tx.parse(raw).vsize <= SPLIT + 1

    def test_refunded_when_the_other_party_and_the_oracle_have_vanished(self):
        node, sealed = opened()
        raw = refund(sealed)
        node.mine(time=RECOVERY)
        grow(node, 5)  # the median is still before the lock
        with pytest.raises(Refused, match="bitcoin/non-final"):
            node.broadcast(raw)
        wait(node, RECOVERY)
        node.broadcast(raw)
        grow(node)
        assert (paid(node, "borrower"), paid(node, "lender")) == (COIN, 0)
        assert REFUNDED - 1 <= Tx.parse(raw).vsize <= REFUNDED

    def test_are_listed(self, world: tuple[Node, Sealed]):
        sealed = world[1]
        repaid, liquidated, last = exits(sealed)
        assert [each.to for each in (repaid, liquidated, last)] == [
            ("borrower",),
            ("lender",),
            ("borrower",),
        ]
        assert [each.locktime for each in (repaid, liquidated, last)] == [0, 0, RECOVERY]
        assert [each.signers for each in (repaid, liquidated, last)] == [("oracle",)] * 2 + [()]
        for outcome in (REPAID, LIQUIDATED):
            word = attested(sealed.contract.announcement, outcome)
            whole = Tx.parse(complete(sealed, outcome, attestation=word))
            (row,) = [each for each in exits(sealed) if each.name == outcome]
            assert whole.id.hex() == row.txid
            assert row.vsize - 1 <= whole.vsize <= row.vsize
            assert row.fee == sealed.contract.sats - COIN >= row.vsize * FEERATE
        assert Tx.parse(refund(sealed)).vsize == last.vsize

    def test_a_split_names_both(self):
        node = ripe()
        rows = exits(agreed(drafted(node, outcomes=LADDER)))
        assert [each.to for each in rows if each.name.startswith("price")] == [
            ("borrower", "lender")
        ] * 3

    def test_needs_no_key_of_a_party_after_sealing(self):
        """Only what is in the set and the oracle's word: both adaptors open with it."""
        node, sealed = opened()
        word = Attestation.parse(attested(sealed.contract.announcement, REPAID).serialize())
        node.broadcast(complete(sealed, REPAID, attestation=word))


class TestOtherOutcomes:
    def test_cannot_be_completed(self, sealed: Sealed):
        word = attested(sealed.contract.announcement, REPAID)
        for outcome in (LIQUIDATED, "sold", REFUND):
            with pytest.raises(Refused, match="dlc/outcome"):
                complete(sealed, outcome, attestation=word)
        complete(sealed, REPAID, attestation=word)

    def test_are_refused_by_the_chain_when_forced(self, world: tuple[Node, Sealed]):
        node, sealed = world
        contract = sealed.contract
        word = attested(contract.announcement, REPAID)
        secret = int.from_bytes(word.signature[32:], "big")
        keys = (contract.borrower.key.pubkey, contract.lender.key.pubkey)
        forced = dlcspecs.complete_spend(
            contract.cets[1],
            {
                key: ecdsa_adaptor.decrypt(each.adaptors[1], secret).serialize() + b"\x01"
                for key, each in zip(keys, sealed.promises, strict=True)
            },
        )
        with pytest.raises(Refused, match="bitcoin/script"):
            node.broadcast(forced.serialize(include_witness=True))
        with pytest.raises(Refused, match="bitcoin/block"):
            forced_block(node, forced)

    def test_nothing_opens_before_the_oracle_speaks(self, sealed: Sealed):
        """A guess is not an attestation, nor is another oracle's or another event's."""
        contract = sealed.contract
        announcement = contract.announcement
        stranger = Oracle(sha256(b"another").digest())
        theirs = stranger.announce(
            announcement.event, outcomes=[REPAID, LIQUIDATED], matures=RECOVERY
        )
        good = attested(announcement, REPAID)
        for word in (
            stranger.attest(theirs, outcome=REPAID),
            attested(announced(event="loan-8"), REPAID),
            replace(good, signature=good.signature[:32] + sha256(b"guess").digest()),
            replace(good, outcome=LIQUIDATED),
            replace(good, event="loan-8"),
        ):
            with pytest.raises(Refused, match="dlc/signature"):
                complete(sealed, word.outcome, attestation=word)


def forced_block(node: Node, tx: Tx) -> None:
    """Let a miner take a transaction that no node relays; the kernel judges."""
    from escrow.adapters.bitcoin import block as regtest

    node.submit_block(
        regtest.build(
            node.tip_hash,
            height=node.height + 1,
            time=node.tip_time + 600,
            transactions=[tx],
            fees=0,
            script_pubkey=P2WPKH,
            extra_nonce=bytes(8),
        ).raw
    )


class TestSetup:
    def test_both_draft_the_same(self, contract: Contract):
        twin = Contract.draft(
            borrower=contract.borrower,
            lender=contract.lender,
            collateral=contract.collateral,
            outcomes=contract.outcomes,
            announcement=Announcement.parse(
                contract.announcement.serialize(), oracle=Oracle(SEED).public_key
            ),
            feerate=contract.feerate,
            refund_at=contract.refund_at,
        )
        assert twin == contract
        assert promise(twin, keys=LENDER) == promise(contract, keys=LENDER)
        assert agreed(twin).id == agreed(contract).id

    @pytest.mark.parametrize("name", ["borrower", "lender"])
    @pytest.mark.parametrize(("at", "exit_name"), [(0, REPAID), (1, LIQUIDATED), (2, REFUND)])
    def test_an_altered_signature_is_refused_by_name(
        self, contract: Contract, name: str, at: int, exit_name: str
    ):
        promises = {each.party: each for each in agreed(contract).promises}
        given = promises[name]
        if at == 2:
            altered = replace(given, refund=flipped(given.refund))
        else:
            adaptors = list(given.adaptors)
            adaptors[at] = flipped(adaptors[at])
            altered = replace(given, adaptors=tuple(adaptors))
        with pytest.raises(Refused, match="dlc/signature") as caught:
            seal(contract, promises=[*({**promises, name: altered}.values())])
        assert caught.value.facts == {"party": name, "exit": exit_name}

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda given: replace(given, adaptors=given.adaptors[:1]),
            lambda given: replace(given, adaptors=given.adaptors[::-1]),
            lambda given: replace(given, adaptors=(b"", b"")),
            lambda given: replace(given, adaptors=(bytes(162), bytes(162))),
            lambda given: replace(given, refund=b""),
            lambda given: replace(given, refund=given.refund[:-1] + b"\x02"),
            lambda given: replace(given, party="lender"),
            lambda given: replace(given, party="oracle"),
        ],
    )
    def test_a_promise_of_garbage(self, contract: Contract, spoil):
        borrower, lender = agreed(contract).promises
        with pytest.raises(Refused, match="dlc/signature"):
            seal(contract, promises=[lender, spoil(borrower)])

    def test_a_promise_for_another_contract(self, contract: Contract):
        other = Contract.draft(
            borrower=contract.borrower,
            lender=contract.lender,
            collateral=contract.collateral,
            outcomes=contract.outcomes,
            announcement=contract.announcement,
            feerate=FEERATE + 1,
            refund_at=contract.refund_at,
        )
        mine = promise(contract, keys=BORROWER)
        with pytest.raises(Refused, match="dlc/signature"):
            seal(contract, promises=[mine, promise(other, keys=LENDER)])

    def test_a_counterparty_that_does_not_answer(self, contract: Contract):
        with pytest.raises(Refused, match="dlc/signature") as caught:
            seal(contract, promises=[promise(contract, keys=BORROWER)])
        assert caught.value.facts["party"] == "lender"

    def test_a_stranger_promises_nothing(self, contract: Contract):
        with pytest.raises(Refused, match="psbt/no-key"):
            promise(contract, keys=STRANGER)
        assert promise(contract, keys=LENDER).party == "lender"

    def test_one_that_backs_out_before_funding_strands_nothing(self):
        """The other's coins are still its own: it spends them elsewhere."""
        node = ripe()
        contract = drafted(node)
        agreed(contract)
        alone = psbt.sign(contract.funding(), keys=BORROWER)
        with pytest.raises(Refused, match="psbt/incomplete"):
            psbt.finalize(alone)
        assert node.coin(contract.borrower.coins[0]) is not None

    @pytest.mark.parametrize(
        "change",
        [
            {"feerate": 0},
            {"feerate": 10_001},
            {"collateral": Sats(2 * COIN)},
            {"collateral": Sats(-1)},
            {"refund_at": Seconds(400)},
            {"refund_at": Seconds(2**32)},
            {"outcomes": PLAIN[:1]},
            {"outcomes": PLAIN[::-1]},
            {"outcomes": (PLAIN[0], Outcome(LIQUIDATED, Sats(COIN + 1)))},
            {"outcomes": (PLAIN[0], Outcome(LIQUIDATED, Sats(-1)))},
            {
                "announcement": announced((Outcome(REFUND, Sats(0)),)),
                "outcomes": (Outcome(REFUND, Sats(0)),),
            },
        ],
    )
    def test_terms_that_cannot_be_built(self, contract: Contract, change: dict[str, object]):
        terms = {
            "borrower": contract.borrower,
            "lender": contract.lender,
            "collateral": contract.collateral,
            "outcomes": contract.outcomes,
            "announcement": contract.announcement,
            "feerate": FEERATE,
            "refund_at": RECOVERY,
        }
        with pytest.raises(BadInput, match="dlc/format"):
            Contract.draft(**{**terms, **change})  # type: ignore[arg-type]
        assert Contract.draft(**terms) == contract  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"coins": ()}, "dlc/format"),
            ({"prev_txs": ()}, "dlc/format"),
            ({"prev_txs": (b"\x00",)}, "bitcoin/transaction"),
            ({"payout": b""}, "dlc/format"),
            ({"payout": PAYOUTS["borrower"]}, "dlc/format"),
            ({"key": BORROWER.vault_key()}, "dlc/format"),
            ({"wallet": STRANGER.wallet_key()}, "dlc/format"),
        ],
    )
    def test_a_stake_that_is_none(self, contract: Contract, change: dict[str, object], code: str):
        with pytest.raises(BadInput, match=code):
            Contract.draft(
                borrower=contract.borrower,
                lender=replace(contract.lender, **change),  # type: ignore[arg-type]
                collateral=contract.collateral,
                outcomes=contract.outcomes,
                announcement=contract.announcement,
                feerate=FEERATE,
                refund_at=RECOVERY,
            )


def flipped(signature: bytes) -> bytes:
    """One bit of a signature changed, in a number and not in its frame."""
    return signature[:-10] + bytes([signature[-10] ^ 1]) + signature[-9:]


class TestLadder:
    def test_pays_the_lender_what_the_debt_is_worth(self):
        assert [each.to_lender for each in LADDER] == [
            0,
            75_000_000,
            60_000_000,
            50_000_000,
            COIN,
        ]
        third = ladder(Sats(COIN), debt=Cents(100), prices=[PriceE8(3 * 10**8)])
        assert third[1].to_lender == 33_333_334  # rounded up

    def test_pays_no_more_than_there_is(self):
        assert ladder(Sats(COIN), debt=Cents(10**9), prices=RUNGS)[1].to_lender == COIN

    @given(st.integers(1, 10**19) | st.sampled_from(RUNGS))
    def test_every_price_has_one_outcome(self, price: int):
        outcome = outcome_at(PriceE8(price), prices=RUNGS)
        assert [each.name for each in LADDER].count(outcome) == 1
        below = [rung for rung in RUNGS if rung <= price]
        assert outcome == (f"price-{below[-1]}" if below else LIQUIDATED)

    @pytest.mark.parametrize(
        ("debt", "prices"), [(0, RUNGS), (1, []), (1, RUNGS[::-1]), (1, [RUNGS[0]] * 2), (1, [0])]
    )
    def test_that_is_none(self, debt: int, prices: list[PriceE8]):
        with pytest.raises(BadInput, match="dlc/format"):
            ladder(Sats(COIN), debt=Cents(debt), prices=prices)


class TestOracle:
    def test_attests_once(self):
        oracle = Oracle(SEED)
        announcement = announced()
        word = oracle.attest(announcement, outcome=REPAID)
        assert oracle.attest(announcement, outcome=REPAID) == word
        with pytest.raises(Refused, match="dlc/attested"):
            oracle.attest(announcement, outcome=LIQUIDATED)
        assert dict(oracle.attested) == {"loan-7": REPAID}

    def test_remembers_over_a_restart(self):
        again = Oracle(SEED, attested={"loan-7": REPAID})
        with pytest.raises(Refused, match="dlc/attested"):
            again.attest(announced(), outcome=LIQUIDATED)
        again.attest(announced(event="loan-8"), outcome=LIQUIDATED)

    def test_two_words_prove_the_fraud_and_give_its_key_away(self):
        """Why it must not: anyone who sees both computes the key."""
        announcement = announced()
        one, two = (attested(announcement, each) for each in (REPAID, LIQUIDATED))
        assert contradict(one, two, of=announcement)
        assert not contradict(one, one, of=announcement)
        other = attested(announced(event="loan-8"), LIQUIDATED)
        for first, second in ((one, other), (other, one)):
            with pytest.raises(Refused, match="dlc/signature"):
                contradict(first, second, of=announcement)
        s = [int.from_bytes(each.signature[32:], "big") for each in (one, two)]
        e = [challenge(announcement, each.outcome) for each in (one, two)]
        secret = (s[0] - s[1]) * pow(e[0] - e[1], -1, N) % N
        assert ssa.gen_keys(secret)[1].to_bytes(32, "big") == announcement.oracle

    def test_attests_only_what_it_announced(self):
        announcement = announced()
        with pytest.raises(Refused, match="dlc/outcome"):
            Oracle(SEED).attest(announcement, outcome="sold")
        for other in (
            replace(announcement, nonce=announced(event="x").nonce),
            replace(announcement, matures=Seconds(1)),
            replace(announcement, signature=bytes(64)),
        ):
            with pytest.raises(Refused, match="dlc/signature"):
                Oracle(SEED).attest(other, outcome=REPAID)
        with pytest.raises(Refused, match="dlc/signature"):
            Oracle(sha256(b"another").digest()).attest(announcement, outcome=REPAID)

    def test_no_two_announcements_share_a_nonce(self):
        assert announced() == announced()
        nonces = {announced().nonce, announced(LADDER).nonce, announced(event="loan-8").nonce}
        assert len(nonces) == 3

    def test_shows_nothing(self):
        oracle = Oracle(SEED)
        assert SEED.hex() not in repr(oracle)
        assert repr(oracle) == f"Oracle({oracle.public_key.hex()[:16]}…, attested=0)"
        with pytest.raises(TypeError):
            pickle.dumps(oracle)
        with pytest.raises(TypeError):
            pickle.dumps(party("borrower"))
        with pytest.raises(BadInput, match="bitcoin/key"):
            Oracle(b"short")

    @pytest.mark.parametrize(
        ("event", "outcomes", "matures"),
        [
            ("", ["a"], 1),
            ("e" * 101, ["a"], 1),
            ("e", [], 1),
            ("e", ["a"] * 2, 1),
            ("e", [""], 1),
            ("e", [str(each) for each in range(257)], 1),
            ("e", ["e\u0301"], 1),
            ("e", ["\ud800"], 1),
            ("e", ["a"], -1),
            ("e", ["a"], 2**32),
        ],
    )
    def test_an_event_that_cannot_be_announced(self, event: str, outcomes: list[str], matures: int):
        with pytest.raises(BadInput, match="dlc/format"):
            Oracle(SEED).announce(event, outcomes=outcomes, matures=Seconds(matures))


def challenge(announcement: Announcement, outcome: str) -> int:
    """BIP-340's, of an attestation."""
    tag = sha256(b"BIP0340/challenge").digest()
    message = dlcspecs.outcome_message(outcome)
    digest = sha256(tag + tag + announcement.nonce + announcement.oracle + message).digest()
    return int.from_bytes(digest, "big") % N


class TestWire:
    """Announcements and attestations travel as dlcspecs' TLVs, and others may have made them."""

    def test_there_and_back(self):
        announcement = announced()
        oracle = announcement.oracle
        assert Announcement.parse(announcement.serialize(), oracle=oracle) == announcement
        word = attested(announcement, REPAID)
        assert Attestation.parse(word.serialize()) == word
        word.check(announcement)

    def test_of_another_oracle(self):
        raw = announced().serialize()
        with pytest.raises(Refused, match="dlc/signature"):
            Announcement.parse(raw, oracle=Oracle(sha256(b"another").digest()).public_key)
        forged = replace(announced(), outcomes=(REPAID, "sold"))
        with pytest.raises(Refused, match="dlc/signature"):
            Announcement.parse(forged.serialize(), oracle=forged.oracle)

    def test_a_number_is_not_a_list_of_outcomes(self):
        key = 7
        event = dlcspecs.OracleEvent(
            nonces=(announced().nonce, announced(event="x").nonce),
            maturity_epoch=1,
            descriptor=dlcspecs.DigitDecompositionEventDescriptor(
                base=2, is_signed=False, unit="USD", precision=0, nb_digits=2
            ),
            event_id="price",
        )
        wire = dlcspecs.sign_announcement(event, key)
        with pytest.raises(BadInput, match="dlc/format"):
            Announcement.parse(wire.serialize(), oracle=wire.public_key)
        word = dlcspecs.OracleAttestation(
            event_id="price", public_key=wire.public_key, signatures=(), outcomes=()
        )
        with pytest.raises(BadInput, match="dlc/format"):
            Attestation.parse(word.serialize())

    @pytest.mark.parametrize("raw", [b"", b"\xfd", bytes(100), b"\x00" * 70_000])
    def test_garbage(self, raw: bytes):
        with pytest.raises(BadInput, match="dlc/format"):
            Announcement.parse(raw, oracle=bytes(32))
        with pytest.raises(BadInput, match="dlc/format"):
            Attestation.parse(raw)

    @given(data=st.data())
    def test_any_change_is_refused_by_name(self, data: st.DataObject):
        announcement = announced()
        raw = bytearray(data.draw(st.sampled_from([announcement, ATTESTED])).serialize())
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        del raw[data.draw(st.integers(len(raw) - 3, len(raw))) :]
        with pytest.raises(EscrowError):
            Announcement.parse(bytes(raw), oracle=announcement.oracle)
        with pytest.raises(EscrowError):
            Attestation.parse(bytes(raw)).check(announcement)


ATTESTED = attested(announced(), REPAID)


def test_names_nothing_secret(sealed: Sealed):
    shown = repr(sealed) + repr(sealed.contract.borrower)
    for keys in (BORROWER, LENDER):
        secret = keys._secret(
            keys.vault_key().pubkey, origin=keys.vault_key().origin, recovery=False
        )
        assert secret is not None
        assert secret.hex() not in shown
        assert repr(secret) not in shown


def test_a_promise_is_plain_data(sealed: Sealed):
    given = sealed.promises[0]
    assert given == Promise(given.party, given.adaptors, given.refund)
    assert [len(each) for each in given.adaptors] == [162, 162]


def test_a_vault_key_signs_no_adaptor_for_others(contract: Contract):
    key = contract.borrower.key
    point = contract.announcement.point(REPAID)
    ask = {"origin": key.origin, "digest": bytes(32), "point": point}
    assert BORROWER.adaptor(key.pubkey, **ask)
    assert LENDER.adaptor(key.pubkey, **ask) is None
    with pytest.raises(Refused, match="dlc/outcome"):
        contract.announcement.point("sold")


def test_anyones_coins_are_left_alone(world: tuple[Node, Sealed]):
    """A miner cannot take the funding output, whatever script it shows."""
    node, sealed = world
    raw = spend([sealed.contract.coin], [(P2WPKH, COIN)])
    with pytest.raises(Refused, match=r"bitcoin/(script|policy)"):
        node.broadcast(raw)
