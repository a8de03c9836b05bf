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


# A round as it stands in storage.
struct Round:
    price: uint256
    at: uint256
    number: uint256
    lost: uint256
    pause_from: uint256
    pause_until: uint256


# All that was reported, so that everybody can count it and take the median again: the one in the
# middle. Of the transaction's calldata that could not be said, for a contract may have posted.
event PricesReported:
    round: uint256
    at: uint256
    prices: DynArray[uint256, signer_set.MAX_SIGNERS]


event Paused:
    until: uint256


event Resumed:
    pass


PRICE_TYPE: constant(bytes32) = keccak256("Price(uint256 round,uint256 price,uint256 at)")
# Whole currency units x 10**8: ten thousand million a coin is absurd, and fits 60 bits.
MAX_PRICE: constant(uint256) = 10**18
MAX_TIME: constant(uint256) = 2**40 - 1
# Seconds.
MAX_PAUSE: constant(uint256) = 7 * 86_400
BPS: constant(uint256) = 10_000
MAX_DEVIATION: constant(uint256) = 10 * BPS
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_60: constant(uint256) = 2**60 - 1

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
    self._store(Round(
        price=0, at=block.timestamp - heartbeat_, number=0, lost=0, pause_from=0, pause_until=0
    ))


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
    last: Round = self._last()
    price: uint256 = prices[len(prices) // 2]
    assert round == last.number + 1, "price/round"
    assert price > 0 and price <= MAX_PRICE, "price/range"
    assert at <= block.timestamp and at <= MAX_TIME, "price/from-future"
    assert at > last.at, "price/not-newer"
    assert block.timestamp - at <= HEARTBEAT, "price/too-old"
    if len(prices) < WIDE_QUORUM and last.price != 0 and self._stale(last) == 0:
        gap: uint256 = max(price, last.price) - min(price, last.price)
        assert gap * BPS <= DEVIATION * last.price, "price/deviation"
    # THEN
    last.lost += self._gone(last) - self._paused(last)
    last.price = price
    last.at = at
    last.number = round
    self._store(last)
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
    last: Round = self._last()
    rested: uint256 = 2 * last.pause_until - last.pause_from
    assert block.timestamp >= rested, "pause/too-soon"
    # THEN
    last.lost += self._gone(last) - self._stale(last)
    last.pause_from = block.timestamp
    last.pause_until = block.timestamp + seconds
    self._store(last)
    log Paused(until=last.pause_until)


@external
def resume():
    """
    @notice The guardian only, while its pause lasts: it is over now.
    """
    # WHO
    assert msg.sender == GUARDIAN, "pause/not-guardian"
    # WHEN
    last: Round = self._last()
    assert block.timestamp < last.pause_until, "pause/not-paused"
    # THEN
    last.pause_until = block.timestamp
    self._store(last)
    log Resumed()


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
    paused_until: uint256 = word >> 212
    if price != 0 and block.timestamp <= at + HEARTBEAT and block.timestamp >= paused_until:
        # Neither stale nor paused, as almost always: what was lost is all past.
        paused: uint256 = paused_until - ((word >> 172) & MASK_40)
        return price, at, True, block.timestamp - ((word >> 132) & MASK_40) - paused
    last: Round = self._last()
    fresh: bool = self._status(last) == RUNNING
    return last.price, last.at, fresh, block.timestamp - last.lost - self._gone(last)


@view
@external
@reentrant
def status() -> uint256:
    """
    @notice Anyone may read. 0: running; 1: the last price is older than the heartbeat, or there is
        none; 2: paused by the guardian, whatever the price is.
    """
    return self._status(self._last())


@view
@external
def active_seconds() -> uint256:
    """
    @notice Anyone may read. Unix time less all the seconds without a fresh price.
    """
    last: Round = self._last()
    return block.timestamp - last.lost - self._gone(last)


@view
@external
def paused_until() -> uint256:
    """
    @notice Anyone may read. Unix time at which the last pause is or was over; 0 if never paused.
    """
    return self.packed >> 212


@view
@external
def last_round() -> uint256:
    """
    @notice Anyone may read. The number of rounds posted; the next must be one more.
    """
    return self._last().number


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
    return self._round_data(self._last().number)


# Parts


@view
@internal
def _round_data(asked: uint256) -> (uint80, int256, uint256, uint256, uint80):
    last: Round = self._last()
    assert last.number != 0 and asked == last.number, "price/round"
    number: uint80 = convert(last.number, uint80)
    return number, convert(last.price, int256), last.at, last.at, number


@view
@internal
def _check_quorums(size: uint256, quorum_: uint256):
    sound: bool = quorum_ % 2 == 1 and WIDE_QUORUM % 2 == 1
    assert sound and quorum_ <= WIDE_QUORUM and WIDE_QUORUM <= size, "price/quorum"


@view
@internal
def _status(last: Round) -> uint256:
    if block.timestamp < last.pause_until:
        return PAUSED
    if last.price == 0 or self._stale(last) != 0:
        return ORACLE_STALE
    return RUNNING


@view
@internal
def _stale(last: Round) -> uint256:
    # Seconds since the last price passed the heartbeat.
    until: uint256 = last.at + HEARTBEAT
    if block.timestamp > until:
        return block.timestamp - until
    return 0


@view
@internal
def _paused(last: Round) -> uint256:
    # Seconds of the last pause so far.
    return min(block.timestamp, last.pause_until) - last.pause_from


@view
@internal
def _gone(last: Round) -> uint256:
    # Seconds that were one or the other: those that were both count once.
    first: uint256 = max(last.at + HEARTBEAT, last.pause_from)
    end: uint256 = min(block.timestamp, last.pause_until)
    both: uint256 = 0
    if end > first:
        both = end - first
    return self._stale(last) + self._paused(last) - both


@view
@internal
def _last() -> Round:
    word: uint256 = self.packed
    return Round(
        price=word & MASK_60,
        at=(word >> 60) & MASK_40,
        number=(word >> 100) & MASK_32,
        lost=(word >> 132) & MASK_40,
        pause_from=(word >> 172) & MASK_40,
        pause_until=word >> 212,
    )


@internal
def _store(last: Round):
    self.packed = (
        last.price
        | (last.at << 60)
        | (last.number << 100)
        | (last.lost << 132)
        | (last.pause_from << 172)
        | (last.pause_until << 212)
    )
