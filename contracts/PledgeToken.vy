# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title PledgeToken
@license Apache-2.0
@notice A claim on bitcoin that sits in the vault of one loan: 1 unit = 1 sat. Minted when a quorum
    of attestors saw the coin final in the vault, burned to ask for a payout, retired when a quorum
    saw that the coin is gone. Tokens are fungible between holders; how many may be pledged or
    burned against a vault is counted per loan, so no loan ever pays with another loan's coins.
    What is pledged is held (ERC-1996): it stays in the holder's balance, and nobody but the book
    moves it. Nobody mints without the quorum. Who may have the token at all is for the registry to
    say, and the authority may freeze, or move by force, what is not held.
"""
from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from interfaces import IERC7943
from interfaces import IPledge
import regulated
import signer_set
import typed_data

implements: IERC20
implements: IERC7943
implements: IPledge
initializes: typed_data
initializes: regulated[typed_data := typed_data]
exports: (regulated.__interface__, signer_set.__interface__, typed_data.DOMAIN_SEPARATOR)


# `txid` and `bitcoin_block` are in display order: the hexadecimal that explorers show, as 32 bytes.
# `reserves`: sats final in the vault of `loan`, less its burns not yet paid, as the signers saw
# them at `seen_at` (unix time) with `bitcoin_block` as the tip.
struct Attestation:
    loan: bytes32
    holder: address
    txid: bytes32
    vout: uint32
    sats: uint256
    reserves: uint256
    seen_at: uint256
    bitcoin_block: bytes32


struct Retirement:
    loan: bytes32
    holder: address
    pledgor: address
    txid: bytes32
    vout: uint32
    sats: uint256
    deadline: uint256


event Minted:
    loan: indexed(bytes32)
    holder: indexed(address)
    # hashStruct of the attestation.
    request: bytes32
    txid: bytes32
    vout: uint32
    sats: uint256
    reserves: uint256
    seen_at: uint256
    bitcoin_block: bytes32


event Burned:
    burn_id: indexed(uint256)
    loan: indexed(bytes32)
    holder: indexed(address)
    # Which of the holder's burns this is, from 0.
    request: uint256
    sats: uint256
    destination: Bytes[42]


event Retired:
    loan: indexed(bytes32)
    txid: bytes32
    vout: uint32
    sats: uint256


ATTESTATION_TYPE: constant(bytes32) = keccak256(
    "Attestation(bytes32 loan,address holder,bytes32 txid,uint32 vout,uint256 sats,"
    "uint256 reserves,uint256 seen_at,bytes32 bitcoin_block)"
)
RETIREMENT_TYPE: constant(bytes32) = keccak256(
    "Retirement(bytes32 loan,address holder,address pledgor,bytes32 txid,uint32 vout,uint256 sats,"
    "uint256 deadline)"
)
# Sats. Below the minimum a payout could not pay its own fee and stay above dust.
MIN_DEPOSIT: public(constant(uint256)) = 10_000
# Seconds. How long what the quorum saw of the reserves may be minted on.
RESERVE_LIFE: constant(uint256) = 3_600
MAX_MONEY: constant(uint256) = 2_100_000_000_000_000
MASK_64: constant(uint256) = 2**64 - 1
MASK_128: constant(uint256) = 2**128 - 1
# A deposit's word: loan, its low 72 bits cleared | retired 8 bits | sats 64 bits.
RETIRED: constant(uint256) = 2**64

name: public(constant(String[32])) = "Pledged bitcoin"
symbol: public(constant(String[8])) = "pBTC"
decimals: public(constant(uint8)) = 8
supply_cap: public(immutable(uint256))

# One slot: supply 64 bits | burns 64, so that a burn writes one slot for both.
supply_and_burns: uint256
# loan -> outstanding 64 bits | held 64 | pledgor 128: the first 128 bits of the address whose
# tokens are held, left as it was when none are. Outstanding: minted and neither burned nor retired.
loans: HashMap[bytes32, uint256]
# keccak256(txid, vout) -> the deposit's word. Never cleared: an outpoint is minted once.
deposits: HashMap[bytes32, uint256]

# Last, so that what it stores moves no slot above: statements of reserves prove those.
initializes: signer_set[typed_data := typed_data]


@deploy
def __init__(
    signers: DynArray[address, signer_set.MAX_SIGNERS],
    quorum_: uint256,
    delay: uint256,
    authority_: address,
    registry_: address,
    book_: address,
    cap: uint256,
):
    """
    @param signers The attestors.
    @param delay Seconds between the proposal of another set of attestors and its rotation.
    @param cap Sats: the most that there may ever be at once.
    """
    typed_data.__init__("PledgeToken")
    signer_set.__init__(signers, quorum_, delay)
    regulated.__init__(authority_, registry_, book_)
    assert cap > 0 and cap <= MAX_MONEY, "mint/cap"
    supply_cap = cap


# Deposits


@external
def mint(att: Attestation, sigs: DynArray[typed_data.Sig, signer_set.MAX_SIGNERS]):
    """
    @notice Anyone may carry an attestation. Rule: an outpoint is minted once, to the holder that
        the quorum names, who must be eligible, within the cap, and only within reserves of the
        loan's vault that the quorum saw freshly.
    @param att What was seen: `sats` in the outpoint, final in the vault of `loan`, and what that
        vault holds in all.
    @param sigs EIP-712 signatures over the attestation, at least the quorum, in any order.
    """
    # WHO
    request: bytes32 = keccak256(abi_encode(ATTESTATION_TYPE, att))
    self._check_quorum(request, sigs)
    account: uint256 = regulated._receiver(att.holder)
    # WHEN
    assert att.seen_at <= block.timestamp, "mint/from-future"
    assert block.timestamp - att.seen_at <= RESERVE_LIFE, "mint/expired"
    assert att.sats >= MIN_DEPOSIT and att.sats <= MAX_MONEY, "mint/amount"
    key: bytes32 = self._key(att.txid, att.vout)
    assert self.deposits[key] == 0, "mint/replayed"
    supply: uint256 = self.supply_and_burns
    assert (supply & MASK_64) + att.sats <= supply_cap, "mint/cap"
    word: uint256 = self.loans[att.loan]
    assert (word & MASK_64) + att.sats <= att.reserves, "mint/reserves"
    # THEN
    self.deposits[key] = self._tag(att.loan) | att.sats
    self.loans[att.loan] = word + att.sats
    self.supply_and_burns = supply + att.sats
    regulated.accounts[att.holder] = unsafe_add(account, att.sats)
    log regulated.Transfer(sender=empty(address), receiver=att.holder, value=att.sats)
    log Minted(
        loan=att.loan,
        holder=att.holder,
        request=request,
        txid=att.txid,
        vout=att.vout,
        sats=att.sats,
        reserves=att.reserves,
        seen_at=att.seen_at,
        bitcoin_block=att.bitcoin_block,
    )


@external
def burn(loan: bytes32, sats: uint256, destination: Bytes[42], request: uint256):
    """
    @notice Any eligible holder, what it may spend. Burning asks the vault of `loan` for a payout of
        `sats`, the Bitcoin fee included, to `destination`. It cannot be taken back.
    @param sats At least the minimum deposit.
    @param destination A standard output script: P2WPKH, P2WSH, P2TR, P2PKH or P2SH.
    @param request How often the holder burned before (burns_of): sent again it burns nothing.
    """
    # WHO
    account: uint256 = regulated._sender(msg.sender)
    # WHEN
    assert request == account >> regulated.BURNS_AT, "burn/replayed"
    assert sats >= MIN_DEPOSIT, "burn/dust"
    assert self._standard(destination), "burn/destination"
    word: uint256 = self.loans[loan]
    assert sats <= self._free(word), "burn/no-tokens"
    if sats > regulated._spendable(account):
        assert sats <= regulated._unheld(account), "burn/no-tokens"
        raise "token/frozen"
    # THEN
    supply: uint256 = self.supply_and_burns
    self.loans[loan] = word - sats
    self.supply_and_burns = supply - sats + 2**64
    # Counts to 2**23 - 1; the burn after that reverts.
    regulated.accounts[msg.sender] = account - sats + regulated.ONE_BURN
    log regulated.Transfer(sender=msg.sender, receiver=empty(address), value=sats)
    log Burned(
        burn_id=supply >> 64,
        loan=loan,
        holder=msg.sender,
        request=request,
        sats=sats,
        destination=destination,
    )


@external
def retire(ret: Retirement, sigs: DynArray[typed_data.Sig, signer_set.MAX_SIGNERS]):
    """
    @notice Anyone may carry it. Rule: the quorum saw that a coin is gone from the vault without a
        burn (the borrower's timelock, a deep reorganisation), so the tokens that stood on it go
        too: pledged ones first, those of `pledgor`; the rest out of what `holder` has not pledged,
        frozen or not. Each outpoint once.
    @param ret The outpoint, at most as many sats as it was minted for, whose tokens are pledged, if
        any are, and who answers for the rest. Change of a payout was never minted: its tokens are
        those of the deposit that it came from. When some of a coin's tokens were burned before it
        was lost, the rest goes.
    @param sigs EIP-712 signatures over the retirement, at least the quorum, in any order.
    """
    # WHO
    self._check_quorum(keccak256(abi_encode(RETIREMENT_TYPE, ret)), sigs)
    # WHEN
    assert block.timestamp <= ret.deadline, "mint/expired"
    key: bytes32 = self._key(ret.txid, ret.vout)
    deposit: uint256 = self.deposits[key]
    if deposit != 0:
        assert deposit & ~(2**72 - 1) == self._tag(ret.loan), "retire/not-lost"
        assert deposit & RETIRED == 0, "retire/replayed"
        assert ret.sats <= deposit & MASK_64, "mint/amount"
    assert ret.sats > 0, "mint/amount"
    word: uint256 = self.loans[ret.loan]
    assert ret.sats <= word & MASK_64, "retire/insufficient"
    pledged: uint256 = min(ret.sats, self._held(word))
    assert pledged == 0 or word >> 128 == self._pledgor(ret.pledgor), "token/not-pledgor"
    rest: uint256 = unsafe_sub(ret.sats, pledged)
    assert (
        rest == 0 or rest <= regulated._unheld(regulated.accounts[ret.holder])
    ), "retire/insufficient"
    # THEN
    self.deposits[key] = deposit | self._tag(ret.loan) | RETIRED
    self.loans[ret.loan] = word - ret.sats - (pledged << 64)
    self.supply_and_burns -= ret.sats
    if pledged > 0:
        regulated._unhold(ret.pledgor, pledged, pledged)
        log regulated.Transfer(sender=ret.pledgor, receiver=empty(address), value=pledged)
    if rest > 0:
        regulated._take(ret.holder, regulated.accounts[ret.holder], rest)
        log regulated.Transfer(sender=ret.holder, receiver=empty(address), value=rest)
    log Retired(loan=ret.loan, txid=ret.txid, vout=ret.vout, sats=ret.sats)


# Pledging: the book only


@external
def hold(loan: bytes32, holder: address, sats: uint256):
    """
    @notice The book only; it asks nothing of the holder because it calls only for the borrower that
        called it. Rules: the holder is eligible and may spend them, all that is held for a loan is
        one holder's, and what is pledged to a loan is backed by that loan's own vault.
    """
    word: uint256 = self.loans[loan]
    pledgor: uint256 = self._pledgor(holder)
    # WHO
    assert msg.sender == regulated.book, "token/not-book"
    account: uint256 = regulated._sender(holder)
    assert self._held(word) == 0 or word >> 128 == pledgor, "token/not-pledgor"
    # WHEN
    assert sats <= self._free(word), "top-up/no-tokens"
    if sats > regulated._spendable(account):
        assert sats <= regulated._unheld(account), "top-up/no-tokens"
        raise "token/frozen"
    # THEN
    self.loans[loan] = (word & MASK_128) + (sats << 64) | (pledgor << 128)
    regulated._hold(holder, account, sats)


@external
def release(loan: bytes32, holder: address, sats: uint256):
    """
    @notice The book only. Rule: no more than is held for this loan, to whose it is; it is not asked
        whether that account is eligible.
    """
    self._give_back(loan, holder, sats, 0)


@external
def execute(loan: bytes32, holder: address, taker: address, seized: uint256, released: uint256):
    """
    @notice The book only. Rule: no more than is held for this loan; `seized` goes to the taker, who
        must be eligible, and `released` is the holder's to spend again.
    """
    self._give_back(loan, holder, seized + released, seized)
    if seized > 0:
        account: uint256 = regulated._receiver(taker)
        regulated.accounts[taker] = unsafe_add(account, seized)
        log regulated.Transfer(sender=holder, receiver=taker, value=seized)


# Reading


@view
@external
def totalSupply() -> uint256:
    """
    @notice Anyone may read. Sats.
    """
    return self.supply_and_burns & MASK_64


@view
@external
def burn_count() -> uint256:
    """
    @notice Anyone may read. How many burns there were; the next burn_id.
    """
    return self.supply_and_burns >> 64


@view
@external
def burns_of(holder: address) -> uint256:
    """
    @notice Anyone may read. How many burns of this holder there were; the next `request`.
    """
    return regulated.accounts[holder] >> regulated.BURNS_AT


@view
@external
def outstanding(loan: bytes32) -> uint256:
    """
    @notice Anyone may read. Sats of this loan's vault that tokens still claim.
    """
    return self.loans[loan] & MASK_64


@view
@external
@reentrant
def held(loan: bytes32) -> uint256:
    """
    @notice Anyone may read. Sats pledged to this loan; they sit in the pledgor's balance.
    """
    return self._held(self.loans[loan])


@view
@external
def free(loan: bytes32) -> uint256:
    """
    @notice Anyone may read. Sats that may still be pledged to this loan or burned from its vault.
    """
    return self._free(self.loans[loan])


@view
@external
def minted(txid: bytes32, vout: uint32) -> uint256:
    """
    @notice Anyone may read. Sats minted for this outpoint, 0 if never; stays when retired.
    """
    return self.deposits[self._key(txid, vout)] & MASK_64


@view
@external
def retired(txid: bytes32, vout: uint32) -> bool:
    """
    @notice Anyone may read. Whether the tokens of this outpoint were retired.
    """
    return self.deposits[self._key(txid, vout)] & RETIRED != 0


# Parts


@view
@internal
def _check_quorum(
    struct_hash: bytes32, sigs: DynArray[typed_data.Sig, signer_set.MAX_SIGNERS]
):
    fault: uint256 = signer_set._fault(typed_data._digest(struct_hash), sigs)
    assert fault != signer_set.TOO_FEW, "mint/too-few-signers"
    assert fault != signer_set.STRANGER, "mint/stranger"
    assert fault != signer_set.DUPLICATE, "mint/duplicate-signer"


@internal
def _give_back(loan: bytes32, holder: address, sats: uint256, seized: uint256):
    # Not held any more; `seized` of it is not the holder's any more either.
    word: uint256 = self.loans[loan]
    # WHO
    assert msg.sender == regulated.book, "token/not-book"
    assert word >> 128 == self._pledgor(holder), "token/not-pledgor"
    # WHEN
    assert sats <= self._held(word), "token/not-held"
    # THEN
    self.loans[loan] = unsafe_sub(word, sats << 64)
    regulated._unhold(holder, sats, seized)


@pure
@internal
def _held(word: uint256) -> uint256:
    return (word >> 64) & MASK_64


@pure
@internal
def _free(word: uint256) -> uint256:
    return unsafe_sub(word & MASK_64, self._held(word))


@pure
@internal
def _pledgor(holder: address) -> uint256:
    # 128 bits of an address are enough to tell whose tokens are held.
    return convert(holder, uint256) >> 32


@pure
@internal
def _key(txid: bytes32, vout: uint32) -> bytes32:
    return keccak256(abi_encode(txid, vout))


@pure
@internal
def _tag(loan: bytes32) -> uint256:
    # 184 bits of the loan id are enough to tell which loan a deposit was for.
    return convert(loan, uint256) & ~(2**72 - 1)


@pure
@internal
def _standard(script: Bytes[42]) -> bool:
    # Bitcoin Core's Solver(): witness version 0 and 1 programs, P2PKH, P2SH.
    size: uint256 = len(script)
    if size == 34:
        head: Bytes[2] = slice(script, 0, 2)
        return head == x"0020" or head == x"5120"
    if size == 22:
        return slice(script, 0, 2) == x"0014"
    if size == 25:
        return slice(script, 0, 3) == x"76a914" and slice(script, 23, 2) == x"88ac"
    if size == 23:
        return slice(script, 0, 2) == x"a914" and slice(script, 22, 1) == x"87"
    return False
