"""What a world is made with. Defaults are ordinary practice; each says where it comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from escrow.core.errors import BadInput
from escrow.core.roles import Role
from escrow.core.terms import Liquidation
from escrow.core.units import BPS, DAY, HOUR, YEAR, Bps, Cents, Sats, Seconds
from escrow.custody.audit import check
from escrow.custody.policy import Form, Policy
from escrow.custody.read import load_policy, read_policy, shipped

FIRST_BLOCK_TIME: Final = Seconds(1_325_376_000)
"""2012-01-01: Bitcoin block time at the start of every world.

The kernel refuses blocks dated more than two hours ahead of the machine's clock, and regtest
starts in 2011. So block time = world time − a constant offset, chosen when the world starts:
a loan set in 2030 runs, with over a decade of room.
"""
BLOCK_INTERVAL: Final = Seconds(600)
"""Target spacing of Bitcoin blocks."""
POLICY: Final = "two-of-three-recovery"
"""Custody policy where nobody names another."""
CHAIN_ID: Final = 31_337
"""Chain id of local development chains (Hardhat's and anvil's default)."""
MAX_EXTRA: Final = 200
"""Most further parties of one world: each costs it keys, registration and cash when it begins."""
EXTRA_ROLES: Final = frozenset({Role.BORROWER, Role.LIQUIDATOR, Role.STRANGER})
"""What a further party may be. Lender, operator and signers are one set for a world."""
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldConfig:
    """Everything that makes one world differ from another."""

    seed: int = 1
    """Root of all keys and all chance."""
    start: Seconds = Seconds(1_764_547_200)
    """2025-12-01T00:00:00Z: when the world begins."""
    heartbeat: Seconds = DAY
    """Age at which a price is stale (24 h: Liquity v2, ETH)."""
    oracles: int = 5
    """Oracles in the set."""
    oracle_quorum: int = 3
    """Oracles that report a price: odd, so that one is in the middle."""
    oracle_wide_quorum: int = 5
    """Oracles that report a jump: odd."""
    deviation_bps: Bps = Bps(2_000)
    """A price further than this from the last one is a jump: what one quorum
    alone may move it by from one round to the next."""
    attestors: int = 3
    """Attestors in the set."""
    attestor_quorum: int = 2
    """Attestors that sign a mint or a retirement."""
    rotation_delay: Seconds = Seconds(2 * DAY)
    """From the proposal of another set of oracles or attestors to its rotation."""
    miner_blocks: int = 4
    """Block rewards (50 BTC each) that the borrower, a miner, starts with."""
    cash: Cents = Cents(10**12)
    """Cash that the lender and the liquidator start with, each."""
    borrower_cash: Cents = Cents(10**8)
    """Cash that the borrower starts with, to pay interest from."""
    auction_cap: Cents = Cents(10**12)
    """Principal that may be in auctions at once (Maker's ``Hole``)."""
    check_laws: bool = True
    """Check every law after every event?"""
    policy: str = POLICY
    """Custody policy of every vault: the name of a shipped one, or TOML text, which is kept."""
    extra: tuple[str, ...] = ()
    """Further parties, each ``name:role``, e.g. ``miner-7:borrower``; roles: ``EXTRA_ROLES``. A
    borrower starts with one block reward (50 BTC; half from block 150 on, where regtest halves)
    and with as much cash as the first one, a liquidator too; all may do what parties may do."""

    @property
    def deployed_at(self) -> Seconds:
        """When the contracts are deployed: a second before the world begins, in a block of its
        own; the EVM's genesis is a second before that."""
        return Seconds(self.start - 1)

    def __post_init__(self) -> None:
        """Raises ``BadInput``: ``input/seed``, ``input/time``, ``input/amount``,
        ``input/party``."""
        if not isinstance(self.seed, int) or isinstance(self.seed, bool):
            raise BadInput("input/seed")
        if not 0 <= self.seed < 2**64:
            raise BadInput("input/seed")
        # Time locks are block times below 2**31 (BIP-65 as miniscript has it).
        if not FIRST_BLOCK_TIME <= self.start < 2**32 or not HOUR <= self.heartbeat <= 30 * DAY:
            raise BadInput("input/time", start=self.start, heartbeat=self.heartbeat)
        for size, quorum in (
            (self.oracles, self.oracle_quorum),
            (self.attestors, self.attestor_quorum),
        ):
            if not 1 <= quorum <= size <= 15:
                raise BadInput("input/amount", size=size, quorum=quorum)
        quorum, wide = self.oracle_quorum, self.oracle_wide_quorum
        if not quorum <= wide <= self.oracles or quorum % 2 == 0 or wide % 2 == 0:
            raise BadInput("input/amount", quorum=quorum, wide_quorum=wide, size=self.oracles)
        if not 1 <= self.deviation_bps <= 10 * BPS:
            raise BadInput("input/amount", deviation_bps=self.deviation_bps)
        if not 1 <= self.rotation_delay <= YEAR:
            raise BadInput("input/time", rotation_delay=self.rotation_delay)
        if not 1 <= self.miner_blocks <= 50:
            raise BadInput("input/amount", miner_blocks=self.miner_blocks)
        extra_parties(self)


def extra_parties(config: WorldConfig) -> dict[str, Role]:
    """A world's further parties, in their order. Raises BadInput("input/party")."""
    if not isinstance(config.extra, tuple) or len(config.extra) > MAX_EXTRA:
        raise BadInput("input/party", most=MAX_EXTRA)
    roles = {role.value: role for role in EXTRA_ROLES}
    found: dict[str, Role] = {}
    for each in config.extra:
        name, _, role = each.partition(":") if isinstance(each, str) else ("", "", "")
        fits = len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None
        if not fits or role not in roles or name in found:
            raise BadInput("input/party", party=str(each)[:40])
        found[name] = roles[role]
    return found


def world_policy(config: WorldConfig) -> Policy:
    """The custody policy of a world's vaults, read and audited.

    Raises BadInput: "policy/unknown" for a name that is not shipped, "policy/value" for exits
    that are signed ahead: no loan here agrees those up front (the vault lab does);
    and what ``read_policy`` and ``audit.check`` raise.
    """
    text = config.policy
    if not isinstance(text, str):
        raise BadInput("policy/format", reason="not text")
    if "[" in text:
        policy = read_policy(text)
        check(policy)
    elif text in shipped():
        policy = load_policy(text)
    else:
        raise BadInput("policy/unknown", name=text[:40])
    for path in policy.paths:
        if path.form not in (Form.SCRIPT, Form.MUSIG):
            raise BadInput("policy/value", path=path.name, form=path.form.value, reason="no world")
    return policy


def block_time_offset(config: WorldConfig) -> int:
    """World time − Bitcoin block time: constant for a world (``FIRST_BLOCK_TIME``)."""
    return config.start - FIRST_BLOCK_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanDefaults:
    """Terms of a loan where the caller says nothing. Spans in seconds from the offer."""

    principal: Cents = Cents(5_000_000)
    """50,000.00."""
    rate_bps: Bps = Bps(1_200)
    """12 % a year, within the published 9.5–13.4 % of bitcoin lenders."""
    initial_ltv: Bps = Bps(5_000)
    """50 %: Ledn, Strike, Firefish."""
    restore_ltv: Bps = Bps(6_000)
    """60 %: Strike."""
    call_ltv: Bps = Bps(7_000)
    """70 %: Ledn, Strike."""
    liquidation_ltv: Bps = Bps(8_500)
    """85 %: Strike."""
    cure: Seconds = DAY
    """24 h: Unchained, Strike, Maple."""
    expires_in: Seconds = DAY
    """Time to accept and open."""
    draw_in: Seconds = Seconds(7 * DAY)
    """Time to draw."""
    term: Seconds = Seconds(365 * DAY)
    """Until maturity."""
    grace: Seconds = Seconds(10 * DAY)
    """10 days after maturity: Strike."""
    recover_in: Seconds = Seconds(30 * DAY)
    """From default to the borrower's recovery: the lender's window to act."""
    confirmations: int = 6
    """6 from 1 BTC up: DLC, Maker."""
    liquidation: Liquidation = Liquidation.TAKE_OVER
    """As Debifi and Firefish."""
    bonus_bps: Bps = Bps(500)
    """5 %: Hodl Hodl's fee, Aave's WBTC bonus."""
    max_fee: Sats = Sats(20_000)
    """Bound on the miner's fee of a payout."""
    target_ltv: Bps = Bps(6_000)
    """Partial sale: 60 %, Strike. Other kinds have none."""
    fee_bps: Bps = Bps(0)
    """No liquidation fee (Strike: 0.99 %)."""
    min_left: Cents = Cents(0)
    """No least debt after a sale."""
    buf_bps: Bps = Bps(12_000)
    """Auction: 1.2 of the price, Maker's ``buf``."""
    cut_bps: Bps = Bps(9_900)
    """Auction: a hundredth less each step, Maker's ``cut``."""
    step: Seconds = Seconds(90)
    """Auction: 90 s, Maker's ``step``."""
    tail: Seconds = Seconds(7_200)
    """Auction: two hours (Maker: 2 h 20 min for ETH-A)."""
    cusp_bps: Bps = Bps(4_000)
    """Auction: 40 % of its first price, Maker's ``cusp``."""
    dispute: Seconds = Seconds(2 * DAY)
    """Time of the arbiter, where one is named."""

    @property
    def of_kind(self) -> dict[str, Any]:
        """The terms that only this kind of liquidation has; the others are left at zero."""
        match self.liquidation:
            case Liquidation.PARTIAL:
                names = ["bonus_bps", "target_ltv"]
            case Liquidation.AUCTION:
                names = ["buf_bps", "cut_bps", "step", "tail", "cusp_bps"]
            case _:
                names = ["bonus_bps"]
        return {"bonus_bps": 0} | {name: getattr(self, name) for name in names}
