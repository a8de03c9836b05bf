"""What the core knows nothing of: signatures, who may call the tokens, what a replay is, accounts
that are suspended or frozen. The contracts alone must refuse it, each with its one code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from both_lab import SCRIPT, Difference, raw, sign

from escrow.adapters.evm import typed
from escrow.adapters.evm.client import terms_mapping
from escrow.core.errors import Rejected
from escrow.core.terms import NEW
from escrow.core.units import COIN

if TYPE_CHECKING:
    from both_lab import Both

Attempt = tuple[str, str, str, tuple[Any, ...]]
"""Who, which contract, which function, with what."""


def _forged_open(both: Both) -> Attempt:
    sigs = both.signed_terms(both.terms, "borrower", "stranger")
    return "stranger", "book", "open", (both.book_terms, *sigs)


def _used_terms(both: Both) -> Attempt:
    """The terms in force, which refinanced the loan, once more."""
    words, sigs = both.book_terms, both.signed_terms(both.terms)
    return "stranger", "book", "refinance", (words, words, *sigs)


def _replayed_burn(both: Both) -> Attempt:
    request = both.lab.words.burns_of(raw(both.lab.people["borrower"])) - 1
    return "borrower", "pledge", "burn", (both.loan, 10_000, SCRIPT, request)


def _mint(both: Both, *signers: Any) -> Attempt:
    message = {
        "loan": both.loan,
        "holder": raw(both.lab.people["borrower"]),
        "txid": b"\xfe" * 32,
        "vout": 0,
        "sats": COIN,
        "reserves": 100 * COIN,
        "seen_at": both.now,
        "bitcoin_block": bytes(32),
    }
    domain = both.lab.contracts.pledge.domain
    sigs = [sign(who, struct=typed.ATTESTATION, message=message, domain=domain) for who in signers]
    return "stranger", "pledge", "mint", (typed.ATTESTATION.values(message), sigs)


def _post(both: Both, *signers: Any) -> Attempt:
    last = both.state.system.price
    message = {"round": (last.round if last else 0) + 1, "price": 10**12, "at": both.now}
    domain = both.lab.contracts.prices.domain
    reports = [
        (10**12, sign(who, struct=typed.PRICE, message=message, domain=domain)) for who in signers
    ]
    return "stranger", "prices", "post", (message["round"], both.now, reports)


def _spend_pledged(both: Both) -> Attempt:
    all_of_it = both.tokens["borrower"] + both.state.token.held
    return "borrower", "pledge", "transfer", (raw(both.lab.people["buyer"]), all_of_it)


def _other_terms(both: Both, **changes: object) -> Attempt:
    mapping = terms_mapping(both.terms) | {"nonce": 77} | changes
    return "borrower", "book", "repay", (typed.encode_terms(mapping), 1)


ATTEMPTS: dict[str, tuple[str, Callable[[Both], Attempt]]] = {
    "open forged": ("open/bad-signature", _forged_open),
    "terms used": ("refinance/used", _used_terms),
    "terms of nobody": ("loan/unknown", lambda both: _other_terms(both, origin=NEW)),
    "terms not in force": ("loan/terms", _other_terms),
    "burn replayed": ("burn/replayed", _replayed_burn),
    "one attestor": ("mint/too-few-signers", lambda b: _mint(b, b.lab.attestors[0])),
    "attestor twice": ("mint/duplicate-signer", lambda b: _mint(b, *2 * b.lab.attestors[:1])),
    "no attestor": ("mint/stranger", lambda b: _mint(b, b.lab.attestors[0], b.lab.guardian)),
    "oracle twice": ("price/duplicate-signer", lambda b: _post(b, *3 * b.lab.oracles[:1])),
    "no oracle": ("price/stranger", lambda b: _post(b, b.lab.guardian)),
    "pledged spent": ("token/held", _spend_pledged),
    "tokens held": (
        "token/not-book",
        lambda b: ("buyer", "pledge", "hold", (b.loan, raw(b.lab.people["borrower"]), 1)),
    ),
    "tokens released": (
        "token/not-book",
        lambda b: ("borrower", "pledge", "release", (b.loan, raw(b.lab.people["borrower"]), 1)),
    ),
    "lender suspended": (
        "token/cannot-send",
        lambda b: ("borrower", "book", "draw", (b.book_terms, 1)),
    ),
    "lender frozen": ("token/frozen", lambda b: ("borrower", "book", "draw", (b.book_terms, 1))),
    "cash settled": (
        "token/not-book",
        lambda b: (
            *("stranger", "cash", "settle"),
            (raw(b.lab.people["lender"]), raw(b.lab.people["stranger"]), 1),
        ),
    ),
}


def attempt(both: Both, name: str) -> None:
    """It is refused as it must be, and nothing has changed."""
    expected, make = ATTEMPTS[name]
    who, contract, function, args = make(both)
    both.steps += 1
    code = ""
    try:
        both.lab.send(both.lab.people[who], getattr(both.lab.contracts, contract), function, *args)
    except Rejected as refusal:
        code = refusal.code
    if code != expected:
        raise Difference("verdict", f"{name}: {expected} is due, contract {code or 'yes'}")
    both.compare()


def suspend(both: Both, name: str) -> None:
    """The registry takes somebody's rights away."""
    lab = both.lab
    lab.send(lab.platform, lab.contracts.registry, "suspend", [raw(lab.people[name])])
    both.compare()


def freeze(both: Both, name: str) -> None:
    """The authority freezes all cash of somebody."""
    lab = both.lab
    args = raw(lab.people[name]), both.cash[name]
    lab.send(lab.platform, lab.contracts.cash, "setFrozenTokens", *args)
    both.compare()
