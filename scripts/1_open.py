"""Open a loan: coins go to a vault on Bitcoin, a token for them to an EVM, cash to the borrower."""

# %% A world is two real chains, every party with its own keys, one clock and one seed.
from escrow import World

w = World(seed=1)
print(w)

# %% The lender offers terms, the borrower accepts: both sign them (EIP-712).
terms = w.terms(principal="50000.00", rate_bps=1_200, call_ltv=7_000)
loan = w.accept(w.offer(terms))
print("The loan's name on every chain:", loan.id)

# %% The borrower pays to the vault: two keys of three, or the borrower alone after a long time.
print("Vault:", loan.vault.address)
w.pledge(loan, btc="1.5")
print("Pledged:", loan.state.token.held, "sats,", loan.phase)

# %% Two of three oracles sign a price, and the borrower draws. The rules say no where they must.
w.price("80000")
print(f"Drawn: {w.draw(loan)}")
print("The borrower's cash:", w.cash_of("borrower") / 100)

# %% Each act led to events. What was asked, and what followed:
for act in w.acts:
    print(act.n, act.actor, act.verb, "→", *[type(step.event).__name__ for _, step in act.steps])

# %% The EVM is there to be scripted as one is used to.
print("EVM block", w.w3.eth.block_number, "- Bitcoin block", w.bitcoin.height)
w.close()
