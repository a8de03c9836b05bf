"""What is shipped is what the sources compile to, and Python says the same as the contracts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from contracts_lab import Lab, person, raw, refuses
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.evm import cash_orders, typed
from escrow.adapters.evm.abi import artifact
from escrow.adapters.evm.contracts import (
    COMPANIONS,
    CONTRACTS,
    Contract,
    Deployment,
    contracts_at,
    create_address,
    creation_code,
    deploy,
    transaction,
)
from escrow.adapters.evm.revert import Reverted
from escrow.core.errors import CODES, BadInput, Rejected
from escrow.core.units import DAY, MAX_MONEY
from escrow.ports import EvmPort

ZERO = bytes(20)
ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "escrow" / "adapters" / "evm" / "artifacts"
SHIPPED = sorted(path.stem for path in (ROOT / "contracts").glob("[A-Z]*.vy"))
"""Those of a deal, and those that a world may deploy beside them."""
UNSIGNED = {"Registry", "HashLock", "LendingMarket"}
"""They read nothing that anybody signed."""
LIBRARIES = ("regulated", "signer_set", "typed_data")
SAID = re.compile(r'^@external\n(?:@\w+\n)*def (\w+)\([^)]*\)[^:]*:\n    """$', re.MULTILINE)
"""External functions that say what they are, in a source."""


@pytest.fixture(scope="module")
def base() -> Lab:
    return Lab()


@pytest.fixture
def lab(base: Lab) -> Lab:
    base.back()
    return base


# Artifacts. That they are what the sources compile to, ``scripts/check`` asks.


@pytest.mark.parametrize("name", SHIPPED)
def test_what_an_artifact_says(name: str):
    content = json.loads((ARTIFACTS / f"{name}.json").read_text())
    assert content["compiler"] == "vyper 0.4.3"
    assert content["evm_version"] == "cancun"
    assert content["runtime_size"] < 24_576  # EIP-170
    assert ("contracts/typed_data.vy" in content["sources_sha256"]) == (name not in UNSIGNED)
    said = content["userdoc"]["methods"]
    unsaid = {
        entry["name"]
        for entry in content["abi"]
        if entry["type"] == "function"
        and not any(signature.startswith(entry["name"] + "(") for signature in said)
    }
    # Only what the compiler leaves out: getters of public variables, and what libraries export.
    getters = {
        *("allowance", "nonces", "totalSupply", "name", "symbol", "decimals", "supply_cap"),
        *("issuer", "authority", "registrar", "registry", "book", "cash", "pledge", "prices"),
        *("MIN_DEPOSIT", "rights_of", "auction_cap", "auction_debt"),
        *("lltv_bps", "incentive", "base_bps", "slope_bps"),
        *("operator", "settlement", "period", "is_used", "status"),
        *("evidence_of", "supply_of"),
    }
    sources = [(ROOT / "contracts" / f"{library}.vy").read_text() for library in LIBRARIES]
    assert unsaid <= getters | {found for source in sources for found in SAID.findall(source)}


def test_every_reason_is_in_the_catalogue_and_every_file_has_its_pragmas():
    for source in [*(ROOT / "contracts").glob("*.vy")]:
        text = source.read_text()
        for pragma in ("version 0.4.3", "evm-version cancun", "nonreentrancy on"):
            assert f"# pragma {pragma}\n" in text, source.name
        lines = [line for line in text.splitlines() if "#" not in line]
        quoted = {part for line in lines for part in line.split('"')[1::2]}
        reasons = {part for part in quoted if part.count("/") == 1 and " " not in part}
        assert reasons <= set(CODES), source.name


def test_only_our_contracts_have_artifacts():
    assert {path.stem for path in ARTIFACTS.glob("*.json")} == set(SHIPPED)
    assert {*CONTRACTS, *COMPANIONS} == set(SHIPPED)
    for name in ("Nothing", "../errors", "abi"):
        with pytest.raises(KeyError):
            artifact(name)


# Typed data


def members(struct: typed.Struct):
    kinds = {
        "address": st.binary(min_size=20, max_size=20),
        "bytes32": st.binary(min_size=32, max_size=32),
        "uint32": st.integers(0, 2**32 - 1),
        "uint256": st.integers(0, 2**256 - 1),
        "address[]": st.lists(st.binary(min_size=20, max_size=20), max_size=15),
    }
    return st.fixed_dictionaries({name: kinds[kind] for name, kind in struct.fields})


