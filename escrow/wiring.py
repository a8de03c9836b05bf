"""Which adapter stands behind which port. The only place that builds a world's parts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

from escrow.actors.attestor import Attestor
from escrow.actors.cosigner import Cosigner
from escrow.actors.generations import Agreement, Generations
from escrow.actors.operator import Operator
from escrow.actors.oracle import Oracle
from escrow.actors.party import Party, borrower_at
from escrow.actors.reckoning import PriceRules
from escrow.actors.vaults import BORROWER, Plan, Vaults, cosigner_names, new_parties
from escrow.adapters.bitcoin.keys import derive_seed
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.types import COINBASE_MATURITY
from escrow.adapters.bitcoin.vault import Vault
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.adapters.bitcoin.watch import BitcoinWatch
from escrow.adapters.evm.chain import BlockRecord, Chain
from escrow.adapters.evm.client import EvmClient, EvmWatch
from escrow.adapters.evm.contracts import (
    CONTRACTS,
    ZERO,
    Contract,
    Contracts,
    Deployment,
    contracts_at,
    deploy,
)
from escrow.adapters.store.kept import Kept, as_text, read_kept
from escrow.adapters.store.sqlite import Log
from escrow.adapters.store.world_file import EvmBlock, WorldData
from escrow.clock import Clock
from escrow.config import (
    BLOCK_INTERVAL,
    CHAIN_ID,
    FIRST_BLOCK_TIME,
    WorldConfig,
    block_time_offset,
    extra_parties,
    world_policy,
)
from escrow.core.errors import BadInput, EscrowError
from escrow.core.laws import Step
from escrow.core.phases import agreed_terms
from escrow.core.regions.loan import Indebted
from escrow.core.regions.system import System, new_system
from escrow.core.regions.token import outstanding
from escrow.core.roles import Role
from escrow.core.terms import Terms
from escrow.core.units import MAX_MONEY, PriceE8, Seconds
from escrow.deal import Act
from escrow.engine import Engine
from escrow.pace import Pace
from escrow.parse import is_shallow
from escrow.recall import Tale, acts_as_words, in_one, in_pieces, recalled
from escrow.streams import Streams

_WEI = 10**24
"""Wei that each account starts with: a million ether, for gas."""
_MAX_UINT = 2**256 - 1
KIND, RUSSIA = 1, 643
"""Class and jurisdiction (ISO 3166-1 numeric) under which every party is registered."""
_ALL_RIGHTS = 15
_FOR_EVER = 2**40 - 1
"""The last second that a register can name."""
_BATCH = 32
"""Accounts that one transaction may register."""
_BATCH_GAS = 4_000_000

_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9 -]{0,39}", re.ASCII)
"""What a contract deployed later may be called."""

VaultsOf = Callable[[str], Sequence[Vault]]
Answers = Callable[[Party], bool]
Note = Callable[[str, Step], None]


def master_seed(config: WorldConfig) -> bytes:
    """The secret root of a world."""
    return derive_seed(config.seed.to_bytes(8, "big").rjust(32, b"\0"), name="world")


def make_parties(config: WorldConfig) -> dict[str, Party]:
    """Every party, by name. Raises BadInput("input/party") for a further one of a name that the
    world has."""
    roles = {
        "borrower": Role.BORROWER,
        "lender": Role.LENDER,
        "custodian": Role.CUSTODIAN,
        "liquidator": Role.LIQUIDATOR,
        "arbiter": Role.ARBITER,
        "guardian": Role.GUARDIAN,
        "operator": Role.OPERATOR,
        "issuer": Role.STRANGER,
        "registrar": Role.REGISTRAR,
        "authority": Role.STRANGER,
        "stranger": Role.STRANGER,
        **{f"oracle-{i + 1}": Role.ORACLE for i in range(config.oracles)},
        **{f"attestor-{i + 1}": Role.ATTESTOR for i in range(config.attestors)},
    }
    # A role of the policy that nobody here has a name for is played by a party of its own.
    for name in new_parties(world_policy(config)):
        roles.setdefault(name, Role.CUSTODIAN)
    for name, role in extra_parties(config).items():
        if name in roles:
            raise BadInput("input/party", party=name, reason="taken")
        roles[name] = role
    seed = master_seed(config)
    return {name: Party.from_seed(seed, name=name, role=role) for name, role in roles.items()}


@dataclass(slots=True)
class Wires:
    """A world's parts, connected."""

    clock: Clock
    bitcoin: Node
    evm: EvmClient
    engine: Engine
    parties: dict[str, Party]
    pace: Pace
    streams: Streams
    operator: Operator
    watch: EvmWatch
    log: Log
    cosigners: tuple[Cosigner, ...]
    attestors: tuple[Attestor, ...]
    vaults: Vaults
    answers: Answers
    wallet: Callable[[Party], Wallet]
    """The party's own wallet on this world's node."""
    platform: System
    """The platform before the first event."""
    sides: Callable[[Terms], tuple[Party, Party]]
    """Borrower and lender of terms, as far as they are of this world."""
    rekeys: list[Agreement] = field(default_factory=list)
    """What borrowers and lenders agreed on new vaults, in order."""
    extras: dict[str, Contract] = field(default_factory=dict)
    """Contracts that were deployed later, by label."""
    kept: dict[str, Kept] = field(default_factory=dict)
    """Registers that are kept with the world, by label."""

    def evm_count(self) -> int:
        """EVM transactions so far."""
        return len(self.evm.chain.transactions())

    def evm_hashes(self, since: int) -> tuple[str, ...]:
        """Hashes of EVM transactions after the first ``since``."""
        return tuple(
            "0x" + each.receipt.tx_hash.hex() for each in self.evm.chain.transactions()[since:]
        )

    def take_refusals(self) -> tuple[EscrowError, ...]:
        """Who refused the operator since somebody last asked."""
        taken = tuple(self.operator.refusals)
        self.operator.refusals.clear()
        return taken

    def close(self) -> None:
        """Let go of the kernel and the log."""
        self.bitcoin.close()
        self.log.close()

    def tale(self) -> Tale:
        """What the log tells, and the platform that it begins with."""
        return Tale(self.platform, tuple((each.stream, each.event) for each in self.log.read()))

    def data(self, config: WorldConfig, *, silent: set[str], acts: Sequence[Act]) -> WorldData:
        """Everything a world is made of. Nothing secret but the seed, from which all keys come."""
        return WorldData(
            meta={
                **acts_as_words(acts),
                **(in_pieces("kept", as_text(self.kept)) if self.kept else {}),
                "config": json.dumps(asdict(config), sort_keys=True),
                "now": str(self.clock.now),
                "market": str(self.pace.market or ""),
                "silent": json.dumps(sorted(silent)),
                "lies": json.dumps(self.pace.lies),
                "signed": json.dumps({c.party.name: c.memory for c in self.cosigners}),
                "rekeys": json.dumps([each.as_words() for each in self.rekeys]),
                "extras": json.dumps(
                    {label: (at.name, at.address.hex()) for label, at in self.extras.items()}
                ),
                "floor": str(self.bitcoin.floor),
                "waiting": json.dumps([each.height for each in self.bitcoin.waiting()]),
                "evm_sealed": str(sum(block.sealed for block in self.evm.chain.export())),
            },
            log=tuple((record.stream, record.event) for record in self.log.read()),
            bitcoin_blocks=self.bitcoin.blocks(),
            bitcoin_mempool=self.bitcoin.mempool(),
            evm_blocks=tuple(
                EvmBlock(n, block.timestamp, tuple(block.transactions))
                for n, block in enumerate(self.evm.chain.export(), start=1)
            ),
            streams=dict(self.streams.counters),
        )


