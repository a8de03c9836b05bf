"""Hardware tokens prove that they can move a vault's coins (BIP-322)."""

from __future__ import annotations

import pytest
from sign_lab import AT, PIN, WRONG, token

from escrow.actors.signers import TokenSigner
from escrow.adapters.bitcoin.bip322 import check_proof, is_proof, proof_of, to_sign
from escrow.adapters.bitcoin.keys import VaultKey
from escrow.adapters.bitcoin.psbt import Psbt, combine
from escrow.adapters.bitcoin.vault import compile_vault
from escrow.adapters.sign.softhsm import SoftHsm
from escrow.core.errors import EscrowError, Refused
from escrow.custody.read import load_policy

MESSAGE = "coins and claims as in sha256 00ff"
ROLES = ("officer-1", "officer-2", "safe")


def test_two_tokens_prove_and_know_what_they_sign(shared: SoftHsm):
    tokens = {role: token(shared, role) for role in ROLES}
    keys = {role: VaultKey.single(made.pubkey) for role, made in tokens.items()}
    vault = compile_vault(load_policy("bank-token"), keys=keys, moments={})
    unsigned = to_sign(MESSAGE, owner=vault)

    def check(psbt: Psbt) -> None:
        if not is_proof(psbt, message=MESSAGE, script=vault.script_pubkey):
            raise Refused("reserves/signature")

    first, second = (TokenSigner(tokens[role], ask_pin=lambda: PIN) for role in ROLES[:2])
    assert first.describe(unsigned) == (
        f"Message for {vault.address}: {MESSAGE}\nspends no coin (BIP-322)"
    )
    with pytest.raises(EscrowError, match="hsm/pin"):
        TokenSigner(tokens["safe"], ask_pin=lambda: WRONG).sign(unsigned, check=check, at=AT)
    with pytest.raises(Refused, match="reserves/signature"):
        first.sign(to_sign("another", owner=vault), check=check, at=AT)
    copies = [each.sign(unsigned, check=check, at=AT) for each in (first, second)]
    with pytest.raises(Refused, match="psbt/incomplete"):
        proof_of(copies[0])
    check_proof(proof_of(combine(copies)), message=MESSAGE, address=vault.address)
    assert MESSAGE in first.log.entries[-1].words