@pytest.mark.parametrize(
    "struct",
    [
        *(typed.TERMS, typed.ATTESTATION, typed.RETIREMENT, typed.PRICE, typed.PERMIT),
        *(typed.SET_CHANGE, cash_orders.PAYMENT, cash_orders.ORDER, cash_orders.LOCK),
    ],
    ids=lambda s: s.name,
)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data(), chain_id=st.integers(1, 2**53), contract=st.binary(min_size=20, max_size=20))
def test_digests_are_those_of_a_general_encoder(struct, data, chain_id: int, contract: bytes):
    message = data.draw(members(struct))
    domain = typed.Domain(name="EscrowBook", chain_id=chain_id, contract=contract)
    general = encode_typed_data(
        {
            "name": "EscrowBook",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": "0x" + contract.hex(),
        },
        {struct.name: [{"name": name, "type": kind} for name, kind in struct.fields]},
        {
            name: "0x" + value.hex() if isinstance(value, bytes) else value
            for name, value in message.items()
        },
    )
    assert domain.separator == general.header
    assert struct.hash(message) == general.body
    signer = person(77)
    sig = typed.sign(signer, struct=struct, message=message, domain=domain)
    signed = signer.sign_message(general)
    assert (sig.v, int.from_bytes(sig.r, "big"), int.from_bytes(sig.s, "big")) == (
        signed.v,
        signed.r,
        signed.s,
    )


@settings(max_examples=10, deadline=None, derandomize=True)
@given(terms=members(typed.TERMS))
def test_the_contract_has_the_same_loan_id(terms):
    lab = Lab()
    assert lab.book.call("loan_id", typed.encode_terms(terms)) == typed.loan_id(terms)


def test_hexadecimal_is_read_as_bytes_are(lab: Lab):
    terms = lab.terms()
    written = {
        name: "0x" + value.hex() if isinstance(value, bytes) else value
        for name, value in terms.items()
    }
    assert typed.loan_id(written) == typed.loan_id(terms)
    assert typed.encode_terms(written) == typed.encode_terms(terms)


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": -1},
        {"nonce": 2**256},
        {"nonce": 1.0},
        {"nonce": True},
        {"nonce": None},
        {"borrower": b"\1" * 32},
        {"borrower": "0x12"},
        {"borrower": "0x" + "zz" * 20},
        {"vault": 5},
        {"vault": "11" * 33},
    ],
)
def test_words_that_do_not_fit(lab: Lab, change):
    with pytest.raises(BadInput) as caught:
        typed.loan_id(lab.terms(**change))
    assert caught.value.code == "evm/word"


def test_a_missing_member(lab: Lab):
    terms = lab.terms()
    del terms["max_fee"]
    with pytest.raises(BadInput):
        typed.encode_terms(terms)


# Calls


def test_dirty_addresses_are_no_second_spelling_of_the_same_terms(lab: Lab):
    terms = lab.opened()
    data = bytearray(lab.book.encode("owed", typed.encode_terms(terms)))
    lab.chain.call(to=lab.book.address, data=bytes(data))
    for place in (4, 4 + 32):  # borrower, lender
        dirty = data[:]
        dirty[place] = 1
        with pytest.raises(Reverted) as caught:
            lab.chain.call(to=lab.book.address, data=bytes(dirty))
        assert caught.value.data == b""


def test_short_calldata(lab: Lab):
    data = lab.book.encode("owed", typed.encode_terms(lab.terms()))
    with pytest.raises(Reverted):
        lab.chain.call(to=lab.book.address, data=data[:-1])


def test_calldata_by_name(lab: Lab):
    assert lab.cash.encode("transfer", bytes(19) + b"\1", 2).hex() == (
        "a9059cbb" + "00" * 31 + "01" + "00" * 31 + "02"
    )
    assert artifact("CashToken").functions["name"].selector.hex() == "06fdde03"


def test_arguments_that_do_not_fit(lab: Lab):
    for args in ((b"\1" * 20,), (b"\1" * 20, -1), (b"\1" * 19, 1), ("somebody", 1), (None, None)):
        with pytest.raises(BadInput) as caught:
            lab.cash.encode("transfer", *args)
        assert caught.value.code == "evm/word"


