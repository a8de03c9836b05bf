"""A miner in a world: its machines work in figures, and what they earn is paid on the chain.

Blocks that it finds alone pay it their reward; a pool pays it by the pool's own transactions. The
regtest chain's subsidies are its own (they halve every 150 blocks), so solo rewards have nothing
to do with the site's hash rate; what a pool pays follows it to the sat.

Holds no state: what is credited follows from site and path, what was paid is read off the chain.
So a world that was saved or forked goes on with a miner made anew.
"""

from __future__ import annotations

from typing import Any

from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.types import COINBASE_MATURITY
from escrow.adapters.bitcoin.vault import address_of
from escrow.core.errors import BadInput
from escrow.core.units import DAY, Sats, Seconds
from escrow.deal import Deal
from escrow.mining.path import NetworkPath
from escrow.mining.pool import Balance, PoolTerms, due, pay
from escrow.mining.report import credited
from escrow.mining.site import Site
from escrow.mining.tax import Receipt
from escrow.mining.units import WattHours
from escrow.ports import OutPoint
from escrow.sim.origin import CoinOrigin, Kind, trace_origin
from escrow.words import exact
from escrow.world import World


class Miner:
    """A party of a world that mines at a site, alone or with a pool."""

    def __init__(
        self,
        world: World,
        *,
        site: Site,
        path: NetworkPath,
        terms: PoolTerms,
        party: str = "borrower",
        pool: str = "pool",
        registration: str = "not stated",
    ) -> None:
        """``pool`` is the party whose wallet pays under ``terms``; ``registration`` what the
        register of miners says of this one, in words. Raises BadInput: ``input/unknown-party``,
        ``pool/terms`` for a pool that would pay itself."""
        self.world, self.site, self.path, self.terms = world, site, path, terms
        self.party, self.pool = world.party(party), world.party(pool)
        self.registration = registration
        if self.pool.script in self.own:
            raise BadInput("pool/terms", reason="a pool that pays itself")

    def __repr__(self) -> str:
        return f"<Miner {self.party.name} at {self.site.name!r}, pool {self.terms.name!r}>"

    @property
    def own(self) -> tuple[bytes, ...]:
        """Its output scripts: its wallet's, and where the pool pays."""
        return tuple(dict.fromkeys((self.party.script, self.terms.payout_script)))

    @property
    def pools(self) -> dict[str, bytes]:
        """Its pool, and what that pays from."""
        return {self.terms.name: self.pool.script}

    # --- what it earns ---

    @property
    def balance(self) -> Balance:
        """Its account with the pool at this second: what its site has earned since it was switched
        on, or since the path begins, and what the chain shows was paid, confirmed or waiting.

        Raises BadInput: ``site/time``, ``network/outside``.
        """
        since = max(self.site.since, self.path.since)
        earned = credited(self.site, self.path, pool=self.terms, since=since, until=self.world.now)
        return Balance(earned.credited, self._paid())

    @property
    def meter(self) -> WattHours:
        """What its site's meter shows now. Raises BadInput("site/time")."""
        return self.site.meter(at=self.world.now)

    def mine(self, blocks: int = 1) -> tuple[OutPoint, ...]:
        """Find blocks alone: their rewards, which may be spent a hundred blocks later."""
        before = self.world.bitcoin.height
        self.world.mine(blocks, to=self.party.name)
        found = self.world.bitcoin.history(self.party.script)
        index = self.world.bitcoin.index
        return tuple(
            each
            for each in found
            if (tx := index.transactions.get(each.txid)) and not tx.position and tx.height > before
        )

    def collect(self) -> str:
        """The pool pays what is due from its own wallet; the transaction's id. Empty if nothing is
        due, or the pool does not answer: then the balance is carried.

        Raises Refused("bitcoin/funds") if the pool has too few coins, and as ``balance``.
        """
        balance = self.balance
        sats = due(balance, terms=self.terms)
        if not sats or self.pool.name in self.world.silent:
            return ""
        pay(balance, sats, terms=self.terms)
        to = address_of(self.terms.payout_script)
        return self.world.pay(self.pool.name, btc=exact(sats), to=to)

    # --- what it can show ---

    def origin(self, outpoint: OutPoint) -> CoinOrigin:
        """The record of any output in a block, with this miner's scripts and pool. Raises
        Refused: ``origin/unknown``, ``origin/too-many``."""
        return trace_origin(self.world.bitcoin, outpoint, own=self.own, pools=self.pools)

    def origins(self) -> tuple[CoinOrigin, ...]:
        """The record of every reward and payout that reached it, spent or not, oldest first."""
        node = self.world.bitcoin
        found = (each for script in self.own for each in node.history(script))
        records = (self.origin(each) for each in found if node.depth(each.txid))
        mined = [each for each in records if each.coin.kind in (Kind.COINBASE, Kind.POOL_PAYOUT)]
        return tuple(sorted(mined, key=lambda each: (each.coin.height, each.coin.outpoint)))

    def pledged(self, deal: Deal) -> tuple[CoinOrigin, ...]:
        """The record of every coin in the vault of a loan, oldest first."""
        coins = self.world.bitcoin.coins(deal.vault.script_pubkey)
        return tuple(self.origin(each.outpoint) for each in coins)

    def receipts(self) -> tuple[Receipt, ...]:
        """Rewards and payouts for the tax record, each at the time of its block on the world's
        clock."""
        offset, index = self.world.block_time_offset, self.world.bitcoin.index
        return tuple(
            Receipt(
                Seconds(index.times[each.coin.height] + offset),
                each.coin.sats,
                str(each.coin.outpoint),
            )
            for each in self.origins()
        )

    def profile(self) -> dict[str, Any]:
        """Who it is and what it does a day, for reports: integers with the unit in the name."""
        since = max(self.site.since, self.path.since)
        stretch = self.path.at(since)
        day = credited(
            self.site,
            self.path,
            pool=self.terms,
            since=since,
            until=Seconds(min(since + DAY, stretch.until)),
        )
        return {
            "party": self.party.name,
            "site": self.site.name,
            "machines": sum(each.count for each in self.site.running),
            "hash_rate_gh_s": self.site.hash_rate,
            "power_cap_watts": self.site.power_cap,
            "power_micro_watts": self.site.power,
            "first_day_sats": day.owed,
            "pool": self.terms.name,
            "pool_scheme": self.terms.scheme.value,
            "pool_fee_bps": self.terms.fee_bps,
            "payout_address": address_of(self.terms.payout_script),
            "registration": self.registration,
        }

    def _paid(self) -> Sats:
        """What the pool paid to the payout script, by transactions of its own coins alone."""
        node, total = self.world.bitcoin, 0
        for each in node.history(self.terms.payout_script):
            raw = node.transaction(each.txid)
            tx = None if raw is None else read_transaction(raw)
            if tx is None or tx.is_coinbase:
                continue
            spent = [(node.transaction(v.prev_out.tx_id.hex()), v.prev_out.vout) for v in tx.vin]
            scripts = [
                read_transaction(prev).vout[n].script_pub_key.script for prev, n in spent if prev
            ]
            if all(script == self.pool.script for script in scripts):
                total += tx.vout[each.vout].value
        return Sats(total)


def fund_pool(world: World, pool: str = "pool", *, blocks: int = 1) -> None:
    """Give a pool coins to pay with: it finds blocks, and a hundred more are found by others, so
    that the rewards may be spent. Time passes: ten minutes a block."""
    world.mine(blocks, to=pool)
    world.mine(COINBASE_MATURITY)
