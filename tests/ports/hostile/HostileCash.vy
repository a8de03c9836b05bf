# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Cash that does not keep its word
@license Apache-2.0
@notice Has the shape of CashToken, which the book asks for when it is deployed, and does to it what
    it was told to: calls back in the middle of a payment, keeps a part, moves nothing, or refuses.
"""

HONEST: constant(uint256) = 0
CALLS: constant(uint256) = 1
KEEPS: constant(uint256) = 2
LIES: constant(uint256) = 3
REFUSES: constant(uint256) = 4

book: public(immutable(address))
registry: public(immutable(address))

balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
mode: uint256
target: address
payload: Bytes[4096]
# Of the last call back: did it go through, and what was answered.
went: public(bool)
answer: public(Bytes[512])
calls: public(uint256)


@deploy
def __init__(book_: address, registry_: address):
    book = book_
    registry = registry_


@external
def arm(mode: uint256, target: address, payload: Bytes[4096]):
    self.mode = mode
    self.target = target
    self.payload = payload
    self.calls = 0


@external
def now(target: address, payload: Bytes[4096]):
    # The same call from the same account, when nothing else is going on.
    self._call(target, payload)


@external
def admit(account: address, until: uint256):
    pass


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    self._pay(owner, receiver, amount)
    return True


@external
def settle(payer: address, payee: address, amount: uint256):
    self._pay(payer, payee, amount)


@internal
def _pay(payer: address, payee: address, amount: uint256):
    kept: uint256 = 0
    if self.mode == CALLS:
        self._call(self.target, self.payload)
    elif self.mode == KEEPS:
        kept = amount // 100
    elif self.mode == LIES:
        return
    elif self.mode == REFUSES:
        raise "token/cannot-receive"
    self.balanceOf[payer] -= amount
    self.balanceOf[payee] += amount - kept
    self.balanceOf[self] += kept


@internal
def _call(target: address, payload: Bytes[4096]):
    self.went, self.answer = raw_call(
        target, payload, max_outsize=512, revert_on_failure=False
    )
    self.calls += 1