def test_a_revert_with_a_code_is_a_rejection_with_facts(lab: Lab):
    nonce = lab.chain.nonce(raw(lab.lender))
    with pytest.raises(Rejected) as caught:
        lab.cash.send(lab.lender, "transfer", raw(lab.buyer), 1)
    assert caught.value.code == "token/balance"
    assert caught.value.facts == {"contract": "CashToken", "function": "transfer"}
    assert lab.chain.nonce(raw(lab.lender)) == nonce
    with pytest.raises(Rejected):
        lab.cash.call("mint", raw(lab.buyer), 1)


def test_a_revert_without_a_code_is_the_chains_refusal(lab: Lab):
    with pytest.raises(Reverted) as caught:
        lab.pledge.call("execute", bytes(32), *[ZERO] * 2, 2**256 - 1, 1, sender=lab.book.address)
    assert caught.value.code == "evm/revert"


def test_no_such_function(lab: Lab):
    with pytest.raises(KeyError):
        lab.cash.encode("redeem", 1)


def test_events_of_others_are_left_out(lab: Lab):
    receipt = lab.cash.send(lab.issuer, "mint", raw(lab.buyer), 1)
    (event,) = lab.contracts.events(receipt.logs)
    assert (event.contract, event.name, event.log) == ("CashToken", "Transfer", receipt.logs[0])
    assert lab.pledge.event(receipt.logs[0]) is None
    foreign = Contract("PriceRounds", address=lab.cash.address, chain=lab.chain)
    assert foreign.event(receipt.logs[0]) is None


def test_a_dishonest_reader_is_not_fooled_by_repr(lab: Lab):
    assert repr(lab.cash) == f"<CashToken 0x{lab.cash.address.hex()}>"


# Deployment

CAP = 10**10
"""Cents: principal that may be in auctions at once."""


def plan(lab: Lab, **changes: object) -> Deployment:
    fields = {
        "cash_name": "Cash",
        "cash_symbol": "CASH",
        "issuer": raw(lab.issuer),
        "registrar": raw(lab.registrar),
        "authority": raw(lab.authority),
        "guardian": raw(lab.guardian),
        "oracles": (raw(lab.oracles[0]),),
        "oracle_quorum": 1,
        "wide_quorum": 1,
        "heartbeat": 60,
        "deviation_bps": 2_000,
        "attestors": (raw(lab.attestors[0]),),
        "attestor_quorum": 1,
        "supply_cap": MAX_MONEY,
        "rotation_delay": 60,
        "auction_cap": CAP,
    } | changes
    return Deployment(**fields)


def test_deployed_contracts_name_each_other(lab: Lab):
    chain: EvmPort = lab.chain
    made = deploy(plan(lab), account=lab.stranger, chain=chain)
    for token in (made.cash, made.pledge):
        assert token.call("book") == made.book.address
        assert token.call("registry") == made.registry.address
        assert token.call("authority") == raw(lab.authority)
    for part in (made.book, made.registry):
        assert part.call("pledge") == made.pledge.address
        assert part.call("cash") == made.cash.address
    assert made.book.call("prices") == made.prices.address
    assert made.book.call("registry") == made.registry.address
    assert made.registry.call("registrar") == raw(lab.registrar)
    addresses = [create_address(raw(lab.stranger), nonce=nonce) for nonce in range(5)]
    assert [part.address for part in made.parts] == addresses
    again = contracts_at(raw(lab.stranger), nonce=0, chain=chain)
    assert [part.name for part in again.parts] == list(CONTRACTS)
    assert [part.address for part in again.parts] == addresses


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("token/signers", {"oracle_quorum": 2}),
        ("token/signers", {"attestors": ()}),
        ("token/not-issuer", {"issuer": ZERO}),
        ("token/not-authority", {"authority": ZERO}),
        ("registry/not-registrar", {"registrar": ZERO}),
        ("mint/cap", {"supply_cap": 0}),
        ("mint/cap", {"supply_cap": MAX_MONEY + 1}),
        ("price/too-old", {"heartbeat": 0}),
        ("price/quorum", {"wide_quorum": 3}),
        ("price/deviation", {"deviation_bps": 0}),
        ("signers/delay", {"rotation_delay": 0}),
    ],
)
def test_a_plan_that_makes_no_sense_deploys_nothing(lab: Lab, code: str, changes):
    with refuses(code):
        deploy(plan(lab, **changes), account=lab.stranger, chain=lab.chain)
    assert lab.chain.nonce(raw(lab.stranger)) == 0


