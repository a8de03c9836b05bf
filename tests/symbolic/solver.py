"""The solver that halmos asks: bitwuzla, once what checked arithmetic makes hard is rewritten.

    python solver.py QUERY.smt2

Vyper checks each product by dividing it again, ``x * y / y == x``, and no SMT solver decides that
on 256 bits in time. Where upper bounds of the factors show that the product fits into 256 bits it
is a theorem, so the quotient is rewritten to ``0 if y == 0 else x``. A product with a truth value,
as Vyper takes a minimum, is a choice. Products are put in one order, so that equal products look
equal.
All of that holds for all values: a query keeps its verdict and its models.

bitwuzla, because yices 2.6.4, which halmos asks by default, called such a query satisfiable that is
not, with a model that does not satisfy it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import bitwuzla

Term = str | tuple["Term", ...]
"""An atom, or an application: interned, so that equal terms are one object."""

TOKEN = re.compile(r"[()]|[^\s()|;]+|\|[^|]*\||;[^\n]*")
WORD = 2**256
MUL, DIV = "f_evm_bvmul_256", "f_evm_bvudiv_256"
"""halmos' names for a product and a quotient of two unknowns (EVM: by zero is zero)."""


def forms(text: str) -> Iterator[Term]:
    """The s-expressions of a file."""
    stack: list[list[Term]] = [[]]
    for token in TOKEN.findall(text):
        if token[0] == ";":
            continue
        if token == "(":
            stack.append([])
        elif token == ")":
            done = tuple(stack.pop())
            stack[-1].append(done)
        else:
            stack[-1].append(token)
        if len(stack) == 1 and stack[0]:
            yield stack[0].pop()


