# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Balances and allowances of an ERC-20
@license Apache-2.0
@notice A library without policy: who may receive, mint or burn, and the total supply, are the
    token's own. A token exports what it wants as it is and writes its own transfers.
"""


event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256


event Approval:
    owner: indexed(address)
    spender: indexed(address)
    value: uint256


balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Any holder, over its own tokens. 2**256 - 1 is never used up.
    """
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, value=amount)
    return True


@internal
def _spend(owner: address, spender: address, amount: uint256):
    left: uint256 = self.allowance[owner][spender]
    if left == max_value(uint256):
        return
    assert left >= amount, "token/allowance"
    self.allowance[owner][spender] = unsafe_sub(left, amount)


@internal
def _debit(owner: address, amount: uint256):
    left: uint256 = self.balanceOf[owner]
    assert left >= amount, "token/balance"
    self.balanceOf[owner] = unsafe_sub(left, amount)


@internal
def _credit(owner: address, amount: uint256):
    # Cannot overflow: the sum of balances is the supply, which every token bounds.
    self.balanceOf[owner] = unsafe_add(self.balanceOf[owner], amount)


@internal
def _move(sender: address, receiver: address, amount: uint256):
    self._debit(sender, amount)
    self._credit(receiver, amount)
    log Transfer(sender=sender, receiver=receiver, value=amount)