@pytest.mark.parametrize("changes", [{"cash_name": "x" * 33}, {"issuer": b""}, {"heartbeat": -1}])
def test_a_plan_that_cannot_be_written(lab: Lab, changes):
    with pytest.raises((BadInput, Reverted)):
        deploy(plan(lab, **changes), account=lab.stranger, chain=lab.chain)
    assert lab.chain.nonce(raw(lab.stranger)) == 0


def refused(lab: Lab, name: str, *args: object) -> str:
    """The code with which a constructor refuses."""
    with pytest.raises(Reverted) as caught:
        lab.chain.call(to=None, data=creation_code(name, *args), sender=raw(lab.stranger))
    return caught.value.code


def test_a_book_refuses_parts_that_do_not_fit(lab: Lab):
    chain, account = lab.chain, lab.stranger
    parts = [lab.cash, lab.pledge, lab.prices, lab.registry]
    ours = [part.address for part in parts]
    assert refused(lab, "EscrowBook", *ours[:2], ZERO, ours[3], CAP) == "token/receiver"
    # Ours name another book.
    assert refused(lab, "EscrowBook", *ours, CAP) == "token/not-book"
    # These name the book that would be next, and each is in place of a part that fits.
    deploy(plan(lab), account=account, chain=chain)
    book = create_address(raw(account), nonce=9)
    registry, cash, pledge = (create_address(raw(account), nonce=5 + n) for n in range(3))
    rest = raw(lab.authority), registry, book
    attestors = [b"\1" * 20], 1, DAY

    def put(name: str, *args: object) -> bytes:
        code = creation_code(name, *args)
        receipt = chain.send(transaction(account, chain=chain, to=None, data=code, gas=8_000_000))
        assert receipt.contract_address is not None
        return receipt.contract_address

    assert put("Registry", raw(lab.registrar), cash, pledge) == registry
    assert put("CashToken", "Cash", "C", raw(lab.issuer), *rest) == cash
    assert put("PledgeToken", *attestors, *rest, MAX_MONEY) == pledge
    other = put("Registry", raw(lab.registrar), cash, lab.pledge.address)
    prices = lab.prices.address
    assert create_address(raw(account), nonce=chain.nonce(raw(account))) == book
    for bad, code in (
        ((lab.cash.address, pledge, prices, registry), "token/not-book"),
        ((cash, lab.pledge.address, prices, registry), "token/not-book"),
        ((cash, pledge, prices, other), "token/not-registry"),
        ((cash, pledge, prices, lab.registry.address), "token/not-registry"),
    ):
        assert refused(lab, "EscrowBook", *bad, CAP) == code
    assert put("EscrowBook", cash, pledge, prices, registry, CAP) == book


@pytest.mark.parametrize("name", ["CashToken", "PledgeToken"])
def test_a_token_names_an_authority_a_registry_and_a_book_that_is_not_itself(lab: Lab, name: str):
    one, mine = b"\1" * 20, create_address(raw(lab.stranger), nonce=0)

    def code(authority: bytes, registry: bytes, book: bytes) -> str:
        rest = authority, registry, book
        if name == "CashToken":
            return refused(lab, name, "Cash", "C", one, *rest)
        return refused(lab, name, [one], 1, DAY, *rest, MAX_MONEY)

    assert code(ZERO, one, one) == "token/not-authority"
    assert code(one, ZERO, one) == "token/not-registry"
    assert code(one, one, ZERO) == "token/receiver"
    assert code(one, one, mine) == "token/receiver"


def test_a_registry_names_a_registrar_and_two_tokens(lab: Lab):
    one = b"\1" * 20
    assert refused(lab, "Registry", ZERO, one, one) == "registry/not-registrar"
    assert refused(lab, "Registry", one, ZERO, one) == "token/receiver"
    assert refused(lab, "Registry", one, one, ZERO) == "token/receiver"


def test_no_contract_takes_ether(lab: Lab):
    for contract in lab.contracts.parts:
        with pytest.raises(Reverted):
            lab.chain.call(to=contract.address, value=1, sender=raw(lab.issuer))
