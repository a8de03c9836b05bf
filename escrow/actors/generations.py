"""Which addresses a vault has had: the terms name the first, and for each later one borrower and
lender both signed. Every cosigner and every attestor checks that for itself, and that the new
address is the same policy with one key replaced: two stolen EVM keys name no other address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from escrow.adapters.bitcoin.watch import vault_script
from escrow.adapters.evm.typed import Domain, Sig, rekey_signer
from escrow.core.errors import Refused
from escrow.core.terms import Terms
from escrow.custody.policy import ScriptKind
from escrow.ports import EvmView


@dataclass(frozen=True, slots=True)
class Agreement:
    """Borrower and lender agree on a vault's next address."""

    loan: str
    """Whose vault: the loan's id, hex with 0x."""
    program: str
    """Witness program of the new vault, 32 bytes in hex with 0x."""
    generation: int
    """From 1."""
    borrower: Sig
    """EIP-712 signature over the three."""
    lender: Sig
    """The same."""

    def as_words(self) -> list[str]:
        """To be written down."""
        sigs = (f"{s.v}:{s.r.hex()}:{s.s.hex()}" for s in (self.borrower, self.lender))
        return [self.loan, self.program, str(self.generation), *sigs]

    @classmethod
    def from_words(cls, words: Sequence[str]) -> Self:
        """What ``as_words`` wrote. Raises ``ValueError`` or ``TypeError`` for anything else."""
        loan, program, generation, *signed = words
        if len(bytes.fromhex(program[2:])) != 32:
            raise ValueError("not a witness program")
        borrower, lender = (
            Sig(int(v), bytes.fromhex(r), bytes.fromhex(s))
            for v, r, s in (each.split(":") for each in signed)
        )
        return cls(str(loan), str(program), int(generation), borrower, lender)

    @property
    def message(self) -> dict[str, object]:
        """What is signed, by field name."""
        return rekey_message(self.loan, self.program, self.generation)


def rekey_message(loan: str, program: str, generation: int) -> dict[str, object]:
    """What borrower and lender sign, by field name."""
    return {"loan": loan, "vault": program, "generation": generation}


Successors = Callable[[Terms, Sequence[str]], Mapping[str, str]]
"""Terms, and the roles whose keys were replaced so far → each address that the policy gives the
vault with one more key replaced (as ``Agreement.program``), and whose key that is."""


class Generations:
    """One actor's own knowledge of the vaults' addresses."""

    def __init__(
        self, *, kind: ScriptKind, evm: EvmView, domain: Domain, successors: Successors
    ) -> None:
        """``kind`` is what this platform's vaults are locked in; ``domain`` the escrow book's;
        ``successors`` compiles the policy with the parties' public keys."""
        self._kind = kind
        self._evm = evm
        self._domain = domain
        self._successors = successors
        self._known: dict[str, tuple[tuple[str, str], ...]] = {}
        """Loan → program and replaced role of each later generation."""

    def scripts(self, terms: Terms) -> tuple[bytes, ...]:
        """Output scripts of a loan's vault, oldest first: the last is where coins belong."""
        later = (program for program, _ in self._known.get(self._evm.loan_id(terms), ()))
        return tuple(vault_script(each, kind=self._kind) for each in (terms.vault, *later))

    def check(self, agreement: Agreement, *, terms: Terms) -> None:
        """Raises Refused: "rekey/generation" for another loan or out of turn, "rekey/signature"
        unless borrower and lender of these terms signed exactly this, "rekey/vault" unless it is
        this policy's vault with one key replaced."""
        self._role_of(agreement, terms=terms)

    def agree(self, agreement: Agreement, *, terms: Terms) -> None:
        """Take up what was agreed. Raises as ``check``."""
        role = self._role_of(agreement, terms=terms)
        known = self._known.get(agreement.loan, ())
        self._known[agreement.loan] = (*known, (agreement.program, role))

    def _role_of(self, agreement: Agreement, *, terms: Terms) -> str:
        """Whose key the agreement replaces, if it is good."""
        known = self._known.get(agreement.loan, ())
        generation = agreement.generation
        if self._evm.loan_id(terms) != agreement.loan or generation != len(known) + 1:
            raise Refused("rekey/generation", generation=generation)
        if agreement.program in (terms.vault, *(program for program, _ in known)):
            raise Refused("rekey/generation", generation=generation, reason="used before")
        for party, signature in (
            (terms.borrower, agreement.borrower),
            (terms.lender, agreement.lender),
        ):
            signer = rekey_signer(agreement.message, signature, domain=self._domain)
            if signer != bytes.fromhex(party[2:]):
                raise Refused("rekey/signature", party=party, generation=generation)
        role = self._successors(terms, [role for _, role in known]).get(agreement.program)
        if role is None:
            raise Refused("rekey/vault", generation=generation, program=agreement.program)
        return role