def new_wires(config: WorldConfig, vaults_of: VaultsOf, answers: Answers, note: Note) -> Wires:
    """A new world: the borrower has mined coins, the contracts stand, every party is registered,
    cash is issued, and the parties that pay have approved the escrow book."""
    parties = make_parties(config)
    clock = Clock(config.deployed_at)
    node = Node()
    _first_blocks(node, config, parties)
    chain = _chain(config, clock, parties)
    contracts = deploy(_plan(config, parties), account=parties["operator"].account, chain=chain)
    _register(contracts, parties)
    issuer, book = parties["issuer"].account, contracts.book.address
    of_role = {Role.BORROWER: config.borrower_cash, Role.LIQUIDATOR: config.cash}
    extra = extra_parties(config)
    for name, cents in (
        ("lender", config.cash),
        ("liquidator", config.cash),
        ("borrower", config.borrower_cash),
        *((name, of_role[role]) for name, role in extra.items() if role in of_role),
    ):
        contracts.cash.send(issuer, "mint", parties[name].address_bytes, cents)
        contracts.cash.send(parties[name].account, "approve", book, _MAX_UINT)
    chain.seal()
    clock.move_to(config.start)
    return _connect(config, clock, node, chain, contracts, parties, vaults_of, answers, note)


def load_wires(
    data: WorldData, vaults_of: VaultsOf, answers: Answers, note: Note
) -> tuple[WorldConfig, set[str], list[Act], Wires]:
    """A saved world, connected again: blocks and transactions run anew, the log is folded, and
    what was done is told from it.

    Raises ``BadInput``: ``world/format``, ``world/tampered``.
    """
    # A piece of a long text says nothing: whoever puts them together looks at the whole.
    if not all(is_shallow(value) for key, value in data.meta.items() if "/" not in key):
        raise BadInput("world/format", reason="meta")
    try:
        fields = json.loads(data.meta["config"])
        config = WorldConfig(**{**fields, "extra": tuple(fields.get("extra", ()))})
        now = Seconds(int(data.meta["now"]))
        market = PriceE8(int(data.meta["market"])) if data.meta["market"] else None
        sealed = int(data.meta["evm_sealed"])
        floor = int(data.meta["floor"])
        rekeys = [Agreement.from_words(each) for each in json.loads(data.meta["rekeys"])]
        heights = [int(height) for height in json.loads(data.meta["waiting"])]
        waiting = list(zip(data.bitcoin_mempool, heights, strict=True))
        extras = {
            str(label): (str(name), bytes.fromhex(address))
            for label, (name, address) in json.loads(data.meta["extras"]).items()
        }
        silent = {str(name) for name in json.loads(data.meta["silent"])}
        lies = {str(n): PriceE8(int(p)) for n, p in json.loads(data.meta["lies"]).items()}
        signed = {
            str(name): {
                int(burn): [[str(part) for part in spend] for spend in spends]
                for burn, spends in memory.items()
            }
            for name, memory in json.loads(data.meta["signed"]).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, EscrowError) as error:
        raise BadInput("world/format", reason="meta") from error
    kept = _kept(data.meta)
    parties = make_parties(config)
    clock = Clock(config.deployed_at)
    node = Node()
    try:
        for raw in data.bitcoin_blocks:
            node.submit_block(raw)
        node.restore(waiting)
        node.set_floor(floor)
        chain = _chain(config, clock, parties)
        chain.restore(
            [
                BlockRecord(
                    timestamp=block.timestamp,
                    transactions=block.txs,
                    sealed=block.number <= sealed,
                )
                for block in data.evm_blocks
            ]
        )
        clock.move_to(now)
    except EscrowError as error:
        node.close()
        raise BadInput("world/tampered", reason=error.code) from error
    contracts = contracts_at(parties["operator"].address_bytes, nonce=0, chain=chain)
    wires = _connect(config, clock, node, chain, contracts, parties, vaults_of, answers, note)
    wires.streams.counters.update(data.streams)
    wires.kept.update(kept)
    try:
        for label, (name, address) in extras.items():
            wires.extras[label] = _extra(label, name=name, address=address, chain=chain)
    except BadInput:
        wires.close()
        raise
    for cosigner in wires.cosigners:
        cosigner.remember(signed.get(cosigner.party.name, {}))
    try:
        wires.log.append(list(data.log), expected=0)
        wires.engine.replay(data.log)
        for agreement in rekeys:
            take_up(wires, agreement)
        for name, price in lies.items():
            wires.pace.lie(name, price)
    except (AssertionError, EscrowError) as error:
        # An event that cannot follow the ones before it.
        wires.close()
        raise BadInput("world/tampered", reason="log") from error
    if not _agree(wires):
        wires.close()
        raise BadInput("world/tampered", reason="the log and the EVM differ")
    wires.pace.market = market
    try:
        acts = recalled(data.meta, wires.tale(), txs=wires.evm_hashes(0))
    except BadInput:
        wires.close()
        raise
    return config, silent, acts, wires


