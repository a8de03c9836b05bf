# pragma version 0.4.3
# pragma evm-version cancun
"""
@title A token that answers that it did not move
@license Apache-2.0
@notice As ERC-20 allows: no revert, just False. It is asked to take in, and to pay out.
"""
takes: public(bool)


@external
def take(takes: bool):
    self.takes = takes


@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    return self.takes


@external
def transfer(receiver: address, amount: uint256) -> bool:
    return False