class Query:
    """Assertions without ``let``, each equal term once."""

    def __init__(self, text: str) -> None:
        self.interned: dict[Term, Term] = {}
        self.number: dict[Term | int, int] = {}
        self.rest: list[Term] = []
        self.asserted: list[Term] = []
        for form in forms(text):
            if form[0] == "assert":
                self.asserted.append(self.flat(form[1], {}))
            else:
                self.rest.append(form)
        self.most: dict[Term, int] = {}
        self.not_above: set[tuple[int, int]] = set()
        self.done: dict[int, Term] = {}
        self.bounds: dict[int, int] = {}
        self.divides: dict[int, bool] = {}
        for term in self.asserted:
            self.learn(term)

    def make(self, *parts: Term) -> Term:
        return self.interned.setdefault(parts, parts)

    def word(self, value: int) -> Term:
        return self.make("_", f"bv{value}", "256")

    def place(self, term: Term) -> int:
        """Of a term in the order in which this query's terms were met; equal terms share it."""
        key = term if isinstance(term, str) else id(term)
        return self.number.setdefault(key, len(self.number))

    def flat(self, term: Term, names: dict[Term, Term]) -> Term:
        """``let`` resolved."""
        while not isinstance(term, str) and term[0] == "let":
            names = names | {name: self.flat(value, names) for name, value in term[1]}
            term = term[2]
        if isinstance(term, str):
            return names.get(term, term)
        return self.make(*(self.flat(part, names) for part in term))

    # What is known of sizes

    def learn(self, term: Term) -> None:
        """Upper bounds that an assertion states. Only of what is never rewritten: no division."""
        if isinstance(term, str) or self.has_division(term):
            return
        match term:
            case ("and", *parts):
                for part in parts:
                    self.learn(part)
            case ("bvule", low, high):
                self.not_above.add((self.place(bare(low)), self.place(bare(high))))
                if (value := constant(high)) is not None:
                    self.bound(low, value)
            case ("not", ("bvule", high, low)):
                self.not_above.add((self.place(bare(low)), self.place(bare(high))))
                if (value := constant(high)) is not None:
                    self.bound(low, value - 1)
            case ("=", str() as name, other) if not name.startswith(("true", "false")):
                self.bound(name, self.upper(other))
            case ("=", other, str() as name):
                self.bound(name, self.upper(other))

    def bound(self, term: Term, value: int) -> None:
        if term not in self.most or self.most[term] > value:
            self.most[term] = value
            self.bounds.clear()

    def has_division(self, term: Term) -> bool:
        if isinstance(term, str):
            return False
        if id(term) not in self.divides:
            self.divides[id(term)] = term[0] == DIV or any(map(self.has_division, term))
        return self.divides[id(term)]

    def upper(self, term: Term) -> int:
        """An upper bound of a word; of what is no word, anything."""
        if isinstance(term, str):
            return self.most.get(term, WORD - 1)
        if id(term) not in self.bounds:
            self.bounds[id(term)] = min(self.most.get(term, WORD - 1), self.upper_of(term))
        return self.bounds[id(term)]

    def upper_of(self, term: Term) -> int:
        if (value := constant(term)) is not None:
            return value
        size = WORD - 1
        match term:
            case ("concat", *parts) if constant(parts[0]) == 0 and len(parts) == 2:
                return self.upper(parts[1])
            case (("_", "extract", high, low), inner):
                width = 2 ** (int(high) - int(low) + 1) - 1
                known = self.upper(inner)
                return min(width, known >> int(low)) if known < size else width
            case ("ite", _, one, other):
                return max(self.upper(one), self.upper(other))
            case ("bvadd", *parts):
                total = sum(map(self.upper, parts))
                less = self.difference(parts)
                return min(size, total if less is None else less)
            case ("bvmul" | "f_evm_bvmul_256", *parts):
                product = 1
                for part in parts:
                    product *= self.upper(part)
                return min(size, product)
            case ("f_evm_bvudiv_256", number, by):
                value = constant(by)
                return self.upper(number) // value if value else self.upper(number)
        return size

    def difference(self, parts: list[Term]) -> int | None:
        """Of ``a - b`` where ``b <= a`` is asserted."""
        match parts:
            case [one, ("bvmul", minus, other)] | [("bvmul", minus, other), one]:
                if (
                    constant(minus) == WORD - 1
                    and (
                        self.place(bare(other)),
                        self.place(bare(one)),
                    )
                    in self.not_above
                ):
                    return self.upper(one)
        return None

    # Rewriting

    def rewrite(self, term: Term) -> Term:
        if isinstance(term, str):
            return term
        if id(term) not in self.done:
            self.done[id(term)] = self.rewritten(self.make(*map(self.rewrite, term)))
        return self.done[id(term)]

    def rewritten(self, term: Term) -> Term:
        match term:
            case ("f_evm_bvmul_256", _, _):
                return self.product(term)
            case ("f_evm_bvudiv_256", number, by):
                return self.quotient(number, by) or term
        return term

    def quotient(self, number: Term, by: Term) -> Term | None:
        """Of a product that fits into a word, divided by some of its factors."""
        (factor, factors), (divisor, divisors) = self.factors(number), self.factors(by)
        if self.size(factor, factors) >= WORD or divisor == 0 or factor % divisor:
            return None
        for each in divisors:
            place = self.place(each)
            at = [i for i, other in enumerate(factors) if self.place(other) == place]
            if not at:
                return None
            del factors[at[0]]
        zero = self.word(0)
        quotient = self.compose(factor // divisor, factors)
        return self.make("ite", self.make("=", by, zero), zero, quotient) if divisors else quotient

    def size(self, factor: int, factors: list[Term]) -> int:
        for each in factors:
            factor *= self.upper(each)
        return factor

    def factors(self, term: Term) -> tuple[int, list[Term]]:
        """A constant and the rest of a product."""
        if (value := constant(term)) is not None:
            return value, []
        match term:
            case ("bvmul" | "f_evm_bvmul_256", *parts):
                factor, rest = 1, []
                for part in parts:
                    one, more = self.factors(part)
                    factor, rest = factor * one % WORD, rest + more
                return factor, rest
        return 1, [term]

    def product(self, term: Term) -> Term:
        return self.compose(*self.factors(term))

    def compose(self, factor: int, factors: list[Term]) -> Term:
        if not factors or factor == 0:
            return self.word(factor)
        for i, each in enumerate(factors):
            match each:
                case ("ite", condition, one, other) if constants(one, other) in ((0, 1), (1, 0)):
                    rest = self.compose(factor, factors[:i] + factors[i + 1 :])
                    zero = self.word(0)
                    chosen = (zero, rest) if constant(one) == 0 else (rest, zero)
                    return self.make("ite", condition, *chosen)
        ordered = sorted(factors, key=self.place)
        term = ordered[0]
        for each in ordered[1:]:
            term = self.make(MUL, term, each)
        return term if factor == 1 else self.make("bvmul", self.word(factor), term)

    # Writing

    def text(self) -> str:
        lines = []
        asserted = iter(self.asserted)
        for form in self.rest:
            if form[0] == "check-sat":
                lines += [f"(assert {self.written(self.rewrite(term))})" for term in asserted]
            lines.append(plain(form))
        return "\n".join(lines) + "\n"

    def written(self, term: Term) -> str:
        """With ``let`` for what occurs more than once."""
        uses: dict[int, int] = {}
        order: list[Term] = []

        def count(each: Term) -> None:
            if isinstance(each, str) or each[0] == "_":
                return
            uses[id(each)] = uses.get(id(each), 0) + 1
            if uses[id(each)] == 1:
                for part in each[0 if isinstance(each[0], tuple) else 1 :]:
                    count(part)
                order.append(each)

        count(term)
        names: dict[int, str] = {}

        def show(each: Term) -> str:
            if id(each) in names:
                return names[id(each)]
            return each if isinstance(each, str) else f"({' '.join(map(show, each))})"

        lets = []
        for each in order:
            if uses[id(each)] > 1:
                value = show(each)
                names[id(each)] = f"?t{len(names)}"
                lets.append(f"(let (({names[id(each)]} {value}))")
        return "\n".join(lets) + " " + show(term) + ")" * len(lets)


def constant(term: Term) -> int | None:
    match term:
        case ("_", str() as value, _) if value.startswith("bv") and value[2:].isdigit():
            return int(value[2:])
    return None


def bare(term: Term) -> Term:
    """Without leading zeros."""
    match term:
        case ("concat", zero, rest) if constant(zero) == 0:
            return rest
    return term


def constants(*terms: Term) -> tuple[int | None, ...]:
    return tuple(map(constant, terms))


def plain(term: Term) -> str:
    return term if isinstance(term, str) else f"({' '.join(map(plain, term))})"


def main() -> None:
    with open(sys.argv[1]) as file:
        text = file.read()
    if DIV in text or MUL in text:
        sys.setrecursionlimit(100_000)
        text = Query(text).text()
    options = bitwuzla.Options()
    options.set(bitwuzla.Option.PRODUCE_MODELS, True)
    bitwuzla.Parser(bitwuzla.TermManager(), options).parse(text, parse_file=False)


if __name__ == "__main__":
    main()
