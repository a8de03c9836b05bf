"""The law table, drawn from the laws themselves."""

from __future__ import annotations

from escrow.core.laws import LAWS, C, E, S


def law_rows() -> list[tuple[str, ...]]:
    """Id, words, and a mark under script, contract and engine; the test that breaks the law."""
    return [
        (
            law.id,
            law.words,
            *("✔" if part in law.enforced else "" for part in (S, C, E)),
            f"tests/core/test_laws.py -k {law.id}",
        )
        for law in LAWS
    ]


def law_table() -> str:
    """The same as Markdown."""
    head = (
        "| law | in words | script | contract | engine | test |\n"
        "| --- | --- | :-: | :-: | :-: | --- |\n"
    )
    return head + "\n".join(f"| {' | '.join(row)} |" for row in law_rows())
