"""Nobody answers the margin call: the lender takes coins worth the debt, the rest goes back."""

# %% A loan, and a crash.
from escrow import Rejected, World

w = World(seed=4)
loan = w.open(btc="1.5", principal="50000.00", price="80000")
w.advance(days=10)
w.price("46000")
print(f"{loan.ltv / 100:.2f} %:", loan.phase)

# %% There is a day to answer. Before it is over the collateral is out of reach.
try:
    w.liquidate(loan)
except Rejected as refusal:
    print("Refused:", refusal.code, refusal.facts)

# %% The day passes.
w.advance(days=1, seconds=1)
print(loan.phase)

# %% The lender takes over: tokens for the debt to the lender, what is left to the borrower.
w.liquidate(loan)
print(loan.phase, {who: w.tokens_of(who) for who in ("lender", "borrower")})

# %% Tokens are claims on the coins in the vault: whoever burns them is paid on Bitcoin.
for who in ("lender", "borrower"):
    before = w.sats_of(who)
    w.burn(loan, by=who)
    w.mine(loan.terms.confirmations)
    print(f"{who}: {w.sats_of(who) - before} sats on Bitcoin")
print(loan)
w.close()
