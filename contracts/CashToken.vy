# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title CashToken
@license Apache-2.0
@notice The settlement currency with two decimals: 1 unit = 1 cent (kopeck). Its issuer mints, its
    authority freezes and forces transfers, the registry says who may have it, and the book pays
    debts with it. None of them can do what another does.
"""
from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from interfaces import ICash
from interfaces import IERC7943
import regulated
import typed_data

implements: IERC20
implements: IERC7943
implements: ICash
initializes: typed_data
initializes: regulated[typed_data := typed_data]
exports: (regulated.__interface__, typed_data.DOMAIN_SEPARATOR)

MAX_SUPPLY: constant(uint256) = 2**64 - 1

name: public(immutable(String[32]))
symbol: public(immutable(String[8]))
decimals: public(constant(uint8)) = 2
issuer: public(immutable(address))
totalSupply: public(uint256)


@deploy
def __init__(
    name_: String[32],
    symbol_: String[8],
    issuer_: address,
    authority_: address,
    registry_: address,
    book_: address,
):
    """
    @param issuer_ The only account that may mint, for ever.
    """
    typed_data.__init__("CashToken")
    regulated.__init__(authority_, registry_, book_)
    assert issuer_ != empty(address), "token/not-issuer"
    name = name_
    symbol = symbol_
    issuer = issuer_


@external
def mint(to: address, amount: uint256):
    """
    @notice The issuer only, to an eligible account.
    @param amount Cents.
    """
    # WHO
    assert msg.sender == issuer, "token/not-issuer"
    word: uint256 = regulated._receiver(to)
    # WHEN
    supply: uint256 = self.totalSupply
    assert amount <= unsafe_sub(MAX_SUPPLY, supply), "mint/cap"
    # THEN
    self.totalSupply = unsafe_add(supply, amount)
    regulated.accounts[to] = unsafe_add(word, amount)
    log regulated.Transfer(sender=empty(address), receiver=to, value=amount)


@external
def settle(payer: address, payee: address, amount: uint256):
    """
    @notice The book only, for a payer that approved it. Rule: the payer may spend what it pays; the
        payee is not asked. A debt can be paid while its lender is suspended or its tokens are
        frozen; it just does not spend them.
    @param amount Cents.
    """
    # WHO
    assert msg.sender == regulated.book, "token/not-book"
    word: uint256 = regulated._sender(payer)
    if word & regulated.ENDLESS == 0:
        regulated._spend(payer, msg.sender, amount)
    # WHEN
    regulated._check_spendable(word, amount)
    # THEN
    regulated.accounts[payer] = unsafe_sub(word, amount)
    regulated._credit(payee, amount)
    log regulated.Transfer(sender=payer, receiver=payee, value=amount)
