"""Repay a loan and get the coins back: the borrower burns its tokens, two cosigners pay."""

# %% A running loan in one call: offered, accepted, pledged, minted and drawn.
from escrow import Rejected, World

w = World(seed=2)
loan = w.open(btc="1.5", principal="50000.00", price="80000")
print(loan)

# %% Interest accrues by the second, actual/365.
w.advance(days=30)
print("Owed after 30 days:", loan.debt / 100)

# %% Before it is repaid nobody gets the coins: the tokens are held by the loan.
try:
    w.burn(loan, btc="1.5")
except Rejected as refusal:
    print("Refused:", refusal.code, refusal.facts)

# %% Part of it, then the rest. Money moves by the borrower's own transaction on the EVM.
w.repay(loan, "20000.00")
print("Still owed:", loan.debt / 100)
w.repay(loan)
print(loan)

# %% Burn, payout, six blocks on top of it.
before = w.sats_of("borrower")
w.release(loan)
print("Back:", w.sats_of("borrower") - before, "sats, less the miner's fee.", loan)
print("Laws checked:", w.engine.checked, "broken:", w.engine.broken)
w.close()