def is_label(label: str) -> bool:
    """May a contract be called so?"""
    return bool(_LABEL.fullmatch(label)) and label not in CONTRACTS


def _kept(meta: Mapping[str, str]) -> dict[str, Kept]:
    """The registers that a saved world kept. Raises ``BadInput("world/format")``."""
    if "kept" not in meta:
        return {}
    try:
        kept = read_kept(in_one("kept", meta))
    except (KeyError, ValueError) as error:
        raise BadInput("world/format", reason="kept") from error
    if not all(map(is_label, kept)):
        raise BadInput("world/format", reason="kept")
    return kept


def _extra(label: str, *, name: str, address: bytes, chain: Chain) -> Contract:
    """A contract that a saved world names. Raises ``BadInput``: ``world/format``,
    ``world/tampered`` where none is deployed."""
    if not is_label(label) or len(address) != len(ZERO):
        raise BadInput("world/format", reason="extras")
    if not chain.code(address):
        raise BadInput("world/tampered", reason="no contract there")
    try:
        return Contract(name, address=address, chain=chain)
    except KeyError:
        raise BadInput("world/format", reason="extras") from None


def take_up(wires: Wires, agreement: Agreement) -> None:
    """Everybody who signs for vaults or coins verifies an agreement, then knows it: all or none.
    Raises as ``Generations.check``; ``loan/unknown``."""
    terms = agreed_terms(wires.engine.deal(agreement.loan))
    known = [each.generations for each in wires.cosigners]
    known += [each.generations for each in wires.attestors]
    for each in known:
        each.check(agreement, terms=terms)
    for each in known:
        each.agree(agreement, terms=terms)
    wires.rekeys.append(agreement)


