# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title DigitalCash
@license Apache-2.0
@notice A currency with two decimals whose platform opens every wallet: each is of a class, and a
    class has limits. A payment may wait for conditions, held in the payer's balance, and goes back
    if they are not met. The issuer mints, the operator keeps wallets, the authority freezes; none
    can do what another does. While the platform is offline nothing is paid. A token calls nobody.
"""
from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from interfaces import IDigitalCash
from interfaces import IERC7943
import regulated
import typed_data

implements: IERC20
implements: IERC7943
implements: IDigitalCash
initializes: typed_data
initializes: regulated[typed_data := typed_data]
# Not `admit`: wallets are opened here. Not `transfer`, `transferFrom` and `canTransfer`, which know
# nothing of limits.
exports: (
    regulated.balanceOf,
    regulated.allowance,
    regulated.approve,
    regulated.permit,
    regulated.nonces,
    regulated.canSend,
    regulated.canReceive,
    regulated.getFrozenTokens,
    regulated.setFrozenTokens,
    regulated.forcedTransfer,
    regulated.supportsInterface,
    regulated.balanceOnHold,
    regulated.spendable,
    regulated.eligible_until,
    regulated.authority,
    typed_data.DOMAIN_SEPARATOR,
)


event LimitsSet:
    kind: indexed(uint256)
    balance: uint256
    payment: uint256
    period: uint256


event WalletSet:
    account: indexed(address)
    kind: uint256
    until: uint256


event Offline:
    until: uint256


event Online:
    pass


event PaymentLocked:
    id: indexed(bytes32)
    payer: indexed(address)
    payee: indexed(address)
    amount: uint256


event PaymentApproved:
    id: indexed(bytes32)


event PaymentCompleted:
    id: indexed(bytes32)


event PaymentReturned:
    id: indexed(bytes32)


PAYMENT_TYPE: constant(bytes32) = keccak256(
    "Payment(address payer,address payee,uint256 amount,uint256 not_before,uint256 deadline,uint256 payee_kind,bytes32 digest,address approver,uint256 nonce)"
)
MAX_SUPPLY: constant(uint256) = 2**64 - 1
# Seconds: the longest announced time offline, and how far ahead a payment may wait.
MAX_OFFLINE: constant(uint256) = 7 * 86_400
MAX_WAIT: constant(uint256) = 366 * 86_400
MAX_PERIOD: constant(uint256) = 366 * 86_400
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
MAX_KIND: constant(uint256) = 255
# The wallet's class stands in its account's word where the other token counts burns.
KIND_AT: constant(uint256) = regulated.BURNS_AT
KIND: constant(uint256) = (2**23 - 1) << regulated.BURNS_AT

# Status of a payment.
LOCKED: constant(uint256) = 1
APPROVED: constant(uint256) = 2
OVER: constant(uint256) = 3

name: public(immutable(String[32]))
symbol: public(immutable(String[8]))
decimals: public(constant(uint8)) = 2
issuer: public(immutable(address))
operator: public(immutable(address))
# Whom endless allowances cost nothing to read for: a Settlement.
settlement: public(immutable(address))
# Seconds in one period of the limits, counted from the unix epoch.
period: public(immutable(uint256))
totalSupply: public(uint256)

# class -> balance 64 bits | payment 64 | period 64, low to high.
limits: HashMap[uint256, uint256]
# account -> paid in the period 64 bits | number of the period 40.
spent: HashMap[address, uint256]
# payment -> status 2 bits | seconds offline before its lock 40.
payments: HashMap[bytes32, uint256]
# since 40 bits | until 40 | seconds offline before `since` 40: of the last time offline.
outage: uint256


@deploy
def __init__(
    name_: String[32],
    symbol_: String[8],
    issuer_: address,
    operator_: address,
    authority_: address,
    settlement_: address,
    period_: uint256,
):
    """
    @param issuer_ The only account that may mint, for ever.
    @param operator_ The only account that opens wallets and sets limits, for ever.
    @param period_ Seconds, from a day to 366 days.
    """
    typed_data.__init__("DigitalCash")
    regulated.__init__(authority_, operator_, settlement_)
    assert issuer_ != empty(address), "token/not-issuer"
    assert period_ >= 86_400 and period_ <= MAX_PERIOD, "wallet/limits"
    name = name_
    symbol = symbol_
    issuer = issuer_
    operator = operator_
    settlement = settlement_
    period = period_


# The platform


@external
def set_limits(kind: uint256, balance: uint256, payment: uint256, period_: uint256):
    """
    @notice The operator only. Counts at once for every wallet of the class; what a wallet has
        above a new limit it keeps.
    @param balance The most that a wallet may have.
    @param payment The most that it may pay at once.
    @param period_ The most that it may pay a period.
    """
    # WHO
    assert msg.sender == operator, "wallet/not-operator"
    # WHEN
    assert kind > 0 and kind <= MAX_KIND, "wallet/class"
    assert payment > 0 and payment <= period_, "wallet/limits"
    assert balance > 0 and balance <= MASK_64 and period_ <= MASK_64, "wallet/limits"
    # THEN
    self.limits[kind] = balance | (payment << 64) | (period_ << 128)
    log LimitsSet(kind=kind, balance=balance, payment=payment, period=period_)


@external
def open_wallet(account: address, kind: uint256, until: uint256):
    """
    @notice The operator only: opens a wallet, or changes it.
    @param kind One that has limits.
    @param until Unix time up to which it may pay and be paid, itself included; 0: closed. What is
        in it stays there.
    """
    # WHO
    assert msg.sender == operator, "wallet/not-operator"
    # WHEN
    assert (
        account != empty(address) and account != self and account != settlement
    ), "token/receiver"
    assert self.limits[kind] != 0, "wallet/class"
    assert until <= MASK_40, "registry/until"
    # THEN
    rest: uint256 = regulated.accounts[account] & ~(KIND | (MASK_40 << regulated.UNTIL_AT))
    regulated.accounts[account] = rest | (kind << KIND_AT) | (until << regulated.UNTIL_AT)
    log WalletSet(account=account, kind=kind, until=until)


@external
def go_offline(seconds: uint256):
    """
    @notice The operator only. Until then nothing is minted, redeemed, paid, locked, completed or
        returned, and no payment's deadline comes nearer. The authority still acts.
    @param seconds At most seven days.
    """
    # WHO
    assert msg.sender == operator, "wallet/not-operator"
    # WHEN
    self._check_online()
    assert seconds > 0 and seconds <= MAX_OFFLINE, "platform/length"
    # THEN
    until: uint256 = block.timestamp + seconds
    self.outage = block.timestamp | (until << 40) | (self._lost() << 80)
    log Offline(until=until)


@external
def come_online():
    """
    @notice The operator only: it is over now.
    """
    # WHO
    assert msg.sender == operator, "wallet/not-operator"
    # WHEN
    outage: uint256 = self.outage
    assert block.timestamp < (outage >> 40) & MASK_40, "platform/not-offline"
    # THEN
    self.outage = (outage & ~(MASK_40 << 40)) | (block.timestamp << 40)
    log Online()


# Cash


@external
def mint(to: address, amount: uint256):
    """
    @notice The issuer only, into an open wallet, up to its limit.
    """
    # WHO
    assert msg.sender == issuer, "token/not-issuer"
    word: uint256 = regulated._receiver(to)
    # WHEN
    self._check_online()
    supply: uint256 = self.totalSupply
    assert amount <= unsafe_sub(MAX_SUPPLY, supply), "mint/cap"
    assert self._has_room(word, amount), "limit/balance"
    # THEN
    self.totalSupply = unsafe_add(supply, amount)
    regulated._credit(to, amount)
    log regulated.Transfer(sender=empty(address), receiver=to, value=amount)


@external
def redeem(amount: uint256):
    """
    @notice Any open wallet, what it may spend: out of this currency, into the issuer's other books.
        No payment, so no limit.
    """
    # WHO
    word: uint256 = regulated._sender(msg.sender)
    # WHEN
    self._check_online()
    regulated._check_spendable(word, amount)
    # THEN
    self.totalSupply = unsafe_sub(self.totalSupply, amount)
    regulated.accounts[msg.sender] = unsafe_sub(word, amount)
    log regulated.Transfer(sender=msg.sender, receiver=empty(address), value=amount)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    """
    @notice Any open wallet, to any other, within the limits of both.
    """
    self._pay(msg.sender, receiver, amount)
    return True


@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    """
    @notice Whom the owner approved, up to the allowance. Same rules as transfer.
    """
    regulated._spend(owner, msg.sender, amount)
    self._pay(owner, receiver, amount)
    return True


@view
@external
def canTransfer(sender: address, receiver: address, amount: uint256) -> bool:
    """
    @notice Anyone may read. Whether the rules allow it: both wallets are open, the platform is not
        offline, the limits of both leave room, and frozen and held tokens are not touched. Says
        nothing of a balance of which none is.
    """
    giver: uint256 = regulated.accounts[sender]
    taker: uint256 = regulated.accounts[receiver]
    locked: uint256 = regulated._frozen(giver) | regulated._held(giver)
    return (
        regulated._eligible(giver)
        and regulated._eligible(taker)
        and (locked == 0 or amount <= regulated._spendable(giver))
        and self._online()
        and amount <= self._left_to_pay(sender, giver)
        and (sender == receiver or self._has_room(taker, amount))
    )


# Payments that wait


@external
def lock_payment(payment: IDigitalCash.Payment) -> bytes32:
    """
    @notice The payer only: see IDigitalCash.
    """
    # WHO
    assert msg.sender == payment.payer, "pay/not-payer"
    word: uint256 = regulated._sender(msg.sender)
    # WHEN
    self._check_online()
    id: bytes32 = self._payment_id(payment)
    assert self.payments[id] == 0, "pay/exists"
    assert payment.payee != payment.payer and payment.payee != empty(address), "pay/payee"
    assert payment.amount > 0, "pay/amount"
    assert (
        payment.deadline >= block.timestamp
        and payment.deadline >= payment.not_before
        and payment.deadline <= block.timestamp + MAX_WAIT
    ), "pay/window"
    assert (
        payment.not_before > block.timestamp
        or payment.payee_kind != 0
        or payment.digest != empty(bytes32)
        or payment.approver != empty(address)
    ), "pay/unconditional"
    regulated._check_spendable(word, payment.amount)
    # THEN
    self._count(msg.sender, word, payment.amount)
    self.payments[id] = LOCKED | (self._lost() << 2)
    regulated._hold(msg.sender, word, payment.amount)
    log PaymentLocked(
        id=id, payer=payment.payer, payee=payment.payee, amount=payment.amount
    )
    return id


@external
def approve_payment(payment: IDigitalCash.Payment):
    """
    @notice The approver that the payment names: see IDigitalCash.
    """
    # WHO
    assert msg.sender == payment.approver, "pay/not-approver"
    # WHEN
    id: bytes32 = self._payment_id(payment)
    word: uint256 = self._waiting(id)
    assert block.timestamp <= self._last(payment.deadline, word), "pay/too-late"
    # THEN
    self.payments[id] = (word & ~convert(3, uint256)) | APPROVED
    log PaymentApproved(id=id)


@external
def complete_payment(payment: IDigitalCash.Payment, preimage: bytes32):
    """
    @notice Anyone, while every condition holds: see IDigitalCash.
    """
    # WHO: anyone
    # WHEN
    id: bytes32 = self._payment_id(payment)
    word: uint256 = self._waiting(id)
    self._check_online()
    assert block.timestamp >= payment.not_before, "pay/too-early"
    assert block.timestamp <= self._last(payment.deadline, word), "pay/too-late"
    assert payment.digest == empty(bytes32) or sha256(preimage) == payment.digest, "pay/preimage"
    assert payment.approver == empty(address) or word & 3 == APPROVED, "pay/not-approved"
    taker: uint256 = regulated._receiver(payment.payee)
    assert (
        payment.payee_kind == 0 or payment.payee_kind == self._kind(taker)
    ), "pay/class"
    assert self._has_room(taker, payment.amount), "limit/balance"
    # THEN
    self.payments[id] = OVER
    regulated._unhold(payment.payer, payment.amount, payment.amount)
    regulated._credit(payment.payee, payment.amount)
    log regulated.Transfer(
        sender=payment.payer, receiver=payment.payee, value=payment.amount
    )
    log PaymentCompleted(id=id)


@external
def return_payment(payment: IDigitalCash.Payment):
    """
    @notice Anyone after the deadline, the payee at any time: see IDigitalCash.
    """
    # WHO: anyone, or the payee
    # WHEN
    id: bytes32 = self._payment_id(payment)
    word: uint256 = self._waiting(id)
    self._check_online()
    over: bool = block.timestamp > self._last(payment.deadline, word)
    assert over or msg.sender == payment.payee, "pay/not-expired"
    # THEN
    self.payments[id] = OVER
    regulated._unhold(payment.payer, payment.amount, 0)
    log PaymentReturned(id=id)


# Reading


@view
@external
def payment_id(payment: IDigitalCash.Payment) -> bytes32:
    """
    @notice Anyone may read: see IDigitalCash.
    """
    return self._payment_id(payment)


@view
@external
def payment_status(id: bytes32) -> uint256:
    """
    @notice Anyone may read: see IDigitalCash.
    """
    return self.payments[id] & 3


@view
@external
def kind_of(account: address) -> uint256:
    """
    @notice Anyone may read: see IDigitalCash.
    """
    return self._kind(regulated.accounts[account])


@view
@external
def limits_of(kind: uint256) -> (uint256, uint256, uint256):
    """
    @notice Anyone may read: see IDigitalCash.
    """
    word: uint256 = self.limits[kind]
    return word & MASK_64, (word >> 64) & MASK_64, word >> 128


@view
@external
def spent_of(account: address) -> uint256:
    """
    @notice Anyone may read: see IDigitalCash.
    """
    return self._spent(account)


@view
@external
def offline_until() -> uint256:
    """
    @notice Anyone may read. Unix time at which the platform is back, or was the last time; 0: it
        was never offline.
    """
    return (self.outage >> 40) & MASK_40


# Parts: the platform


@view
@internal
def _online() -> bool:
    return block.timestamp >= (self.outage >> 40) & MASK_40


@view
@internal
def _check_online():
    assert self._online(), "platform/offline"


@view
@internal
def _lost() -> uint256:
    # Seconds offline so far.
    outage: uint256 = self.outage
    until: uint256 = min(block.timestamp, (outage >> 40) & MASK_40)
    return (outage >> 80) + until - (outage & MASK_40)


@pure
@internal
def _kind(word: uint256) -> uint256:
    return (word & KIND) >> KIND_AT


@view
@internal
def _spent(account: address) -> uint256:
    word: uint256 = self.spent[account]
    return word & MASK_64 if word >> 64 == block.timestamp // period else 0


@view
@internal
def _left_to_pay(account: address, word: uint256) -> uint256:
    # The most that the wallet may pay now.
    limits: uint256 = self.limits[self._kind(word)]
    most: uint256 = limits >> 128
    return min((limits >> 64) & MASK_64, most - min(most, self._spent(account)))


@view
@internal
def _has_room(word: uint256, amount: uint256) -> bool:
    most: uint256 = self.limits[self._kind(word)] & MASK_64
    return amount <= most - min(most, word & MASK_64)


# Parts: paying


@internal
def _count(account: address, word: uint256, amount: uint256):
    # Against the limits of who pays.
    limits: uint256 = self.limits[self._kind(word)]
    assert amount <= (limits >> 64) & MASK_64, "limit/payment"
    paid: uint256 = self._spent(account) + amount
    assert paid <= limits >> 128, "limit/period"
    self.spent[account] = paid | ((block.timestamp // period) << 64)


@internal
def _pay(sender: address, receiver: address, amount: uint256):
    # WHO
    giver: uint256 = regulated._sender(sender)
    taker: uint256 = regulated._receiver(receiver)
    # WHEN
    self._check_online()
    regulated._check_spendable(giver, amount)
    assert sender == receiver or self._has_room(taker, amount), "limit/balance"
    # THEN
    self._count(sender, giver, amount)
    regulated._move(sender, receiver, amount)


@pure
@internal
def _payment_id(payment: IDigitalCash.Payment) -> bytes32:
    return keccak256(abi_encode(PAYMENT_TYPE, payment))


@view
@internal
def _waiting(id: bytes32) -> uint256:
    # The word of a payment that is neither completed nor returned.
    word: uint256 = self.payments[id]
    assert word != 0, "pay/unknown"
    assert word & 3 != OVER, "pay/over"
    return word


@view
@internal
def _last(deadline: uint256, word: uint256) -> uint256:
    # The last second: what the platform was offline since the lock comes on top.
    return deadline + self._lost() - (word >> 2)
