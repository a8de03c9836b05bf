# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title CashToken
@license Apache-2.0
@notice The settlement currency as an ERC-20 with two decimals: 1 unit = 1 cent (kopeck). Its
    issuer mints and can do nothing else: it cannot freeze, move or burn what others hold.
"""
from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
import erc20

implements: IERC20
initializes: erc20
exports: (erc20.balanceOf, erc20.allowance, erc20.approve)

name: public(immutable(String[32]))
symbol: public(immutable(String[8]))
decimals: public(constant(uint8)) = 2
issuer: public(immutable(address))
totalSupply: public(uint256)


@deploy
def __init__(name_: String[32], symbol_: String[8], issuer_: address):
    """
    @param issuer_ The only account that may mint, for ever.
    """
    assert issuer_ != empty(address), "token/not-issuer"
    name = name_
    symbol = symbol_
    issuer = issuer_


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice Any holder, its own tokens. Rule: the zero address and this token hold nothing.
    @param amount Cents.
    """
    # WHO
    self._may_receive(to)
    # THEN
    erc20._move(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice Whom the owner approved, up to the allowance. Same rule as transfer.
    @param amount Cents.
    """
    # WHO
    self._may_receive(to)
    erc20._spend(owner, msg.sender, amount)
    # THEN
    erc20._move(owner, to, amount)
    return True


@external
def mint(to: address, amount: uint256):
    """
    @notice The issuer only.
    @param amount Cents.
    """
    # WHO
    assert msg.sender == issuer, "token/not-issuer"
    self._may_receive(to)
    # THEN
    self.totalSupply += amount
    erc20._credit(to, amount)
    log erc20.Transfer(sender=empty(address), receiver=to, value=amount)


@view
@internal
def _may_receive(to: address):
    assert to != empty(address) and to != self, "token/receiver"
