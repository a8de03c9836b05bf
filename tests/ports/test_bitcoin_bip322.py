"""BIP-322: a vault's signers sign a message, and only that."""

from __future__ import annotations

import base64

import pytest
from bitcoin_lab import (
    BORROWER,
    CUSTODIAN,
    LENDER,
    START,
    STRANGER,
    deposit,
    draft,
    make_vault,
    party,
    ripe,
)
from btclib.script.witness import Witness
from btclib.tx import Tx
from btclib_wallet import bip322 as library
from btclib_wallet.bip32.bip32 import rootxprv_from_seed_
from btclib_wallet.descriptors import add_checksum, parse
from hypothesis import given
from hypothesis import strategies as st

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.bip322 import (
    MAX_MESSAGE,
    check_proof,
    descriptor_script,
    is_proof,
    message_of,
    proof_of,
    to_sign,
)
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.vault import address_of, compile_vault
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import DAY, Seconds
from escrow.custody.policy import Moment
from escrow.custody.read import load_policy

WIF = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA"
XPRV = rootxprv_from_seed_(b"0" * 32, bytes.fromhex("04358394")).b58encode()
MESSAGE = "reserves of 2 vaults at block 00ff"
VAULT = make_vault()


def proof(*signers, message=MESSAGE, vault=VAULT) -> str:
    unsigned = to_sign(message, owner=vault)
    signed = [psbt.sign(Psbt.parse(str(unsigned)), keys=keys) for keys in signers]
    return proof_of(psbt.combine(signed))


GOOD = proof(LENDER, CUSTODIAN)


@pytest.mark.parametrize(
    "signers", [(LENDER, CUSTODIAN), (BORROWER, LENDER), (CUSTODIAN, BORROWER)], ids=str
)
def test_any_quorum_proves(signers):
    check_proof(proof(*signers), message=MESSAGE, address=VAULT.address)


def test_a_wallet_proves():
    key = LENDER.wallet_key()
    signed = psbt.sign(to_sign(MESSAGE, owner=key), keys=LENDER)
    address = address_of(key.script_pubkey)
    check_proof(proof_of(signed), message=MESSAGE, address=address)
    with pytest.raises(Refused, match="reserves/signature"):
        check_proof(proof_of(signed), message=MESSAGE, address=VAULT.address)


def test_one_signer_proves_nothing():
    with pytest.raises(Refused, match="psbt/incomplete"):
        proof(LENDER)


def test_a_stranger_cannot_take_part():
    with pytest.raises(Refused, match="psbt/no-key"):
        proof(LENDER, STRANGER)


@pytest.mark.parametrize(
    "name", ["two-of-three", "two-of-three-recovery", "three-of-five", "liana-style"]
)
def test_vaults_of_other_policies_prove(name):
    policy = load_policy(name)
    parties = {role.name: role.holder for role in policy.roles}
    keys = {name: party(f"{holder}/{name}") for name, holder in parties.items()}
    vault = compile_vault(
        policy,
        keys={name: each.vault_key() for name, each in keys.items()},
        moments={
            Moment.DEFAULT: Seconds(START + 300 * DAY),
            Moment.RECOVERY: Seconds(START + 365 * DAY),
        },
    )
    first = policy.paths[0]
    signers = [keys[role] for role in first.roles[: first.threshold]]
    check_proof(proof(*signers, vault=vault), message=MESSAGE, address=vault.address)
    with pytest.raises(Refused, match="psbt/incomplete"):
        proof(*signers[1:], vault=vault)


def test_another_message_or_vault_is_not_proven():
    other = make_vault(1)
    for message, address in ((MESSAGE + " ", VAULT.address), (MESSAGE, other.address)):
        with pytest.raises(Refused, match="reserves/signature"):
            check_proof(GOOD, message=message, address=address)


def test_the_recovery_key_proves_nothing_before_its_time():
    """BIP-322 would take a full proof with a lock time: the borrower's word, and no quorum's."""
    spend = library.to_spend(MESSAGE.encode(), VAULT.script_pubkey)
    tx = library.to_sign(spend, version=2, lock_time=VAULT.recover_after, sequence=0xFFFFFFFE)
    inner = psbt.Psbt.parse(str(to_sign(MESSAGE, owner=VAULT)))._inner
    inner = type(inner).from_tx(tx)
    described = psbt.update(
        Psbt(inner), owner=VAULT, prev_txs=[spend.serialize(include_witness=True)]
    )
    done = psbt.finalize(psbt.sign(described, keys=BORROWER))
    full = library.Sig(Tx.parse(psbt.extract(done))).b64encode()
    assert library.verify(MESSAGE.encode(), VAULT.address, full)  # so the refusal below is ours
    with pytest.raises(Refused, match="reserves/signature"):
        check_proof(full, message=MESSAGE, address=VAULT.address)


