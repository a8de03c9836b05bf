# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title A set of signers, the number of them that counts, and how the set changes
@license Apache-2.0
@notice A library. The set changes only by the present quorum's own signatures, and only after a
    delay, in which whoever does not want the new set can leave. There is no owner. The members are
    kept in the code of a contract of their own, which answers any call with them: one slot and one
    call bring all of them, where a mapping would cost a cold slot (2,100 gas) for each signature.
"""
import typed_data

uses: typed_data


# Addresses, read as numbers: the compiler copies those in one piece.
interface Members:
    def members() -> DynArray[uint256, MAX_SIGNERS]: view


event SetProposed:
    number: indexed(uint256)
    members: DynArray[address, MAX_SIGNERS]
    quorum: uint256
    ready_at: uint256


event SetRotated:
    number: indexed(uint256)
    members: DynArray[address, MAX_SIGNERS]
    quorum: uint256


MAX_SIGNERS: constant(uint256) = 15

# What _fault answers; each contract turns it into its own revert code.
TOO_FEW: constant(uint256) = 1
STRANGER: constant(uint256) = 2
DUPLICATE: constant(uint256) = 3

SET_CHANGE_TYPE: constant(bytes32) = keccak256(
    "SetChange(uint256 number,address[] members,uint256 quorum)"
)
# A program that answers with what follows it: PUSH1 11, CODESIZE, SUB, DUP1, PUSH1 11, PUSH0,
# CODECOPY, PUSH0, RETURN. Run as creation code it makes what follows the contract; that is the
# program again, and then the members.
ANSWER: constant(Bytes[11]) = x"600b380380600b5f395ff3"
MAX_DELAY: constant(uint256) = 365 * 86_400
MASK_8: constant(uint256) = 2**8 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_160: constant(uint256) = 2**160 - 1

DELAY: immutable(uint256)

# Address of the members 160 bits | quorum 8.
current: uint256
# The set that waits: address 160 bits (0: none) | quorum 8 | ready_at 40 | number 40, which stays
# when nothing waits: of the next change. It grows with each proposal and each rotation, so a
# signature counts once, and not when the set has changed since.
waiting: uint256


@deploy
def __init__(members: DynArray[address, MAX_SIGNERS], quorum: uint256, delay: uint256):
    """
    @param delay Seconds between a proposal and the rotation, for ever.
    """
    assert delay > 0 and delay <= MAX_DELAY, "signers/delay"
    DELAY = delay
    self.current = self._write(members, quorum)


@external
def propose_set(
    members: DynArray[address, MAX_SIGNERS],
    quorum: uint256,
    sigs: DynArray[typed_data.Sig, MAX_SIGNERS],
):
    """
    @notice Anyone may carry what the present quorum signed. The set takes effect by rotate_set
        after the delay; it replaces one that waits. To call a change off, propose the present set.
    @param members 1 to 15 distinct addresses.
    @param quorum How many of them will have to sign.
    @param sigs EIP-712 signatures over SetChange(number, members, quorum), in any order.
    """
    self._propose(members, quorum, sigs)


@external
def rotate_set():
    """
    @notice Anyone may, once the delay has passed. From here on only the new set counts.
    """
    # WHEN
    waiting: uint256 = self.waiting
    assert waiting & MASK_160 != 0, "signers/not-proposed"
    assert block.timestamp >= (waiting >> 168) & MASK_40, "signers/too-early"
    # THEN
    number: uint256 = waiting >> 208
    self.current = waiting & (2**168 - 1)
    self.waiting = (number + 1) << 208
    log SetRotated(number=number, members=self._list(waiting), quorum=self._quorum(waiting))


@view
@external
def signers() -> DynArray[address, MAX_SIGNERS]:
    """
    @notice Anyone may read. The set that counts, in the order it was given in.
    """
    return self._list(self.current)


@view
@external
def quorum() -> uint256:
    """
    @notice Anyone may read. How many distinct members must sign.
    """
    return self._quorum(self.current)


@view
@external
def pending() -> (DynArray[address, MAX_SIGNERS], uint256, uint256):
    """
    @notice Anyone may read. The set that waits, its quorum, and the unix time from which rotate_set
        works; nothing and zeros if none waits.
    """
    waiting: uint256 = self.waiting
    if waiting & MASK_160 == 0:
        return [], 0, 0
    return self._list(waiting), self._quorum(waiting), (waiting >> 168) & MASK_40


@view
@external
def change_number() -> uint256:
    """
    @notice Anyone may read. The number that the next SetChange must carry.
    """
    return self.waiting >> 208


@view
@external
def rotation_delay() -> uint256:
    """
    @notice Anyone may read. Seconds between a proposal and the rotation.
    """
    return DELAY


# Parts


@internal
def _propose(
    members: DynArray[address, MAX_SIGNERS],
    quorum: uint256,
    sigs: DynArray[typed_data.Sig, MAX_SIGNERS],
):
    # WHO
    number: uint256 = self.waiting >> 208
    listed: Bytes[32 * MAX_SIGNERS + 32] = abi_encode(members, ensure_tuple=False)
    members_hash: bytes32 = keccak256(slice(listed, 32, 32 * len(members)))
    fault: uint256 = self._fault(
        typed_data._digest(
            keccak256(abi_encode(SET_CHANGE_TYPE, number, members_hash, quorum))
        ),
        sigs,
    )
    assert fault != TOO_FEW, "signers/too-few"
    assert fault != STRANGER, "signers/stranger"
    assert fault != DUPLICATE, "signers/duplicate"
    # THEN
    ready_at: uint256 = block.timestamp + DELAY
    self.waiting = self._write(members, quorum) | (ready_at << 168) | ((number + 1) << 208)
    log SetProposed(number=number, members=members, quorum=quorum, ready_at=ready_at)


@internal
def _write(members: DynArray[address, MAX_SIGNERS], quorum: uint256) -> uint256:
    # A sound set, as code; the answer is laid out as `current` is.
    assert quorum > 0 and quorum <= len(members), "token/signers"
    for i: uint256 in range(len(members), bound=MAX_SIGNERS):
        assert members[i] != empty(address), "token/signers"
        for j: uint256 in range(i, bound=MAX_SIGNERS):
            assert members[j] != members[i], "token/signers"
    made: address = raw_create(concat(ANSWER, ANSWER, abi_encode(members)))
    return convert(made, uint256) | (quorum << 160)


@view
@internal
def _members(word: uint256) -> DynArray[uint256, MAX_SIGNERS]:
    """
    @notice The set that `word` tells of: `current`, or `waiting` while it is not empty.
    """
    return staticcall Members(convert(word & MASK_160, address)).members()


@view
@internal
def _list(word: uint256) -> DynArray[address, MAX_SIGNERS]:
    members: DynArray[uint256, MAX_SIGNERS] = self._members(word)
    listed: DynArray[address, MAX_SIGNERS] = []
    for member: uint256 in members:
        listed.append(convert(member, address))
    return listed


@pure
@internal
def _quorum(word: uint256) -> uint256:
    return (word >> 160) & MASK_8


@pure
@internal
def _bit(members: DynArray[uint256, MAX_SIGNERS], who: address) -> uint256:
    """
    @notice The member's own bit; 0 for a stranger.
    """
    bit: uint256 = 1
    for member: uint256 in members:
        if member == convert(who, uint256):
            return bit
        bit <<= 1
    return 0


@view
@internal
def _fault(digest: bytes32, sigs: DynArray[typed_data.Sig, MAX_SIGNERS]) -> uint256:
    """
    @notice 0 if at least the quorum of distinct members, and nobody else, signed the digest.
    """
    word: uint256 = self.current
    if len(sigs) < self._quorum(word):
        return TOO_FEW
    members: DynArray[uint256, MAX_SIGNERS] = self._members(word)
    seen: uint256 = 0
    for sig: typed_data.Sig in sigs:
        bit: uint256 = self._bit(members, typed_data._signer(digest, sig))
        if bit == 0:
            return STRANGER
        if seen & bit != 0:
            return DUPLICATE
        seen |= bit
    return 0
