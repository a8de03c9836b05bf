# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Registry
@license Apache-2.0
@notice Who takes part: a register of accounts that a registrar keeps, each of a class and a
    jurisdiction, up to a date, and rules that say which rights those have. Whenever a record
    changes, both tokens are told up to when the account may send and receive, so that moving
    tokens asks nobody. A rule that changes counts for an account once it is recorded or reviewed
    again; anyone may review.
"""
from interfaces import IRegistry
from interfaces import IRegulated

implements: IRegistry


struct Entry:
    account: address
    # 1 to 255: what kind of participant; the registrar's own list.
    kind: uint256
    # ISO 3166-1 numeric.
    jurisdiction: uint256
    # Unix time of the last second.
    until: uint256


event RuleSet:
    kind: indexed(uint256)
    jurisdiction: indexed(uint256)
    rights: uint256


event Recorded:
    account: indexed(address)
    kind: uint256
    jurisdiction: uint256
    until: uint256
    rights: uint256
    suspended: bool


MAX_BATCH: constant(uint256) = 32
HOLD_PLEDGE: constant(uint256) = 1
HOLD_CASH: constant(uint256) = 2
BORROW: constant(uint256) = 4
LEND: constant(uint256) = 8
ALL_RIGHTS: constant(uint256) = HOLD_PLEDGE | HOLD_CASH | BORROW | LEND
MAX_KIND: constant(uint256) = 255
MAX_JURISDICTION: constant(uint256) = 999
MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_40: constant(uint256) = 2**40 - 1
SUSPENDED: constant(uint256) = 2**72

registrar: public(immutable(address))
cash: public(immutable(address))
pledge: public(immutable(address))

# account -> rights 8 bits | kind 8 | jurisdiction 16 | until 40 | suspended 1, low to high.
records: HashMap[address, uint256]
# kind -> jurisdiction -> rights
rights_of: public(HashMap[uint256, HashMap[uint256, uint256]])


@deploy
def __init__(registrar_: address, cash_: address, pledge_: address):
    """
    @notice Both tokens are deployed after this, so the deployer computes their addresses; the book
        refuses a registry that names others.
    @param registrar_ The only account that records and sets rules, for ever.
    """
    assert registrar_ != empty(address), "registry/not-registrar"
    assert cash_ != empty(address) and pledge_ != empty(address), "token/receiver"
    registrar = registrar_
    cash = cash_
    pledge = pledge_


@external
def set_rule(kind: uint256, jurisdiction: uint256, rights: uint256):
    """
    @notice The registrar only. Counts for an account from its next record or review on.
    @param rights Sum of: 1 hold pledged bitcoin, 2 hold cash, 4 borrow, 8 lend.
    """
    # WHO
    assert msg.sender == registrar, "registry/not-registrar"
    # WHEN
    self._check_place(kind, jurisdiction)
    assert rights <= ALL_RIGHTS, "registry/rights"
    # THEN
    self.rights_of[kind][jurisdiction] = rights
    log RuleSet(kind=kind, jurisdiction=jurisdiction, rights=rights)


@external
def admit(entries: DynArray[Entry, MAX_BATCH]):
    """
    @notice The registrar only: records accounts, or what changed of them. A suspended account stays
        suspended. To end a record, suspend it.
    """
    # WHO
    assert msg.sender == registrar, "registry/not-registrar"
    for entry: Entry in entries:
        # WHEN
        self._check_place(entry.kind, entry.jurisdiction)
        assert entry.until >= block.timestamp and entry.until <= MASK_40, "registry/until"
        # THEN
        place: uint256 = (entry.kind << 8) | (entry.jurisdiction << 16) | (entry.until << 32)
        self._record(entry.account, place | (self.records[entry.account] & SUSPENDED))


@external
def suspend(accounts: DynArray[address, MAX_BATCH]):
    """
    @notice The registrar only. Rule: a suspended account has no right; it keeps what it has, gets
        back what the book releases and gets paid what it is owed, but sends and receives nothing.
    """
    # WHO
    assert msg.sender == registrar, "registry/not-registrar"
    for account: address in accounts:
        self._record(account, self._known(account) | SUSPENDED)


@external
def reinstate(accounts: DynArray[address, MAX_BATCH]):
    """
    @notice The registrar only. Ends a suspension.
    """
    # WHO
    assert msg.sender == registrar, "registry/not-registrar"
    for account: address in accounts:
        self._record(account, self._known(account) & ~SUSPENDED)


@external
def review(accounts: DynArray[address, MAX_BATCH]):
    """
    @notice Anyone. Gives recorded accounts the rights that the rules now say.
    """
    for account: address in accounts:
        self._record(account, self._known(account))


# Reading


@view
@external
@reentrant
def may(account: address, right: uint256) -> bool:
    """
    @notice Anyone may read. Whether the account has all these rights now.
    @param right As in set_rule; of no right at all the answer is no.
    """
    word: uint256 = self.records[account]
    return (
        right != 0
        and word & MASK_8 & right == right
        and word & SUSPENDED == 0
        and block.timestamp <= (word >> 32) & MASK_40
    )


@view
@external
def record(account: address) -> (uint256, uint256, uint256, uint256, bool):
    """
    @notice Anyone may read. All zero if it was never recorded.
    @return kind, jurisdiction, until (unix time of the last second), rights when last recorded or
        reviewed, suspended
    """
    word: uint256 = self.records[account]
    return (
        (word >> 8) & MASK_8,
        (word >> 16) & MASK_16,
        (word >> 32) & MASK_40,
        word & MASK_8,
        word & SUSPENDED != 0,
    )


# Parts


@pure
@internal
def _check_place(kind: uint256, jurisdiction: uint256):
    assert (
        kind > 0 and kind <= MAX_KIND and jurisdiction > 0 and jurisdiction <= MAX_JURISDICTION
    ), "registry/place"


@view
@internal
def _known(account: address) -> uint256:
    word: uint256 = self.records[account]
    assert word != 0, "registry/unknown"
    return word


@internal
def _record(account: address, word: uint256):
    # Whatever the word says of rights: the rules say it now.
    kind: uint256 = (word >> 8) & MASK_8
    jurisdiction: uint256 = (word >> 16) & MASK_16
    until: uint256 = (word >> 32) & MASK_40
    suspended: bool = word & SUSPENDED != 0
    rights: uint256 = self.rights_of[kind][jurisdiction]
    self.records[account] = (word & ~MASK_8) | rights
    log Recorded(
        account=account,
        kind=kind,
        jurisdiction=jurisdiction,
        until=until,
        rights=rights,
        suspended=suspended,
    )
    self._tell(cash, account, until, rights & HOLD_CASH != 0 and not suspended)
    self._tell(pledge, account, until, rights & HOLD_PLEDGE != 0 and not suspended)


@internal
def _tell(token: address, account: address, until: uint256, eligible: bool):
    extcall IRegulated(token).admit(account, until if eligible else 0)