def test_a_proof_is_told_from_a_spend():
    """Else a cosigner that signs proofs could be handed a spend, or another message."""
    unsigned = to_sign(MESSAGE, owner=VAULT)
    assert is_proof(unsigned, message=MESSAGE, script=VAULT.script_pubkey)
    assert not is_proof(unsigned, message="another", script=VAULT.script_pubkey)
    assert not is_proof(unsigned, message=MESSAGE, script=make_vault(1).script_pubkey)
    with ripe() as node:
        coin = deposit(node, VAULT)
        real = draft(node, VAULT, [coin])
    assert not is_proof(real, message=MESSAGE, script=VAULT.script_pubkey)
    assert message_of(real) is None
    real._inner.signed_message = MESSAGE.encode()
    assert message_of(real) is None
    assert not is_proof(real, message=MESSAGE, script=VAULT.script_pubkey)


def test_a_proof_that_names_another_message_is_none():
    lying = Psbt.parse(str(to_sign(MESSAGE, owner=VAULT)))
    lying._inner.signed_message = b"nothing to see here"
    assert not is_proof(lying, message=MESSAGE, script=VAULT.script_pubkey)


def test_a_signer_is_shown_the_message():
    unsigned = to_sign(MESSAGE, owner=VAULT)
    assert message_of(Psbt.parse(str(unsigned))) == MESSAGE
    for said in (b"nothing to see here", b"\xff", b"", None):
        lying = Psbt.parse(str(unsigned))
        lying._inner.signed_message = said
        assert message_of(lying) is None


def test_no_chain_takes_a_proof():
    unsigned = to_sign(MESSAGE, owner=VAULT)
    signed = [psbt.sign(unsigned, keys=keys) for keys in (LENDER, CUSTODIAN)]
    raw = psbt.extract(psbt.finalize(psbt.combine(signed)))
    with ripe() as node, pytest.raises(Refused) as refusal:
        node.broadcast(raw)
    assert refusal.value.code in ("bitcoin/policy", "bitcoin/missing-input")


@pytest.mark.parametrize("message", ["", "x" * (MAX_MESSAGE + 1), "\ud800"])
def test_messages_that_nobody_signs(message):
    with pytest.raises(BadInput, match="reserves/format"):
        to_sign(message, owner=VAULT)
    with pytest.raises(BadInput, match="reserves/format"):
        check_proof(GOOD, message=message, address=VAULT.address)
    check_proof(
        proof(LENDER, CUSTODIAN, message="x" * MAX_MESSAGE),
        message="x" * MAX_MESSAGE,
        address=VAULT.address,
    )


@pytest.mark.parametrize("address", ["", "bcrt1q", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "é" * 9])
def test_addresses_that_cannot_be_read(address):
    with pytest.raises(BadInput, match="reserves/format"):
        check_proof(GOOD, message=MESSAGE, address=address)


def test_a_signature_for_part_of_the_transaction_is_refused():
    """BIP-322 asks for SIGHASH_ALL."""
    witness = library.Sig.b64decode(GOOD).payload
    stack = list(witness.stack)
    stack[1] = stack[1][:-1] + b"\x02"
    bent = library.Sig(Witness(stack)).b64encode()
    with pytest.raises(Refused, match="reserves/signature"):
        check_proof(bent, message=MESSAGE, address=VAULT.address)


@given(
    st.one_of(
        st.text(max_size=200),
        st.binary(max_size=200).map(lambda b: "smp" + base64.b64encode(b).decode()),
    )
)
def test_garbage_is_refused_by_name(text):
    with pytest.raises(EscrowError) as refusal:
        check_proof(text, message=MESSAGE, address=VAULT.address)
    assert refusal.value.code in ("reserves/format", "reserves/signature")


@given(at=st.integers(0, len(GOOD) - 1), by=st.characters(min_codepoint=33, max_codepoint=126))
def test_a_changed_letter_breaks_it(at, by):
    bent = GOOD[:at] + by + GOOD[at + 1 :]
    if bent == GOOD:
        return
    with pytest.raises(EscrowError) as refusal:
        check_proof(bent, message=MESSAGE, address=VAULT.address)
    assert refusal.value.code in ("reserves/format", "reserves/signature")


def test_a_descriptor_is_its_vaults_script():
    assert descriptor_script(VAULT.descriptor) == VAULT.script_pubkey
    key = VAULT.keys["lender"].expression
    ranged = add_checksum(f"wpkh({key.rpartition('/')[0]}/*)")
    nested = "wsh(" + "or_i(" * 300 + "0" + ",0)" * 300 + ")"
    bare = VAULT.descriptor.partition("#")[0]
    for bad in ("", bare, ranged, nested, VAULT.descriptor[:-1] + "!", bare + "#" + "q" * 8):
        with pytest.raises(BadInput, match="reserves/format"):
            descriptor_script(bad)


@pytest.mark.parametrize("secret", [WIF, XPRV])
def test_a_private_key_is_refused_and_not_repeated(secret):
    text = f"wpkh({secret})"
    assert parse(text, network="regtest")  # so the refusal below is ours
    with pytest.raises(BadInput, match="reserves/format") as refusal:
        descriptor_script(add_checksum(text))
    assert secret[:9] not in str(refusal.value)
    assert refusal.value.__suppress_context__


@given(st.one_of(st.text(max_size=200), st.text("wshtrpkh()#,{}0123456789abcdef[]/", max_size=200)))
def test_descriptors_of_garbage(text):
    with pytest.raises(BadInput, match="reserves/format"):
        descriptor_script(text)
