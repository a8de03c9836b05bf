# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title A token that only admitted accounts send and receive
@license Apache-2.0
@notice A library: ERC-20, ERC-2612, ERC-7943 and, for the token that pledges, the holds of ERC-1996
    (what is held stays in the holder's balance). Who is admitted, and until when, is written here
    by the registry, so that moving tokens asks no other contract. All that the rules need to know
    of an account is one word. What there is of the token in all, and who mints or burns, is the
    token's own. A token calls nobody.
"""
from interfaces import IERC7943
from interfaces import IRegulated
import typed_data

implements: IERC7943
implements: IRegulated
uses: typed_data


event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256


event Approval:
    owner: indexed(address)
    spender: indexed(address)
    value: uint256


event Frozen:
    account: indexed(address)
    amount: uint256


event ForcedTransfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256


PERMIT_TYPE: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
# Where a member of an account's word begins, and one unit of it.
FROZEN_AT: constant(uint256) = 64
HELD_AT: constant(uint256) = 128
UNTIL_AT: constant(uint256) = 192
BURNS_AT: constant(uint256) = 233
ONE_BURN: constant(uint256) = 2**233
# The book may spend without end: then no allowance is read for it.
ENDLESS: constant(uint256) = 2**232

authority: public(immutable(address))
registry: public(immutable(address))
book: public(immutable(address))

# account -> balance 64 bits | frozen 64 | held 64 | eligible_until 40 | endless 1 | burns 23, from
# low to high. Held is part of the balance; frozen may be more than that. No sum of balances passes
# 2**64 - 1, which every token sees to, so no member runs into the next.
accounts: HashMap[address, uint256]
allowances: HashMap[address, HashMap[address, uint256]]
nonces: public(HashMap[address, uint256])


@deploy
def __init__(authority_: address, registry_: address, book_: address):
    """
    @param authority_ Who may freeze and force transfers of what is not held.
    @param registry_ Who says which accounts are eligible.
    @param book_ The EscrowBook. Registry and book name this token and are deployed before and after
        it, so the deployer computes their addresses; the book refuses those that do not fit.
    """
    assert authority_ != empty(address), "token/not-authority"
    assert registry_ != empty(address), "token/not-registry"
    assert book_ != empty(address) and book_ != self, "token/receiver"
    authority = authority_
    registry = registry_
    book = book_


# ERC-20


@view
@external
def balanceOf(owner: address) -> uint256:
    """
    @notice Anyone may read. Includes what is held or frozen.
    """
    return self.accounts[owner] & MASK_64


@external
def transfer(receiver: address, amount: uint256) -> bool:
    """
    @notice Any eligible holder, to any eligible account. Rule: what is neither held nor frozen.
    """
    self._move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    """
    @notice Whom the owner approved, up to the allowance. Same rules as transfer.
    """
    self._spend(owner, msg.sender, amount)
    self._move(owner, receiver, amount)
    return True


@view
@external
def allowance(owner: address, spender: address) -> uint256:
    """
    @notice Anyone may read. 2**256 - 1 is never used up.
    """
    if spender == book and self.accounts[owner] & ENDLESS != 0:
        return max_value(uint256)
    return self.allowances[owner][spender]


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Any account, over its own tokens. 2**256 - 1 is never used up.
    """
    self._approve(msg.sender, spender, amount)
    return True


# ERC-2612


@external
def permit(
    owner: address,
    spender: address,
    amount: uint256,
    deadline: uint256,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    """
    @notice Anyone may carry an owner's signed approval, up to its deadline and once: whoever
        carries it first, the outcome is the same.
    @param deadline Unix time; at it is in time.
    """
    nonce: uint256 = self.nonces[owner]
    # WHO
    digest: bytes32 = typed_data._digest(
        keccak256(abi_encode(PERMIT_TYPE, owner, spender, amount, nonce, deadline))
    )
    signer: address = typed_data._signer(digest, typed_data.Sig(v=v, r=r, s=s))
    assert signer == owner, "permit/not-owner"
    # WHEN
    assert block.timestamp <= deadline, "permit/expired"
    # THEN
    self.nonces[owner] = unsafe_add(nonce, 1)
    self._approve(owner, spender, amount)


# ERC-7943


@view
@external
def canSend(account: address) -> bool:
    """
    @notice Anyone may read. Whether the account is eligible now.
    """
    return self._eligible(self.accounts[account])


@view
@external
def canReceive(account: address) -> bool:
    """
    @notice Anyone may read. Whether the account is eligible now.
    """
    return self._eligible(self.accounts[account])


@view
@external
def canTransfer(sender: address, receiver: address, amount: uint256) -> bool:
    """
    @notice Anyone may read. Whether the rules allow it: both are eligible, and the sender's frozen
        and held tokens are not touched. Says nothing of a balance of which none is.
    """
    word: uint256 = self.accounts[sender]
    return (
        self._eligible(word)
        and self._eligible(self.accounts[receiver])
        and (self._frozen(word) | self._held(word) == 0 or amount <= self._spendable(word))
    )


@view
@external
def getFrozenTokens(account: address) -> uint256:
    """
    @notice Anyone may read. May be more than the account has.
    """
    return self._frozen(self.accounts[account])


@external
def setFrozenTokens(account: address, amount: uint256) -> bool:
    """
    @notice The authority only. Rule: held tokens stay the book's to move; frozen is what the
        account may not spend of the others, now or when it gets them.
    @param amount In place of what was frozen before; above 2**64 - 1 it is that: all there can be.
    """
    # WHO
    assert msg.sender == authority, "token/not-authority"
    # THEN
    frozen: uint256 = min(amount, MASK_64)
    word: uint256 = self.accounts[account]
    self.accounts[account] = (word & ~(MASK_64 << FROZEN_AT)) | (frozen << FROZEN_AT)
    log Frozen(account=account, amount=frozen)
    return True


@external
def forcedTransfer(sender: address, receiver: address, amount: uint256) -> bool:
    """
    @notice The authority only, to an eligible account. Rule: it may take what is frozen, which it
        unfreezes, and from accounts that are not eligible; never what is held.
    """
    # WHO
    assert msg.sender == authority, "token/not-authority"
    self._receiver(receiver)
    # WHEN
    word: uint256 = self.accounts[sender]
    assert amount <= word & MASK_64, "token/balance"
    assert amount <= self._unheld(word), "token/held"
    # THEN
    self._take(sender, word, amount)
    self._credit(receiver, amount)
    log Transfer(sender=sender, receiver=receiver, value=amount)
    log ForcedTransfer(sender=sender, receiver=receiver, amount=amount)
    return True


# ERC-165


@pure
@external
def supportsInterface(interface_id: bytes4) -> bool:
    """
    @notice Anyone may read. ERC-165, ERC-20, ERC-2612 and ERC-7943 for fungible tokens.
    """
    return interface_id in [0x01ffc9a7, 0x36372b07, 0x9d8ff7da, 0x3edbb4c4]


# ERC-1996


@view
@external
def balanceOnHold(account: address) -> uint256:
    """
    @notice Anyone may read. What of the balance is pledged.
    """
    return self._held(self.accounts[account])


@view
@external
def spendable(account: address) -> uint256:
    """
    @notice Anyone may read. What of the balance is neither pledged nor frozen; the account may
        spend it while it is eligible.
    """
    return self._spendable(self.accounts[account])


# Eligibility


@external
def admit(account: address, until: uint256):
    """
    @notice The registry only.
    @param until Unix time up to which the account may send and receive, itself included; 0: not.
    """
    # WHO
    assert msg.sender == registry, "token/not-registry"
    assert account != empty(address) and account != self and account != book, "token/receiver"
    # THEN
    word: uint256 = self.accounts[account]
    self.accounts[account] = (word & ~(MASK_40 << UNTIL_AT)) | ((until & MASK_40) << UNTIL_AT)


@view
@external
def eligible_until(account: address) -> uint256:
    """
    @notice Anyone may read. Unix time up to which the account is eligible, itself included; 0: not.
    """
    return (self.accounts[account] >> UNTIL_AT) & MASK_40


# Parts: an account's word


@view
@internal
def _eligible(word: uint256) -> bool:
    return block.timestamp <= (word >> UNTIL_AT) & MASK_40


@pure
@internal
def _frozen(word: uint256) -> uint256:
    return (word >> FROZEN_AT) & MASK_64


@pure
@internal
def _held(word: uint256) -> uint256:
    return (word >> HELD_AT) & MASK_64


@pure
@internal
def _unheld(word: uint256) -> uint256:
    return unsafe_sub(word & MASK_64, self._held(word))


@pure
@internal
def _spendable(word: uint256) -> uint256:
    balance: uint256 = word & MASK_64
    locked: uint256 = ((word >> FROZEN_AT) & MASK_64) + ((word >> HELD_AT) & MASK_64)
    return unsafe_sub(balance, min(balance, locked))


@view
@internal
def _sender(account: address) -> uint256:
    # The word of who may send.
    word: uint256 = self.accounts[account]
    assert self._eligible(word), "token/cannot-send"
    return word


@view
@internal
def _receiver(account: address) -> uint256:
    # The word of who may receive.
    word: uint256 = self.accounts[account]
    assert self._eligible(word), "token/cannot-receive"
    return word


@pure
@internal
def _check_spendable(word: uint256, amount: uint256):
    # Says what stands in the way.
    if amount > self._spendable(word):
        assert amount <= word & MASK_64, "token/balance"
        assert amount <= self._unheld(word), "token/held"
        raise "token/frozen"


# Parts: what changes it


@internal
def _approve(owner: address, spender: address, amount: uint256):
    endless: bool = spender == book and amount == max_value(uint256)
    if spender == book:
        word: uint256 = self.accounts[owner] & ~ENDLESS
        self.accounts[owner] = word | ENDLESS if endless else word
    if not endless:
        self.allowances[owner][spender] = amount
    log Approval(owner=owner, spender=spender, value=amount)


@internal
def _spend(owner: address, spender: address, amount: uint256):
    if spender == book and self.accounts[owner] & ENDLESS != 0:
        return
    left: uint256 = self.allowances[owner][spender]
    if left == max_value(uint256):
        return
    assert left >= amount, "token/allowance"
    self.allowances[owner][spender] = unsafe_sub(left, amount)


@internal
def _credit(account: address, amount: uint256):
    self.accounts[account] = unsafe_add(self.accounts[account], amount)


@internal
def _move(sender: address, receiver: address, amount: uint256):
    # WHO
    giver: uint256 = self._sender(sender)
    taker: uint256 = self._receiver(receiver)
    # WHEN
    self._check_spendable(giver, amount)
    # THEN
    if sender != receiver:
        self.accounts[sender] = unsafe_sub(giver, amount)
        self.accounts[receiver] = unsafe_add(taker, amount)
    log Transfer(sender=sender, receiver=receiver, value=amount)


@internal
def _take(account: address, word: uint256, amount: uint256):
    # Out of what is not held, which the caller saw to be enough. What is not frozen goes first.
    short: uint256 = unsafe_sub(amount, min(amount, self._spendable(word)))
    if short > 0:
        log Frozen(account=account, amount=unsafe_sub(self._frozen(word), short))
    self.accounts[account] = unsafe_sub(word, unsafe_add(amount, short << FROZEN_AT))


@internal
def _hold(account: address, word: uint256, amount: uint256):
    # What is spendable, which the caller saw to be enough.
    self.accounts[account] = unsafe_add(word, amount << HELD_AT)


@internal
def _unhold(account: address, held: uint256, gone: uint256):
    # `held` is not held any more; `gone` of it leaves the account, the rest it may spend.
    word: uint256 = self.accounts[account]
    assert held <= self._held(word), "token/not-held"
    self.accounts[account] = unsafe_sub(word, unsafe_add(held << HELD_AT, gone))