def _agree(wires: Wires) -> bool:
    """Do the log and the EVM tell the same of every loan, and the log and the signatures of every
    vault? Where an incident was noted the first may differ: that is what it says."""
    for loan, deal in wires.engine.deals.items():
        agreed = [each.program for each in wires.rekeys if each.loan == loan]
        if [each.program for each in deal.vault.generations] != agreed:
            return False
        live = isinstance(deal.loan, Indebted)
        logged = (
            deal.loan.debt.principal if isinstance(deal.loan, Indebted) else 0,
            deal.token.held,
            outstanding(deal.token),
        )
        # What a loan that is over leaves in the book is a claim, not a debt.
        stored = (
            wires.evm.entry(loan).principal if live else 0,
            wires.evm.held(loan),
            wires.evm.outstanding(loan),
        )
        if logged != stored and not deal.incidents:
            return False
    return True


def _connect(
    config: WorldConfig,
    clock: Clock,
    node: Node,
    chain: Chain,
    contracts: Contracts,
    parties: dict[str, Party],
    vaults_of: VaultsOf,
    answers: Answers,
    note: Note,
) -> Wires:
    evm = EvmClient(contracts, chain=chain)
    policy, streams = world_policy(config), Streams(master_seed(config))
    vaults = Vaults(policy, parties=parties, offset=block_time_offset(config))

    def generations() -> Generations:
        """Each actor's own."""
        return Generations(
            kind=policy.script,
            evm=evm,
            domain=contracts.book.domain,
            successors=lambda terms, roles: vaults.successors(Plan.of(terms), replaced=roles),
        )

    oracles = tuple(
        Oracle(party, domain=contracts.prices.domain)
        for party in parties.values()
        if party.role is Role.ORACLE
    )
    attestors = tuple(
        Attestor(
            party,
            bitcoin=node,
            evm=evm,
            domain=contracts.pledge.domain,
            now=lambda: clock.now,
            generations=generations(),
        )
        for party in parties.values()
        if party.role is Role.ATTESTOR
    )
    cosigners = tuple(
        Cosigner(
            party,
            bitcoin=node,
            evm=evm,
            generations=generations(),
            session=partial(streams.fresh, f"musig/{party.name}"),
            prices=PriceRules(
                heartbeat=config.heartbeat,
                wide_quorum=config.oracle_wide_quorum,
                deviation=config.deviation_bps,
            ),
        )
        for name in cosigner_names(policy)
        for party in _holders(parties, name)
    )

    def sides(terms: Terms) -> tuple[Party, Party]:
        return borrower_at(parties, terms.borrower), parties["lender"]

    wallets: dict[str, Wallet] = {}

    def wallet_of(party: Party) -> Wallet:
        if party.name not in wallets:
            wallets[party.name] = Wallet(party.keys, node=node)
        return wallets[party.name]

    operator = Operator(
        parties["operator"],
        sides=sides,
        holder=lambda role, terms: vaults.holder(role, borrower=terms.borrower),
        attestors=attestors,
        attestor_quorum=config.attestor_quorum,
        cosigners=cosigners,
        bitcoin=node,
        evm=evm,
        vault_of=lambda loan: vaults_of(loan)[-1],
        vaults_of=vaults_of,
        wallet_of=wallet_of,
        answers=answers,
        now=lambda: clock.now,
        clock_at=node.median_time_at,
    )
    roles = {party.address_bytes: party.role for party in parties.values()}
    watch = EvmWatch(evm, roles=roles, cursor=chain.cursor)
    log = Log()
    platform = new_system(
        origin=config.deployed_at,
        heartbeat=config.heartbeat,
        quorum=config.oracle_quorum,
        wide_quorum=config.oracle_wide_quorum,
        deviation=config.deviation_bps,
    )
    engine = Engine(
        system=platform,
        log=log,
        watches=(BitcoinWatch(node, kind=policy.script, vaults_of=vaults_of), watch),
        performer=operator,
        check_laws=config.check_laws,
        on_event=note,
    )
    pace = Pace(
        config,
        clock=clock,
        bitcoin=node,
        evm=evm,
        engine=engine,
        oracles=oracles,
        operator=parties["operator"],
        answers=answers,
        refusals=operator.refusals,
    )
    return Wires(
        clock=clock,
        bitcoin=node,
        evm=evm,
        engine=engine,
        parties=parties,
        pace=pace,
        streams=streams,
        operator=operator,
        watch=watch,
        log=log,
        cosigners=cosigners,
        attestors=attestors,
        vaults=vaults,
        answers=answers,
        wallet=wallet_of,
        platform=platform,
        sides=sides,
    )


