"""The lender loses its key: the coins move to a new vault. Fees jump while they are released."""

# %% A loan on a vault of three keys out of five.
from escrow import World
from escrow.config import WorldConfig

w = World(config=WorldConfig(seed=5, policy="three-of-five"))
loan = w.open(btc="1.5", principal="50000.00", price="80000")
print(loan.vault.address, loan.state.token.held, "sats pledged")

# %% Borrower and lender sign for the next vault; three of the four keys left move the coins.
w.rekey(loan, lost="lender")
w.mine(loan.terms.confirmations)
print(loan.vault.address, loan.state.token.held, "sats pledged, as before")

# %% The loan is repaid, and the release waits in the mempool when miners begin to ask for more.
w.repay(loan)
w.burn(loan)
w.fee_market(40)
w.mine(6)

# %% Six blocks passed it by: the quorum signed a dearer one, and says whose signatures are void.
for refusal in w.acts[-1].refusals:
    print(refusal.code, refusal.facts)
w.mine(1 + loan.terms.confirmations)
print(loan)
w.close()
