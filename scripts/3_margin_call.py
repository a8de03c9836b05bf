"""The price falls. A margin call is answered with coins, and in a second world with money."""

# %% A loan at half its value.
from escrow import World

w = World(seed=3)
loan = w.open(btc="1.5", principal="50000.00", price="66700")
print(f"{loan.ltv / 100:.2f} % of the collateral's value is owed.", loan)

# %% 70 % is the call level. The operator calls by itself; anyone could.
w.price("47000")
print(f"{loan.ltv / 100:.2f} %:", loan.phase)

# %% A fork is a second world, equal and independent: what if the borrower paid instead?
other = w.fork()

# %% Here the borrower adds coins within a day, and the call is cured.
w.advance(hours=6)
w.top_up(loan, btc="0.5")
print(f"{loan.ltv / 100:.2f} % after the top-up:", loan.phase)

# %% There it repays a part.
twin = other.loans[0]
other.repay(twin, "10000.00")
print(f"{twin.ltv / 100:.2f} % after the payment:", twin.phase)

# %% Nothing is owed to anyone now, and the two worlds are two.
print("Due:", loan.due, twin.due, "- same state:", w.state_hash == other.state_hash)
w.close()
other.close()
