# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title PriceRounds
@license Apache-2.0
@notice The price of 1 BTC: the median of what a quorum of oracles signed, each its own price,
    posted by anyone; and the active clock: seconds during which a fresh price existed. Deadlines
    of borrowers are counted on that clock, so no cure time runs while nobody can know whether it
    is needed (interBTC's idea). A jump beyond the deviation bound needs a wider quorum, or that
    the last price has grown too old. A guardian may stop all that needs a price, for a while;
    it can neither set a price nor stop one. There is no owner.
"""
from interfaces import IAggregatorV3
import signer_set
import typed_data

implements: IAggregatorV3
initializes: typed_data
initializes: signer_set[typed_data := typed_data]
exports: (
    typed_data.DOMAIN_SEPARATOR,
    signer_set.signers,
    signer_set.quorum,
    signer_set.pending,
    signer_set.change_number,
    signer_set.rotation_delay,
    signer_set.rotate_set,
)


# What one oracle says, and its signature over Price(round, price, at).
struct Report:
    price: uint256
    sig: typed_data.Sig


# All that was reported, so that everybody can count it and take the median again: the one in the
# middle. Of the transaction's calldata that could not be said, for a contract may have posted.
event PricesReported:
    round: uint256
    at: uint256
    prices: DynArray[uint256, signer_set.MAX_SIGNERS]


event Paused:
    until: uint256


event Resumed:
    until: uint256


PRICE_TYPE: constant(bytes32) = keccak256("Price(uint256 round,uint256 price,uint256 at)")
# Whole currency units x 10**8: ten thousand million a coin is absurd, and fits 60 bits.
MAX_PRICE: constant(uint256) = 10**18
MAX_TIME: constant(uint256) = 2**40 - 1
# Seconds.
MAX_PAUSE: constant(uint256) = 7 * 86_400
RESUME_GRACE: constant(uint256) = 4 * 3_600
BPS: constant(uint256) = 10_000
MAX_DEVIATION: constant(uint256) = 10 * BPS
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_60: constant(uint256) = 2**60 - 1
# Parts of the word below: price, time and number of the round; beginning and end of the pause.
ROUND: constant(uint256) = 2**132 - 1
PAUSE: constant(uint256) = max_value(uint256) - (2**172 - 1)

# Status.
RUNNING: constant(uint256) = 0
ORACLE_STALE: constant(uint256) = 1
PAUSED: constant(uint256) = 2

HEARTBEAT: immutable(uint256)
WIDE_QUORUM: immutable(uint256)
DEVIATION: immutable(uint256)
GUARDIAN: immutable(address)

# One slot: price 60 bits | at 40 | round 32 | lost 40 | pause_from 40 | pause_until 40. `lost` is
# how many seconds so far no rule could use a price, less those that the rest of the word still
# tells: of the last pause, and since the last price grew too old. A round takes at least a second,
# so 32 bits last for 136 years.
packed: uint256


@deploy
def __init__(
    oracles: DynArray[address, signer_set.MAX_SIGNERS],
    quorum_: uint256,
    wide_quorum_: uint256,
    heartbeat_: uint256,
    deviation_bps_: uint256,
    guardian_: address,
    delay: uint256,
):
    """
    @notice No price yet: stale from the first second, so the active clock stands still until the
        first round. It starts at the time of deployment.
    @param quorum_ Reports that make a round: odd, so that there is one in the middle.
    @param wide_quorum_ Reports that make a jump: odd, at least the quorum.
    @param heartbeat_ Seconds after which a price is too old to decide anything.
    @param deviation_bps_ By how much a price may differ from the last one without being a jump.
    @param guardian_ Who may pause; the zero address for nobody.
    @param delay Seconds between the proposal of another set of oracles and its rotation.
    """
    typed_data.__init__("PriceRounds")
    signer_set.__init__(oracles, quorum_, delay)
    assert heartbeat_ > 0, "price/too-old"
    assert deviation_bps_ > 0 and deviation_bps_ <= MAX_DEVIATION, "price/deviation"
    HEARTBEAT = heartbeat_
    WIDE_QUORUM = wide_quorum_
    DEVIATION = deviation_bps_
    GUARDIAN = guardian_
    self._check_quorums(len(oracles), quorum_)
    self.packed = (block.timestamp - heartbeat_) << 60


@external
@reentrant
def post(round: uint256, at: uint256, reports: DynArray[Report, signer_set.MAX_SIGNERS]):
    """
    @notice Anyone may carry what oracles signed, each its own price; the median counts. Rule:
        rounds follow one another, and a price is newer than the last one, not from the future and
        not older than the heartbeat. While the last price is not too old, one that differs from it
        by more than the deviation bound needs the wide quorum.
    @param round One more than the last round.
    @param at Unix time at which the oracles looked.
    @param reports An odd number, at least the quorum, by distinct oracles, ascending by price.
        Price: whole currency units of 1 BTC x 10**8.
    """
    # WHO
    oracles: uint256 = signer_set.current
    assert len(reports) >= signer_set._quorum(oracles), "price/too-few-signers"
    assert len(reports) % 2 == 1, "price/even"
    members: DynArray[uint256, signer_set.MAX_SIGNERS] = signer_set._members(oracles)
    prices: DynArray[uint256, signer_set.MAX_SIGNERS] = []
    seen: uint256 = 0
    highest: uint256 = 0
    for report: Report in reports:
        assert report.price >= highest, "price/order"
        highest = report.price
        prices.append(highest)
        digest: bytes32 = typed_data._digest(
            keccak256(abi_encode(PRICE_TYPE, round, highest, at))
        )
        bit: uint256 = signer_set._bit(members, typed_data._signer(digest, report.sig))
        assert bit != 0, "price/stranger"
        assert seen & bit == 0, "price/duplicate-signer"
        seen |= bit
    # WHEN
    word: uint256 = self.packed
    last: uint256 = word & MASK_60
    price: uint256 = prices[len(prices) // 2]
    assert round == ((word >> 100) & MASK_32) + 1, "price/round"
    assert price > 0 and price <= MAX_PRICE, "price/range"
    assert at <= block.timestamp and at <= MAX_TIME, "price/from-future"
    assert at > (word >> 60) & MASK_40, "price/not-newer"
    assert block.timestamp - at <= HEARTBEAT, "price/too-old"
    if len(prices) < WIDE_QUORUM and last != 0 and self._stale(word) == 0:
        gap: uint256 = max(price, last) - min(price, last)
        assert gap * BPS <= DEVIATION * last, "price/deviation"
    # THEN
    lost: uint256 = ((word >> 132) & MASK_40) + self._gone(word)
    paused: uint256 = 0
    if block.timestamp < self._rested(word):
        paused = word & PAUSE
        lost -= min(block.timestamp, word >> 212) - ((word >> 172) & MASK_40)
    self.packed = price | (at << 60) | (round << 100) | (lost << 132) | paused
    log PricesReported(round=round, at=at, prices=prices)


@external
def pause(seconds: uint256):
    """
    @notice The guardian only. Until the pause is over no price is fresh and the active clock
        stands; rounds go on. Rule: it ends by itself, and the next one may come when the last has
        been over for as long as it lasted, so that no guardian holds the system for ever.
    @param seconds At most seven days.
    """
    # WHO
    assert msg.sender == GUARDIAN, "pause/not-guardian"
    # WHEN
    assert seconds > 0 and seconds <= MAX_PAUSE, "pause/length"
    word: uint256 = self.packed
    assert block.timestamp >= self._rested(word), "pause/too-soon"
    # THEN
    lost: uint256 = ((word >> 132) & MASK_40) + self._gone(word) - self._stale(word)
    until: uint256 = block.timestamp + seconds
    self.packed = (word & ROUND) | (lost << 132) | (block.timestamp << 172) | (until << 212)
    log Paused(until=until)


@external
def resume():
    """
    @notice The guardian only, while its pause lasts: it ends in four hours, in which borrowers can
        act before prices decide again, and never later than it would have.
    """
    # WHO
    assert msg.sender == GUARDIAN, "pause/not-guardian"
    # WHEN
    word: uint256 = self.packed
    assert block.timestamp < word >> 212, "pause/not-paused"
    until: uint256 = block.timestamp + RESUME_GRACE
    assert until < word >> 212, "pause/ends-soon"
    # THEN
    self.packed = (word & (2**212 - 1)) | (until << 212)
    log Resumed(until=until)


@external
def propose_set(
    members: DynArray[address, signer_set.MAX_SIGNERS],
    quorum_: uint256,
    sigs: DynArray[typed_data.Sig, signer_set.MAX_SIGNERS],
):
    """
    @notice Anyone may carry what the present quorum signed. The set takes effect by rotate_set
        after the delay; it replaces one that waits. To call a change off, propose the present set.
    @param members Distinct addresses, at least the wide quorum and at most 15.
    @param quorum_ How many of them will make a round: odd, at most the wide quorum.
    @param sigs EIP-712 signatures over SetChange(number, members, quorum), in any order.
    """
    signer_set._propose(members, quorum_, sigs)
    self._check_quorums(len(members), quorum_)


@view
@external
@reentrant
def latest() -> (uint256, uint256, bool, uint256):
    """
    @notice Anyone may read: all that a rule needs, in one call.
    @return price (x 10**8; 0 before the first round), at, fresh, active_seconds
    """
    word: uint256 = self.packed
    price: uint256 = word & MASK_60
    at: uint256 = (word >> 60) & MASK_40
    if word >> 172 != 0:
        return price, at, self._status(word) == RUNNING, self._active(word)
    # The same where no pause is told of, which is nearly always.
    stale: uint256 = 0
    if block.timestamp > at + HEARTBEAT:
        stale = block.timestamp - at - HEARTBEAT
    return price, at, price != 0 and stale == 0, block.timestamp - (word >> 132) - stale


@view
@external
@reentrant
def status() -> uint256:
    """
    @notice Anyone may read. 0: running; 1: the last price is older than the heartbeat, or there is
        none; 2: paused by the guardian, whatever the price is.
    """
    return self._status(self.packed)


@view
@external
def active_seconds() -> uint256:
    """
    @notice Anyone may read. Unix time less all the seconds without a fresh price.
    """
    return self._active(self.packed)


@view
@external
def paused_until() -> uint256:
    """
    @notice Anyone may read. Unix time at which the last pause is or was over; 0 for none, or none
        that hinders the next.
    """
    return self.packed >> 212


@view
@external
def last_round() -> uint256:
    """
    @notice Anyone may read. The number of rounds posted; the next must be one more.
    """
    return (self.packed >> 100) & MASK_32


@view
@external
def heartbeat() -> uint256:
    """
    @notice Anyone may read. Seconds after which a price is too old.
    """
    return HEARTBEAT


@view
@external
def wide_quorum() -> uint256:
    """
    @notice Anyone may read. How many oracles must report for a jump.
    """
    return WIDE_QUORUM


@view
@external
def deviation_bps() -> uint256:
    """
    @notice Anyone may read. What is more than this many bps of the last price away is a jump.
    """
    return DEVIATION


@view
@external
def guardian() -> address:
    """
    @notice Anyone may read. Who may pause; the zero address for nobody.
    """
    return GUARDIAN


@view
@external
def decimals() -> uint8:
    """
    @notice Chainlink. Decimals of the answer.
    """
    return 8


@view
@external
def description() -> String[64]:
    """
    @notice Chainlink. What is priced.
    """
    return "BTC / settlement currency"


@view
@external
def version() -> uint256:
    """
    @notice Chainlink. Version of this aggregator.
    """
    return 1


@view
@external
def getRoundData(_roundId: uint80) -> (uint80, int256, uint256, uint256, uint80):
    """
    @notice Chainlink. Only the last round is kept; any other reverts with price/round.
    """
    return self._round_data(convert(_roundId, uint256))


@view
@external
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    """
    @notice Chainlink. Reverts with price/round before the first round. Says nothing of freshness
        or a pause: compare updatedAt with the time and read status(), or read latest().
    """
    return self._round_data((self.packed >> 100) & MASK_32)


# Parts


@view
@internal
def _round_data(asked: uint256) -> (uint80, int256, uint256, uint256, uint80):
    word: uint256 = self.packed
    number: uint256 = (word >> 100) & MASK_32
    at: uint256 = (word >> 60) & MASK_40
    assert number != 0 and asked == number, "price/round"
    answer: int256 = convert(word & MASK_60, int256)
    return convert(number, uint80), answer, at, at, convert(number, uint80)


@view
@internal
def _check_quorums(size: uint256, quorum_: uint256):
    sound: bool = quorum_ % 2 == 1 and WIDE_QUORUM % 2 == 1
    assert sound and quorum_ <= WIDE_QUORUM and WIDE_QUORUM <= size, "price/quorum"


@view
@internal
def _status(word: uint256) -> uint256:
    if block.timestamp < word >> 212:
        return PAUSED
    if word & MASK_60 == 0 or block.timestamp > ((word >> 60) & MASK_40) + HEARTBEAT:
        return ORACLE_STALE
    return RUNNING


@view
@internal
def _active(word: uint256) -> uint256:
    return block.timestamp - ((word >> 132) & MASK_40) - self._gone(word)


@view
@internal
def _gone(word: uint256) -> uint256:
    # Seconds since the last price passed the heartbeat, and those of the last pause so far: what
    # was both counts once.
    old: uint256 = min(block.timestamp, ((word >> 60) & MASK_40) + HEARTBEAT)
    until: uint256 = min(block.timestamp, word >> 212)
    since: uint256 = (word >> 172) & MASK_40
    both: uint256 = until - min(until, max(old, since))
    return block.timestamp - old + until - since - both


@view
@internal
def _stale(word: uint256) -> uint256:
    return block.timestamp - min(block.timestamp, ((word >> 60) & MASK_40) + HEARTBEAT)


@pure
@internal
def _rested(word: uint256) -> uint256:
    # When the last pause has been over for as long as it lasted: the round after that forgets it.
    return 2 * (word >> 212) - ((word >> 172) & MASK_40)
