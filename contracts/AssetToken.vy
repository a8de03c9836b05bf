# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title AssetToken
@license Apache-2.0
@notice A register of things that are no coins: machines, claims, contracts, shares of revenue. An
    asset is issued once, to one owner, in units: a machine is one unit under the hash of its serial
    number, so there is never a second token for it; a claim may be many. What is pledged is held
    (ERC-1996): it stays in its owner's balance, and the owner's holding of an asset has one lien
    at most. The owner holds; the notary, which is the book, or the lender releases; after a default
    that the notary declared, and the lag that the owner agreed to, the lender executes. Who may
    have the tokens at all the registry says, as for the other two.
"""
from interfaces import IAsset
from interfaces import IRegulated
import regulated
import typed_data

implements: IAsset
implements: IRegulated
initializes: typed_data
initializes: regulated[typed_data := typed_data]
# Not `admit`: the registry may be an account, which says nothing of whom it admits.
exports: (
    regulated.eligible_until,
    regulated.canSend,
    regulated.canReceive,
    regulated.authority,
    regulated.registry,
    regulated.book,
)


# `loan`: what is secured. `word`: lender 160 bits | from 40: unix time from which the lender may
# execute, 0 while no default is declared.
struct Lien:
    loan: bytes32
    word: uint256


event Issued:
    id: indexed(bytes32)
    owner: indexed(address)
    units: uint256
    evidence: bytes32


event Moved:
    id: indexed(bytes32)
    sender: indexed(address)
    receiver: indexed(address)
    units: uint256


event Held:
    id: indexed(bytes32)
    owner: indexed(address)
    loan: indexed(bytes32)
    lender: address
    units: uint256
    lag: uint256
    until: uint256


event Released:
    id: indexed(bytes32)
    owner: indexed(address)
    loan: indexed(bytes32)
    units: uint256


event Declared:
    id: indexed(bytes32)
    owner: indexed(address)
    loan: indexed(bytes32)
    # Unix time from which the lender may execute; 0: the default is taken back.
    executable: uint256


event Executed:
    id: indexed(bytes32)
    owner: indexed(address)
    loan: indexed(bytes32)
    taker: address
    units: uint256


event Retired:
    id: indexed(bytes32)
    owner: indexed(address)
    units: uint256
    evidence: bytes32


event Admitted:
    account: indexed(address)
    # Unix time of the last second; 0: not.
    until: uint256


event Frozen:
    account: indexed(address)
    id: indexed(bytes32)
    units: uint256


event ForcedTransfer:
    id: indexed(bytes32)
    sender: indexed(address)
    receiver: indexed(address)
    units: uint256


MASK_24: constant(uint256) = 2**24 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_160: constant(uint256) = 2**160 - 1
# Where a member of a holding's word begins; the three below are as in an account's (regulated).
UNTIL_AT: constant(uint256) = 192
LAG_AT: constant(uint256) = 232
# The members that are no lien's.
FREE_PART: constant(uint256) = 2**128 - 1

registrar: public(immutable(address))

# id -> owner -> balance 64 bits | frozen 64 | held 64 | until 40 | lag 24, from low to high. Held
# is part of the balance; until and lag are the lien's, 0 where nothing is held.
holdings: HashMap[bytes32, HashMap[address, uint256]]
liens: HashMap[bytes32, HashMap[address, Lien]]
# Hash of what the register keeps of the asset. Never cleared: an asset is issued once.
evidence_of: public(HashMap[bytes32, bytes32])
supply_of: public(HashMap[bytes32, uint256])


@deploy
def __init__(registrar_: address, authority_: address, registry_: address, book_: address):
    """
    @param registrar_ Who keeps the register of these assets: issues and retires them, for ever.
    @param registry_ Who says which accounts may have them: a Registry, or the registrar itself.
    @param book_ The notary of every hold: declares defaults and releases.
    """
    typed_data.__init__("AssetToken")
    regulated.__init__(authority_, registry_, book_)
    assert registrar_ != empty(address), "asset/not-registrar"
    registrar = registrar_


# The register


@external
def issue(id: bytes32, owner: address, units: uint256, evidence: bytes32):
    """
    @notice The registrar only, to an eligible account. Rule: an asset is issued once, also when it
        was retired since.
    @param id Hash of what tells the asset from every other: its kind and serial number.
    @param units How many there ever are: 1 for a machine.
    @param evidence Hash of what the register keeps of it.
    """
    # WHO
    assert msg.sender == registrar, "asset/not-registrar"
    regulated._receiver(owner)
    # WHEN
    assert units > 0 and units <= MASK_64, "asset/amount"
    assert evidence != empty(bytes32), "asset/evidence"
    assert self.evidence_of[id] == empty(bytes32), "asset/exists"
    # THEN
    self.evidence_of[id] = evidence
    self.supply_of[id] = units
    # Added: the authority may have frozen what was not there yet.
    self.holdings[id][owner] = unsafe_add(self.holdings[id][owner], units)
    log Issued(id=id, owner=owner, units=units, evidence=evidence)


@external
def retire(id: bytes32, owner: address, units: uint256, evidence: bytes32):
    """
    @notice The registrar only: the asset is scrapped, delivered or paid off. Rule: what is neither
        held nor frozen; what is pledged its lender or the book releases first.
    @param evidence Hash of what shows that it is gone.
    """
    # WHO
    assert msg.sender == registrar, "asset/not-registrar"
    # WHEN
    assert units > 0, "asset/amount"
    assert evidence != empty(bytes32), "asset/evidence"
    word: uint256 = self.holdings[id][owner]
    regulated._check_spendable(word, units)
    # THEN
    self.supply_of[id] -= units
    self.holdings[id][owner] = unsafe_sub(word, units)
    log Retired(id=id, owner=owner, units=units, evidence=evidence)


# Owners


@external
def transfer(id: bytes32, receiver: address, units: uint256):
    """
    @notice Any eligible owner, to any eligible account. Rule: what is neither held nor frozen.
    """
    # WHO
    regulated._sender(msg.sender)
    regulated._receiver(receiver)
    # WHEN
    assert units > 0, "asset/amount"
    word: uint256 = self.holdings[id][msg.sender]
    regulated._check_spendable(word, units)
    # THEN
    self._move(id, msg.sender, receiver, word, units)


@external
def hold(
    id: bytes32, loan: bytes32, units: uint256, lender: address, lag: uint256, until: uint256
):
    """
    @notice Any eligible owner, over what is neither held nor frozen. Rule: one lien on an owner's
        holding of an asset; more of it is pledged to the same loan on the same terms, and not once
        a default is declared.
    @param lender Who may execute and release; eligible, and not the owner.
    @param lag Seconds from a declared default to the first execution.
    @param until Unix time up to which a default may be declared, itself included; after it the
        owner releases what is held if none was.
    """
    # WHO
    regulated._sender(msg.sender)
    regulated._receiver(lender)
    assert lender != msg.sender, "asset/lender"
    # WHEN
    assert units > 0, "asset/amount"
    assert (
        loan != empty(bytes32)
        and lag <= MASK_24
        and until > block.timestamp
        and until <= MASK_40
    ), "asset/terms"
    word: uint256 = self.holdings[id][msg.sender]
    held: uint256 = regulated._held(word)
    if held > 0:
        lien: Lien = self.liens[id][msg.sender]
        assert (
            lien.loan == loan
            and lien.word == convert(lender, uint256)
            and (word >> UNTIL_AT) & MASK_40 == until
            and word >> LAG_AT == lag
        ), "asset/encumbered"
    regulated._check_spendable(word, units)
    # THEN
    if held == 0:
        self.liens[id][msg.sender] = Lien(loan=loan, word=convert(lender, uint256))
        word |= (until << UNTIL_AT) | (lag << LAG_AT)
    self.holdings[id][msg.sender] = unsafe_add(word, units << regulated.HELD_AT)
    log Held(
        id=id, owner=msg.sender, loan=loan, lender=lender, units=units, lag=lag, until=until
    )


# Liens


@external
def release(id: bytes32, owner: address, units: uint256):
    """
    @notice The book, or the lender; the owner too once the time of the lien is over and no default
        was declared. It is not asked whether any of them is eligible.
    """
    word: uint256 = self.holdings[id][owner]
    lien: Lien = self.liens[id][owner]
    # WHO
    late: bool = block.timestamp > (word >> UNTIL_AT) & MASK_40 and self._from(lien) == 0
    assert (
        msg.sender == regulated.book
        or msg.sender == self._lender(lien)
        or (msg.sender == owner and late)
    ), "asset/not-notary"
    # WHEN
    assert units > 0, "asset/amount"
    assert units <= regulated._held(word), "token/not-held"
    # THEN
    self._unhold(id, owner, word, units, 0)
    log Released(id=id, owner=owner, loan=lien.loan, units=units)


@external
def declare(id: bytes32, owner: address, defaulted: bool):
    """
    @notice The book only. Rule: a default once, within the time of the lien; the lag runs from
        now. What was declared may be taken back while something is held.
    """
    # WHO
    assert msg.sender == regulated.book, "token/not-book"
    # WHEN
    word: uint256 = self.holdings[id][owner]
    lien: Lien = self.liens[id][owner]
    assert regulated._held(word) > 0, "token/not-held"
    executable: uint256 = 0
    if defaulted:
        assert self._from(lien) == 0, "asset/declared"
        assert block.timestamp <= (word >> UNTIL_AT) & MASK_40, "asset/terms"
        executable = block.timestamp + (word >> LAG_AT)
    else:
        assert self._from(lien) != 0, "asset/not-declared"
    # THEN
    self.liens[id][owner].word = (lien.word & MASK_160) | (executable << 160)
    log Declared(id=id, owner=owner, loan=lien.loan, executable=executable)


@external
def execute(id: bytes32, owner: address, taker: address, units: uint256):
    """
    @notice The lender of the lien only. Rule: after a declared default and the lag, no more than is
        held, to an eligible account.
    """
    word: uint256 = self.holdings[id][owner]
    lien: Lien = self.liens[id][owner]
    # WHO
    assert msg.sender == self._lender(lien), "asset/not-lender"
    regulated._receiver(taker)
    # WHEN
    assert self._from(lien) != 0, "asset/not-declared"
    assert block.timestamp >= self._from(lien), "asset/too-early"
    assert units > 0, "asset/amount"
    assert units <= regulated._held(word), "token/not-held"
    # THEN
    self._unhold(id, owner, word, units, units)
    self.holdings[id][taker] = unsafe_add(self.holdings[id][taker], units)
    log Moved(id=id, sender=owner, receiver=taker, units=units)
    log Executed(id=id, owner=owner, loan=lien.loan, taker=taker, units=units)


# Admissions


@external
def admit(account: address, until: uint256):
    """
    @notice The registry only.
    @param until Unix time up to which the account may send and receive, itself included; 0: not.
    """
    # WHO
    assert msg.sender == regulated.registry, "token/not-registry"
    # WHEN
    assert (
        account != empty(address) and account != self and account != regulated.book
    ), "token/receiver"
    assert until <= MASK_40, "registry/until"
    # THEN
    # An account's word has nothing else here: what it owns is in its holdings.
    regulated.accounts[account] = until << regulated.UNTIL_AT
    log Admitted(account=account, until=until)


# The authority


@external
def setFrozenTokens(account: address, id: bytes32, units: uint256):
    """
    @notice The authority only. Rule: what is held stays the lender's and the book's; frozen is what
        the account may not spend of the rest, now or when it gets it.
    @param units In place of what was frozen before; above 2**64 - 1 it is that.
    """
    # WHO
    assert msg.sender == regulated.authority, "token/not-authority"
    # THEN
    frozen: uint256 = min(units, MASK_64)
    word: uint256 = self.holdings[id][account]
    self.holdings[id][account] = (
        word & ~(MASK_64 << regulated.FROZEN_AT)
    ) | (frozen << regulated.FROZEN_AT)
    log Frozen(account=account, id=id, units=frozen)


@external
def forcedTransfer(sender: address, receiver: address, id: bytes32, units: uint256):
    """
    @notice The authority only, to an eligible account. Rule: it may take what is frozen, which it
        unfreezes, and from accounts that are not eligible; never what is held.
    """
    # WHO
    assert msg.sender == regulated.authority, "token/not-authority"
    regulated._receiver(receiver)
    # WHEN
    assert units > 0, "asset/amount"
    word: uint256 = self.holdings[id][sender]
    assert units <= word & MASK_64, "token/balance"
    assert units <= regulated._unheld(word), "token/held"
    # THEN
    # What is not frozen goes first.
    short: uint256 = unsafe_sub(units, min(units, regulated._spendable(word)))
    if short > 0:
        log Frozen(account=sender, id=id, units=unsafe_sub(regulated._frozen(word), short))
    self._move(id, sender, receiver, unsafe_sub(word, short << regulated.FROZEN_AT), units)
    log ForcedTransfer(id=id, sender=sender, receiver=receiver, units=units)


# Reading


@view
@external
def balanceOf(owner: address, id: bytes32) -> uint256:
    """
    @notice Anyone may read. Units, what is held or frozen included.
    """
    return self.holdings[id][owner] & MASK_64


@view
@external
def spendable(owner: address, id: bytes32) -> uint256:
    """
    @notice Anyone may read. Units that are neither held nor frozen.
    """
    return regulated._spendable(self.holdings[id][owner])


@view
@external
def getFrozenTokens(account: address, id: bytes32) -> uint256:
    """
    @notice Anyone may read. May be more units than the account has.
    """
    return regulated._frozen(self.holdings[id][account])


@view
@external
def lien_of(owner: address, id: bytes32) -> (bytes32, address, uint256, uint256, uint256, uint256):
    """
    @notice Anyone may read. All zero where nothing is held.
    @return loan, lender, units held, lag (seconds), until (unix time), from when the lender may
        execute (unix time; 0: no default is declared)
    """
    word: uint256 = self.holdings[id][owner]
    lien: Lien = self.liens[id][owner]
    return (
        lien.loan,
        self._lender(lien),
        regulated._held(word),
        word >> LAG_AT,
        (word >> UNTIL_AT) & MASK_40,
        self._from(lien),
    )


# Parts


@internal
def _move(id: bytes32, sender: address, receiver: address, word: uint256, units: uint256):
    # Out of what the caller saw to be enough; sender and receiver may be one.
    self.holdings[id][sender] = unsafe_sub(word, units)
    self.holdings[id][receiver] = unsafe_add(self.holdings[id][receiver], units)
    log Moved(id=id, sender=sender, receiver=receiver, units=units)


@internal
def _unhold(id: bytes32, owner: address, word: uint256, units: uint256, gone: uint256):
    # `units` are not held any more; `gone` of them leave the owner. The last ones end the lien.
    rest: uint256 = unsafe_sub(word, unsafe_add(units << regulated.HELD_AT, gone))
    if regulated._held(rest) == 0:
        rest &= FREE_PART
        self.liens[id][owner] = empty(Lien)
    self.holdings[id][owner] = rest


@pure
@internal
def _lender(lien: Lien) -> address:
    return convert(lien.word & MASK_160, address)


@pure
@internal
def _from(lien: Lien) -> uint256:
    return lien.word >> 160
