"""Every way this project says no.

An error is a promise: a stable code ``area/reason`` and the facts it was decided on.
The catalogue below is the closed list; a code that is not in it cannot be raised. The
contracts revert with the same codes, and the adapters add no words of their own.

``EscrowError``
    ``Rejected``   the rules refuse an ask (core and contracts)
    ``Refused``    a chain, a node's policy or a cosigner refuses
    ``BadInput``   what was given cannot be read or makes no sense
"""

from __future__ import annotations

from typing import Final

CODES: Final[dict[str, str]] = {
    # --- terms: what two sides may sign ---
    "terms/ltv-order": "loan-to-value levels must satisfy 0 < initial < restore and call order < 1",
    "terms/time-order": "times must be ordered: expiry, draw window, maturity, grace, recovery",
    "terms/size": "an amount is outside the bounds of a loan",
    "terms/rate": "the interest rate is negative or absurd",
    "terms/parties": "borrower and lender must be two different addresses",
    "terms/vault": "the terms name a vault that is not these parties' own",
    # --- the clock and the price ---
    "clock/backwards": "time never goes back",
    "price/not-oracle": "only the oracle posts prices",
    "price/too-few-signers": "fewer oracle signatures than the quorum",
    "price/stranger": "a signature that is not from an oracle of the set",
    "price/duplicate-signer": "one oracle signed twice",
    "price/from-future": "the price is dated after the present",
    "price/too-old": "the price is older than the heartbeat when it arrives",
    "price/not-newer": "the price is not newer than the last one",
    "price/round": "the round does not follow the last one",
    "price/range": "the price is zero, negative or absurd",
    "price/stale": "the last price is older than the heartbeat, so the rule will not use it",
    # --- who and when ---
    "loan/unknown": "no such loan",
    "loan/exists": "this loan was opened before",
    "loan/amount": "the amount is zero or too large",
    "tick/not-watcher": "only the watcher tells the time",
    "lapse/not-watcher": "only the watcher lets an offer lapse",
    "offer/not-lender": "only the lender offers",
    "offer/already-offered": "these terms were offered before",
    "offer/expired": "the offer would be expired already",
    "accept/not-borrower": "only the borrower accepts",
    "accept/not-offered": "there is no open offer to accept",
    "accept/expired": "the offer has expired",
    "open/not-accepted": "the terms were not accepted by both sides",
    "open/expired": "the terms expired before they were opened on the EVM",
    "open/bad-signature": "a signature over the terms is not the named party's",
    "cancel/not-party": "only a party may cancel",
    "cancel/too-late": "what has been drawn cannot be cancelled",
    "cancel/draw-window": "until the draw window ends only the borrower may cancel",
    "pledge/unknown-coin": "this outpoint is not in the vault",
    "pledge/late": "a coin reached the vault when the loan takes none; it goes back by a burn",
    "pledge/below-minimum": "a coin too small to mint; it waits for the recovery path",
    "pledge/not-watcher": "only what the watcher sees on Bitcoin counts",
    "pledge/not-confirmed": "the coin is not final",
    "pledge/spent": "the coin was spent before",
    "mint/not-attestor": "only attested coins are minted",
    "mint/too-few-signers": "fewer attestor signatures than the quorum",
    "mint/stranger": "a signature that is not from an attestor of the set",
    "mint/duplicate-signer": "one attestor signed twice",
    "mint/replayed": "this outpoint was minted before",
    "mint/from-future": "the reserves were seen after the present",
    "mint/expired": "the attestation has expired, or its look at the reserves is too old",
    "mint/amount": "the amount is not the coin's, or outside minimum deposit and 21 million BTC",
    "top-up/not-borrower": "only the borrower pledges tokens to the loan",
    "top-up/not-live": "the loan takes no more collateral",
    "top-up/no-tokens": "fewer free tokens of this vault than asked",
    "draw/not-borrower": "only the borrower draws",
    "draw/not-open": "the loan is not open for drawing",
    "draw/window-closed": "the draw window has ended",
    "draw/above-principal": "more than the principal agreed",
    "draw/above-initial-ltv": "the loan-to-value after the draw would exceed the initial level",
    "repay/no-debt": "nothing is owed",
    "call/not-active": "only an active loan can be called",
    "call/healthy": "the loan-to-value is below the call level",
    "cure/not-called": "no margin call is open",
    "cure/not-restored": "the loan-to-value is above the restore level",
    "expire/not-called": "no margin call is open",
    "expire/cure-time": "the cure time has not passed",
    "expire/healthy": "the loan-to-value is below the call level again",
    "liquidate/not-live": "there is nothing to liquidate",
    "liquidate/not-lender": "under these terms only the lender takes the coins",
    "liquidate/self": "a borrower does not liquidate itself",
    "liquidate/healthy": "no level is breached, no call expired, and the loan is not in default",
    "liquidate/kind": "the terms chose another way of liquidation",
    "burn/no-tokens": "fewer free tokens of this vault than asked",
    "burn/dust": "fewer sats than the smallest burn",
    "burn/destination": "the destination is not a standard output script",
    "payout/unknown": "no such payout",
    "payout/fee": "the fee is above the bound of the terms",
    "payout/not-burned": "no burn entitles this output",
    "payout/not-locked": "the spend takes a coin that is not final in the vault",
    "payout/replacement": "a replacement that leaves a burn out, or pays the miner no more",
    "payout/settled": "tokens were minted or retired for its change: it cannot be undone",
    "payout/unbalanced": "inputs do not equal outputs and fee",
    "retire/not-lost": "the coin is not lost, or no tokens of this loan stand on it",
    "retire/replayed": "this outpoint was retired before",
    "retire/insufficient": "the holder has fewer tokens than the lost coin backed",
    "recover/too-early": "the recovery time has not come",
    "recover/not-live": "the loan has ended",
    "recover/held": "tokens are still pledged to the loan",
    # --- tokens on the EVM ---
    "token/balance": "the balance is too small",
    "token/allowance": "the allowance is too small",
    "token/receiver": "this address cannot hold the token",
    "token/not-issuer": "only the issuer mints cash",
    "token/not-book": "only the escrow book moves pledged tokens",
    "token/signature": "a signature is malformed or malleable",
    "token/signers": "a set has 1 to 15 distinct signers, and a quorum from one to their number",
    "evm/revert": "the contract reverted without a known code",
    "evm/contract": "no contract of this name",
    "evm/depth": "calls nest deeper than Python's stack allows here",
    "evm/nonce": "the transaction's nonce is not the account's next",
    "evm/funds": "the account cannot pay for the transaction",
    "evm/gas": "the gas limit is too low or above the block's",
    "evm/transaction": "the transaction cannot be read",
    "evm/time": "the block time does not follow its parent's",
    "evm/snapshot": "no such snapshot",
    "evm/fee": "the fee per gas is below the base fee, or the tip above it",
    "evm/address": "an address is 20 bytes",
    "evm/word": "a word is an integer from 0 to 2**256 - 1",
    "evm/block": "no such block",
    "evm/logs": "more logs match than one answer carries",
    "evm/cursor": "the cursor points behind the last log",
    "evm/chain-id": "the chain id must be an integer from 1 to 2**53 - 1",
    # --- Bitcoin ---
    "bitcoin/block": "the kernel refused the block",
    "bitcoin/transaction": "the transaction cannot be read",
    "bitcoin/policy": "the transaction is not standard",
    "bitcoin/script": "a script or signature is wrong",
    "bitcoin/missing-input": "an input is unknown or spent",
    "bitcoin/conflict": "another transaction in the mempool spends the same coin",
    "bitcoin/replace": "it pays more than what it would push out, and still may not replace it",
    "bitcoin/immature": "the coinbase is not mature",
    "bitcoin/non-final": "a time lock has not passed",
    "bitcoin/fee": "the fee is below the floor or absurdly high",
    "bitcoin/dust": "an output is below dust",
    "bitcoin/amount": "inputs are smaller than outputs, or an amount is out of range",
    "bitcoin/address": "the address is malformed or of another network",
    "bitcoin/reorg": "the reorganisation is deeper than the chain",
    "bitcoin/funds": "the wallet has too few confirmed coins",
    "bitcoin/datadir": "the data directory is in use or not a chain",
    "bitcoin/key": "a key or seed is malformed, private, of another network or given twice",
    "psbt/format": "the PSBT cannot be read",
    "psbt/foreign-signature": "a signature by a key that is not in the vault",
    "psbt/bad-signature": "a signature that does not verify",
    "psbt/altered": "the unsigned transaction was changed",
    "psbt/no-key": "this signer holds none of the keys that the inputs name",
    "psbt/incomplete": "too few signatures to finalise",
    "psbt/duplicate": "two signatures by one key that differ",
    "psbt/stale": "signatures for an older transaction, or for a coin that is gone",
    "psbt/sighash": "a signature that does not commit to the whole transaction",
    "psbt/version": "this role works on another PSBT version",
    "psbt/too-large": "the PSBT is larger than any that could be relayed",
    "psbt/missing-file": "the PSBT file is not there",
    "psbt/write": "the PSBT could not be written",
    "psbt/path": "no such spending path, or not one that this PSBT takes",
    "musig/nonce": "no secret nonce for this session, or it was used before",
    "musig/partial": "a partial signature or public nonce that is not its signer's",
    # --- signers ---
    "signer/mnemonic": "the words are not a BIP-39 mnemonic",
    "signer/destroyed": "the ephemeral key has signed and was destroyed",
    "signer/audit": "the audit log was altered, or cannot be written",
    "signer/file": "the signed file did not come back, or is not the one that was handed out",
    "hsm/missing": "no PKCS#11 library or no such token",
    "hsm/pin": "the PIN is wrong",
    "hsm/locked": "the token is locked: too many wrong PINs",
    "hsm/unblock": "the administrator's PIN is wrong, or the token is not locked",
    "hsm/key": "no such key in the token, or one that could leave it",
    "hsm/limit": "the token has signed as much as it may in this period",
    "hsm/lost": "the token is gone",
    "hsm/failed": "the token did not do what it was asked",
    # --- proof of reserves ---
    "reserves/format": "the proof cannot be read",
    "reserves/missing-file": "the proof is not there",
    "reserves/write": "the proof could not be written",
    "reserves/signature": "a proof of control does not verify",
    "reserves/altered": "the proof was changed, or speaks of other coins than it shows",
    "reserves/stale": "the statement is older than the verifier accepts",
    "reserves/short": "the coins do not cover the tokens",
    "reserves/block": "the block is not in the chain, or not the one named",
    "mint/reserves": "the mint would exceed the reserves that the quorum stated",
    # --- outside interfaces ---
    "http/path": "no such resource",
    "http/method": "this resource does not take this method",
    "http/too-large": "the request is too large",
    "http/value": "a value in the request is malformed or out of range",
    "http/unknown": "no such block, transaction or address history",
    "http/host": "the request names another host, or comes from another site's page",
    "http/address": "the address to listen on is malformed or in use",
    "rpc/unreachable": "the node does not answer",
    "rpc/refused": "the node refused the call",
    "extra/missing": "an optional part is not installed",
    # --- input ---
    "cosigner/loan-state": "the loan's state on the EVM does not entitle this spend",
    "cosigner/destination": "an output pays a script that no burn names",
    "cosigner/amount": "an output pays more than was burned for it, or was paid already",
    "cosigner/fee": "the fee is above the bound of the terms",
    "cosigner/input": "an input is not a final coin of this vault",
    "cosigner/change": "what stays in the vault would not cover the tokens outstanding",
    "cosigner/sequence": "an input's sequence is final, so that the spend could not be bumped",
    "cosigner/burn": "the burn is in no block yet that counts",
    "cosigner/price": "the seizure relied on no fresh price at which the loan was in breach",
    "cosigner/early": "a time lock of the spend has not passed on Bitcoin's own clock",
    "cosigner/absent": "the cosigner does not answer",
    "attestor/not-final": "the coin has too few confirmations to attest",
    "attestor/not-vault": "the coin does not pay this loan's vault",
    "attestor/amount": "not what was lost, nor all the tokens that are left",
    "attestor/not-lost": "the coin is still there",
    "attestor/change": "the coin came back from a payout, so its tokens exist already",
    "attestor/supply": "the coins in the vault would not cover the tokens",
    "attestor/time": "the moment named is not the attestor's own present",
    # --- custody policies ---
    "policy/unknown": "no such custody policy",
    "policy/missing-file": "the policy file is not there",
    "policy/format": "the policy file is not TOML, or too large",
    "policy/unknown-key": "a key that policies do not have",
    "policy/missing-key": "a key is missing",
    "policy/value": "a value of the wrong type or range",
    "policy/keyless": "a path that needs nobody's signature: anyone could take the coins",
    "policy/sole-control": "one holder alone could take the coins before the loan is over",
    "policy/strands": "one loss would leave no way out for the coins",
    "policy/key-kind": "a key that cannot sign for this path",
    "policy/script": "the policy does not compile to a sane script",
    # --- discreet log contracts ---
    "dlc/format": "a contract, announcement or attestation that cannot be read or built",
    "dlc/outcome": "no such outcome, or not the one that the oracle attested",
    "dlc/attested": "the oracle has attested this event with another outcome",
    "dlc/signature": "a signature of a party or oracle of the contract that does not verify",
    # --- input ---
    "input/amount": "the amount cannot be read, is not positive or has too many decimals",
    "input/unknown-party": "no such party",
    "input/time": "a time that cannot be read or is out of range",
    "input/seed": "the seed must be an integer from 0 to 2**64 - 1",
    "scene/unknown": "no such scene",
    "scenario/format": "the scenario file is not TOML",
    "scenario/missing-file": "the file is not there",
    "scenario/unknown-key": "a key that scenarios do not have",
    "scenario/missing-key": "a key is missing",
    "scenario/value": "a value of the wrong type or range",
    "prices/missing-file": "the price file is not there",
    "prices/format": "the price file cannot be read",
    "prices/columns": "the price file lacks the expected columns",
    "prices/order": "times are not strictly increasing",
    "prices/value": "a price is zero, negative, not a number or absurd",
    "prices/empty": "no prices in the range asked",
    "prices/gap": "a price is missing at a time that the run needs",
    "world/format": "the file is not a saved world of this version",
    "world/tampered": "the log's hash chain or a chain's data does not match",
    "world/closed": "this world was closed",
    "log/version": "another writer appended first",
    "log/write": "the log or the world's file cannot be written; nothing was",
    "export/write": "the evidence could not be written",
    "export/exists": "the output folder is not empty",
}
"""Code → what it means, one English phrase each."""


class EscrowError(Exception):
    """Base of every expected refusal: a stable ``code`` and the ``facts`` behind it."""

    def __init__(self, code: str, **facts: int | str) -> None:
        assert code in CODES, f"{code} is not in the catalogue"
        self.code = code
        self.facts = facts
        super().__init__(code)

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.code}: {CODES[self.code]}" + (f" ({shown})" if shown else "")


class Rejected(EscrowError):
    """The rules refuse an ask. Ordinary; the state is unchanged."""


class Refused(EscrowError):
    """A chain, a node's policy or a cosigner refuses. Nothing was done."""


class BadInput(EscrowError):
    """What was given cannot be read or makes no sense. Nothing was done."""
