# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title PriceRounds
@license Apache-2.0
@notice The price of 1 BTC, agreed by a quorum of oracles and posted by anyone, and the active
    clock: seconds during which a fresh price existed. Deadlines of borrowers are counted on that
    clock, so no cure time runs while nobody can know whether it is needed (interBTC's idea).
    There is no owner and no way to change the set or to post without the quorum.
"""
from interfaces import IAggregatorV3
import signer_set
import typed_data

implements: IAggregatorV3
initializes: typed_data
initializes: signer_set
exports: (typed_data.DOMAIN_SEPARATOR, signer_set.signers, signer_set.quorum)


event AnswerUpdated:
    current: indexed(int256)
    roundId: indexed(uint256)
    updatedAt: uint256


PRICE_TYPE: constant(bytes32) = keccak256("Price(uint256 round,uint256 price,uint256 at)")
# Whole currency units x 10**8: ten thousand million a coin is absurd, and fits 60 bits.
MAX_PRICE: constant(uint256) = 10**18
MAX_TIME: constant(uint256) = 2**40 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1

HEARTBEAT: immutable(uint256)

# One slot: price 64 bits | at 40 | round 40 | lost 40. `lost` is how many seconds so far the last
# price was older than the heartbeat.
packed: uint256


@deploy
def __init__(
    signers: DynArray[address, signer_set.MAX_SIGNERS], quorum_: uint256, heartbeat: uint256
):
    """
    @notice No price yet: stale from the first second, so the active clock stands still until the
        first round. It starts at the time of deployment.
    @param heartbeat Seconds after which a price is too old to decide anything.
    """
    typed_data.__init__("PriceRounds")
    signer_set.__init__(signers, quorum_)
    assert heartbeat > 0, "price/too-old"
    HEARTBEAT = heartbeat
    self._store(0, block.timestamp - heartbeat, 0, 0)


@external
def post(
    round: uint256,
    price: uint256,
    at: uint256,
    sigs: DynArray[typed_data.Sig, signer_set.MAX_SIGNERS],
):
    """
    @notice Anyone may carry a price that the quorum signed. Rule: rounds follow one another, and a
        price is newer than the last one, not from the future and not older than the heartbeat.
    @param round One more than the last round.
    @param price Whole currency units of 1 BTC x 10**8.
    @param at Unix time at which the price was observed.
    @param sigs EIP-712 signatures over Price(round, price, at), at least the quorum, in any order.
    """
    # WHO
    fault: uint256 = signer_set._fault(
        typed_data._digest(keccak256(abi_encode(PRICE_TYPE, round, price, at))), sigs
    )
    assert fault != signer_set.TOO_FEW, "price/too-few-signers"
    assert fault != signer_set.STRANGER, "price/stranger"
    assert fault != signer_set.DUPLICATE, "price/duplicate-signer"
    # WHEN
    last_price: uint256 = 0
    last_at: uint256 = 0
    last_round: uint256 = 0
    lost: uint256 = 0
    last_price, last_at, last_round, lost = self._load()
    assert round == last_round + 1, "price/round"
    assert price > 0 and price <= MAX_PRICE, "price/range"
    assert at <= block.timestamp and at <= MAX_TIME, "price/from-future"
    assert at > last_at, "price/not-newer"
    assert block.timestamp - at <= HEARTBEAT, "price/too-old"
    # THEN
    self._store(price, at, round, lost + self._stale_for(last_at))
    log AnswerUpdated(current=convert(price, int256), roundId=round, updatedAt=at)


@view
@external
@reentrant
def latest() -> (uint256, uint256, bool, uint256):
    """
    @notice Anyone may read: all that a rule needs, in one call.
    @return price (x 10**8; 0 before the first round), at, fresh, active_seconds
    """
    price: uint256 = 0
    at: uint256 = 0
    round: uint256 = 0
    lost: uint256 = 0
    price, at, round, lost = self._load()
    stale: uint256 = self._stale_for(at)
    return price, at, price != 0 and stale == 0, block.timestamp - lost - stale


@view
@external
def active_seconds() -> uint256:
    """
    @notice Anyone may read. Unix time less all the seconds without a fresh price.
    """
    price: uint256 = 0
    at: uint256 = 0
    round: uint256 = 0
    lost: uint256 = 0
    price, at, round, lost = self._load()
    return block.timestamp - lost - self._stale_for(at)


@view
@external
def last_round() -> uint256:
    """
    @notice Anyone may read. The number of rounds posted; the next must be one more.
    """
    return (self.packed >> 104) & MASK_40


@view
@external
def heartbeat() -> uint256:
    """
    @notice Anyone may read. Seconds after which a price is too old.
    """
    return HEARTBEAT


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
    @notice Chainlink. Reverts with price/round before the first round. Says nothing of freshness:
        compare updatedAt with the time, or read latest().
    """
    return self._round_data((self.packed >> 104) & MASK_40)


@view
@internal
def _round_data(asked: uint256) -> (uint80, int256, uint256, uint256, uint80):
    price: uint256 = 0
    at: uint256 = 0
    round: uint256 = 0
    lost: uint256 = 0
    price, at, round, lost = self._load()
    assert round != 0 and asked == round, "price/round"
    return convert(round, uint80), convert(price, int256), at, at, convert(round, uint80)


@view
@internal
def _stale_for(at: uint256) -> uint256:
    # Seconds since the last price passed the heartbeat: what the clock has lost since then.
    until: uint256 = at + HEARTBEAT
    if block.timestamp > until:
        return block.timestamp - until
    return 0


@view
@internal
def _load() -> (uint256, uint256, uint256, uint256):
    word: uint256 = self.packed
    return (
        word & MASK_64,
        (word >> 64) & MASK_40,
        (word >> 104) & MASK_40,
        (word >> 144) & MASK_40,
    )


@internal
def _store(price: uint256, at: uint256, round: uint256, lost: uint256):
    self.packed = price | (at << 64) | (round << 104) | (lost << 144)