def _holders(parties: dict[str, Party], role: str) -> list[Party]:
    """Who signs for a role: of the borrower's, every borrower, each for its own loans."""
    if role != BORROWER:
        return [parties[role]]
    return [party for party in parties.values() if party.role is Role.BORROWER]


def _first_blocks(node: Node, config: WorldConfig, parties: dict[str, Party]) -> None:
    """Borrowers are miners: the first rewards are their own, and old enough to spend."""
    first, *further = _holders(parties, BORROWER)
    miners = [*[first] * config.miner_blocks, *further]
    total = len(miners) + COINBASE_MATURITY
    for i in range(total):
        time = FIRST_BLOCK_TIME - (total - 1 - i) * BLOCK_INTERVAL
        node.mine(time=time, script_pubkey=miners[i].script if i < len(miners) else None)


def _chain(config: WorldConfig, clock: Clock, parties: dict[str, Party]) -> Chain:
    alloc = {party.address_bytes: _WEI for party in parties.values()}
    return Chain(chain_id=CHAIN_ID, genesis_time=config.deployed_at - 1, alloc=alloc, clock=clock)


def _plan(config: WorldConfig, parties: dict[str, Party]) -> Deployment:
    def of(role: Role) -> tuple[bytes, ...]:
        return tuple(p.address_bytes for p in parties.values() if p.role is role)

    return Deployment(
        cash_name="Settlement rouble",
        cash_symbol="RUBd",
        issuer=parties["issuer"].address_bytes,
        registrar=parties["registrar"].address_bytes,
        authority=parties["authority"].address_bytes,
        oracles=of(Role.ORACLE),
        oracle_quorum=config.oracle_quorum,
        wide_quorum=config.oracle_wide_quorum,
        heartbeat=config.heartbeat,
        deviation_bps=config.deviation_bps,
        guardian=parties["guardian"].address_bytes,
        attestors=of(Role.ATTESTOR),
        attestor_quorum=config.attestor_quorum,
        supply_cap=MAX_MONEY,
        auction_cap=config.auction_cap,
        rotation_delay=config.rotation_delay,
    )


def _register(contracts: Contracts, parties: dict[str, Party]) -> None:
    """Every party may do whatever parties may do."""
    registry, account = contracts.registry, parties["registrar"].account
    registry.send(account, "set_rule", KIND, RUSSIA, _ALL_RIGHTS)
    entries = [(p.address_bytes, KIND, RUSSIA, _FOR_EVER) for p in parties.values()]
    for first in range(0, len(entries), _BATCH):
        batch = entries[first : first + _BATCH]
        registry.send(account, "admit", batch, gas=_BATCH_GAS)
