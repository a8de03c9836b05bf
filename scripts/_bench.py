"""What ``scripts/bench`` runs. Times are the best of several runs: other programs only add."""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from _bench_gas import HEAD, Line, account, gas

from escrow import Deal, World, WorldConfig
from escrow.adapters.evm.contracts import Contract
from escrow.config import CHAIN_ID
from escrow.core.units import DAY, Seconds

ROOT = Path(__file__).resolve().parent.parent
ANVIL = ROOT / ".tools/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
"""Where ``scripts/tools`` puts it."""
sys.path += [str(ROOT / "tests" / folder) for folder in ("ports", "conformance")]


@dataclass(frozen=True)
class Row:
    """One measure."""

    name: str
    value: float
    unit: str
    least: float | None = None
    """What is asked for: at least this,"""
    most: float | None = None
    """or less than this."""

    def verdict(self) -> str:
        if self.least is not None:
            return f"at least {self.least:,.0f}: {'yes' if self.value >= self.least else 'NO'}"
        if self.most is not None:
            return f"under {self.most:,.4g}: {'yes' if self.value < self.most else 'NO'}"
        return ""

    def text(self) -> str:
        amount = f"{self.value:,.0f}" if self.value >= 1_000 else f"{self.value:,.2f}"
        return f"  {self.name:<52} {amount:>10} {self.unit:<3} {self.verdict()}"

    def json(self) -> dict[str, object]:
        return asdict(self)


Rows = Iterator[Row]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(work: Callable[[], object], *, runs: int = 5) -> float:
    return min(seconds(work) for _ in range(runs))


# --- start: the command line is there at once ---


def start(_: argparse.Namespace) -> Rows:
    python = sys.executable
    command = str(Path(python).with_name("escrow"))
    bare, full = [], []
    with TemporaryDirectory() as folder:
        # An editable installation slows every start of its Python, so compare with an empty one.
        subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
        plain = str(Path(folder, "bin", "python"))
        for _ in range(15):
            bare.append(seconds(partial(run, plain, "-c", "pass")))
            full.append(seconds(partial(run, command, "--help")))
    yield Row("python -c pass", min(bare) * 1e3, "ms")
    yield Row("escrow --help", min(full) * 1e3, "ms")
    yield Row("escrow --help / python -c pass", min(full) / min(bare), "x", most=5)
    probe = (
        "import sys; from escrow.cli import app; app(['--help'], standalone_mode=False);"
        "print(sum(name in sys.modules for name in ('web3', 'pbk')))"
    )
    done = subprocess.run([python, "-c", probe], check=True, capture_output=True, text=True)
    yield Row("of web3 and pbk, loaded by --help", int(done.stdout.split()[-1]), "", most=1)


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


# --- core: the rules alone ---


def core(_: argparse.Namespace) -> Rows:
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.stateful import invariant, run_state_machine_as_test

    from escrow import engine
    from escrow.core.decide import decide, witness
    from escrow.core.state import evolve
    from escrow.sim.scenes import play
    from escrow.testing import EscrowMachine

    asked = []

    def record(rule):
        def recorded(escrow, command):
            events = rule(escrow, command)
            if events:
                asked.append((rule, escrow, command))
            return events

        return recorded

    with patch.multiple(engine, decide=record(decide), witness=record(witness)):
        play("liquidation", seed=1).close()

    def again() -> None:
        for rule, escrow, command in asked:
            state = escrow
            for event in rule(escrow, command):
                state = evolve(state, event)

    rate = len(asked) / best(again, runs=200)
    yield Row("decide+evolve, commands of a liquidation", rate, "/s", least=50_000)

    class Counted(EscrowMachine):
        steps = 0

        @invariant()
        def count(self):
            Counted.steps += 1

    quick = settings(
        max_examples=100,
        stateful_step_count=50,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    took = seconds(lambda: run_state_machine_as_test(Counted, settings=quick))
    yield Row("Hypothesis machine, every law at every event", Counted.steps / took, "/s", 1_000)


# --- loan: both chains against the EVM transactions alone ---


def life(world: World) -> Deal:
    """Open to release: offered, accepted, pledged, minted, drawn, repaid, burned, paid out."""
    loan = world.open(btc="1.5", principal="50000.00", price="80000")
    world.repay(loan)
    return world.release(loan)


def loan(_: argparse.Namespace) -> Rows:
    # eth-tester never dates a block before the machine's clock, so the world is set after it.
    later = Seconds(int(time.time()) + 30 * DAY)
    ours, raw, filled = [], [], []
    for seed in range(1, 8):
        world = World(config=WorldConfig(seed=seed, start=later))
        done = len(world.evm.chain.transactions())
        ours.append(seconds(lambda w=world: life(w)))
        assert world.loans[0].phase == "RELEASED"
        assert not world.engine.broken
        raw.append(replay(world, after=done, signed=True))
        filled.append(replay(world, after=done, signed=False))
        count = len(world.evm.chain.transactions()) - done
        world.close()
    yield Row("whole loan, both chains, laws checked", min(ours) * 1e3, "ms")
    yield Row(f"its {count} EVM transactions, eth-tester, explicit gas", min(filled) * 1e3, "ms")
    yield Row("same, signed before the clock starts", min(raw) * 1e3, "ms")
    yield Row("whole loan / EVM transactions alone", min(ours) / min(filled), "x", most=1)
    yield Row("whole loan / same, signed before", min(ours) / min(raw), "x")
    yield from parts()


def replay(world: World, *, after: int, signed: bool) -> float:
    """Seconds that web3 on eth-tester takes for a world's transactions after the first ``after``.

    Same contracts at the same addresses, same accounts, times and calls, so each must succeed
    and use the same gas. Either the very bytes are sent, signed before the clock starts; or web3
    does what our world does too: encodes the call, fills in the rest and signs.
    """
    from eth_tester import EthereumTester, PyEVMBackend
    from eth_tester.backends.pyevm.main import get_default_genesis_params
    from web3 import EthereumTesterProvider, Web3

    chain = world.evm.chain
    accounts = {
        party.address_bytes: {"balance": 10**24, "nonce": 0, "code": b"", "storage": {}}
        for party in world.parties.values()
    }
    genesis = {"gas_limit": 200_000_000, "timestamp": chain.block(0).timestamp}
    backend = PyEVMBackend(get_default_genesis_params(genesis), accounts)
    backend.chain.chain_id = CHAIN_ID
    tester = EthereumTester(backend)
    for party in world.parties.values():
        tester.add_account("0x" + bytes(party.account.key).hex())
    w3 = Web3(EthereumTesterProvider(tester))
    contracts = web3_contracts(world, w3)
    total = 0.0
    for number, each in enumerate(chain.transactions()):
        transaction, receipt = each.transaction, each.receipt
        if backend.chain.header.timestamp < receipt.timestamp:
            tester.time_travel(receipt.timestamp)
        send = partial(w3.eth.send_raw_transaction, transaction.raw)
        if transaction.to and not signed:
            send = web3_call(contracts, transaction)
        begin = time.perf_counter()
        answer = w3.eth.wait_for_transaction_receipt(send())
        if number >= after:
            total += time.perf_counter() - begin
        assert answer["status"] == 1, "eth-tester refuses what our chain took"
        assert answer["gasUsed"] == receipt.gas_used, "eth-tester counts other gas"
    return total


# --- anvil: the same calls on a node in Rust, as web3.py makes them ---


def anvil(_: argparse.Namespace) -> Rows:
    """A loan's EVM transactions, encoded, filled in, run and receipted: on our chain, which also
    signs them; and on anvil over HTTP, which takes them unsigned, with the gas given."""
    if not ANVIL.exists():
        print("  left out: anvil is not there, run scripts/tools", file=sys.stderr)
        return
    whole, ours, theirs = [], [], []
    for seed in range(1, 8):
        with World(seed=seed) as world:
            done = len(world.evm.chain.transactions())
            whole.append(seconds(lambda w=world: life(w)))
            count = len(world.evm.chain.transactions()) - done
            ours.append(replay_at_home(world, after=done))
            theirs.append(replay_on_anvil(world, after=done))
    yield Row(f"a loan's {count} EVM transactions, our chain", min(ours) * 1e3, "ms")
    yield Row("same, anvil by web3.py over HTTP, explicit gas", min(theirs) * 1e3, "ms")
    yield Row("our chain / anvil", min(ours) / min(theirs), "x", most=1)
    yield Row("whole loan, both chains, laws checked", min(whole) * 1e3, "ms")
    yield Row("whole loan / its EVM part on anvil", min(whole) / min(theirs), "x", most=1)


def replay_at_home(world: World, *, after: int) -> float:
    """Seconds that a new chain of ours takes for a world's transactions after the first ``after``,
    each by its owner: encoded, filled in and signed anew."""
    from escrow.adapters.evm import abi
    from escrow.adapters.evm.chain import Chain
    from escrow.clock import Clock

    made, parts = world.evm.chain, world.evm.contracts
    people = {party.address_bytes: party for party in world.parties.values()}
    start = made.block(0).timestamp
    chain = Chain(
        chain_id=CHAIN_ID,
        genesis_time=start,
        alloc={who: made.balance(who, block=0) for who in people},
        clock=Clock(start),
    )
    contracts = {
        each.address: Contract(each.name, address=each.address, chain=chain)
        for each in (parts.cash, parts.prices, parts.pledge, parts.book)
    }
    total = 0.0
    for number, each in enumerate(made.transactions()):
        transaction, receipt = each.transaction, each.receipt
        chain.clock.at_least(receipt.timestamp)
        send = partial(chain.send, transaction.raw)
        if number >= after:
            contract = contracts[transaction.to]
            kinds = contract.artifact.functions.values()
            kind = next(one for one in kinds if one.selector == transaction.data[:4])
            args = abi.decode(kind.inputs, transaction.data[4:])
            account = people[transaction.sender].account
            send = partial(contract.send, account, kind.name, *args, gas=transaction.gas)
        begin = time.perf_counter()
        answer = send()
        if number >= after:
            total += time.perf_counter() - begin
        assert answer.gas_used == receipt.gas_used, "it is another story"
    return total


def replay_on_anvil(world: World, *, after: int) -> float:
    """Seconds that web3.py on anvil takes for a world's transactions after the first ``after``."""
    from node_lab import anvil as started
    from web3 import HTTPProvider, Web3

    chain = world.evm.chain
    alloc = {party.address_bytes: 10**24 for party in world.parties.values()}
    first = chain.block(0)
    with started(
        ANVIL,
        *("--chain-id", str(CHAIN_ID), "--auto-impersonate"),
        genesis_time=first.timestamp,
        alloc=alloc,
        base_fee=first.base_fee,
    ) as url:
        w3 = Web3(HTTPProvider(url))
        contracts = web3_contracts(world, w3)
        total = 0.0
        for number, each in enumerate(chain.transactions()):
            transaction, receipt = each.transaction, each.receipt
            w3.provider.make_request("evm_setNextBlockTimestamp", [receipt.timestamp])
            send = partial(w3.eth.send_raw_transaction, transaction.raw)
            if number >= after:
                send = web3_call(contracts, transaction)
            begin = time.perf_counter()
            answer = w3.eth.wait_for_transaction_receipt(send(), poll_latency=0.001)
            if number >= after:
                total += time.perf_counter() - begin
            assert answer["status"] == 1, "anvil refuses what our chain took"
            assert answer["gasUsed"] == receipt.gas_used, "anvil counts other gas"
        return total


def web3_contracts(world: World, w3) -> dict[bytes, object]:
    ours = world.evm.contracts
    return {
        each.address: w3.eth.contract(w3.to_checksum_address(each.address), abi=abi_of(each))
        for each in ours.parts
    }


def web3_call(contracts, transaction) -> Callable[[], object]:
    """A transaction's call as a user of web3 makes it, by an account that the node signs for."""
    contract = contracts[transaction.to]
    function, args = contract.decode_function_input(transaction.data)
    sender = contract.w3.to_checksum_address(transaction.sender)
    return partial(transact, function, args, {"from": sender, "gas": transaction.gas})


def transact(function, args, options):
    return function(**args).transact(options)


def abi_of(contract: Contract) -> object:
    artifact = files("escrow.adapters.evm") / "artifacts" / f"{contract.name}.json"
    return json.loads(artifact.read_text())["abi"]


def parts() -> Rows:
    """What the single steps cost, on a world that is up."""
    from escrow.adapters.bitcoin import psbt
    from escrow.adapters.evm import typed

    with World(seed=1) as world:
        deal = life(world)
        lender, cash = world.party("lender"), world.evm.contracts.cash
        book, pay = world.party("borrower").address_bytes, 50

        def transfers() -> None:
            for _ in range(pay):
                cash.send(lender.account, "transfer", book, 1)

        def blocks() -> None:
            for _ in range(pay):
                world.clock.move_to(Seconds(world.clock.now + 1))
                cash.send(lender.account, "transfer", book, 1)
                world.evm.chain.seal()

        yield Row("EVM transaction, signed by its owner", best(transfers) / pay * 1e3, "ms")
        yield Row("EVM transaction in a block of its own", best(blocks) / pay * 1e3, "ms")
        node = world.bitcoin

        def mine() -> None:
            for _ in range(pay):
                node.mine(time=node.tip_time + 600)

        yield Row("Bitcoin block, by the kernel", best(mine) / pay * 1e3, "ms")
        vault, raw = deal.vault, None
        for outpoint in node.history(vault.script_pubkey):
            raw = node.transaction(outpoint.txid)
        draft = psbt.update(
            psbt.create([outpoint], outputs=[(lender.script, 10**6)]), owner=vault, prev_txs=[raw]
        )
        signing = best(lambda: psbt.sign(draft, keys=lender.keys), runs=30)
        yield Row("PSBT signature, one input of the vault", signing * 1e3, "ms")
        price = {"round": 1, "price": 10**12, "at": world.now}
        domain = world.evm.contracts.prices.domain
        attest = best(lambda: typed.sign_price(lender.account, price=price, domain=domain), runs=30)
        yield Row("EIP-712 signature", attest * 1e3, "ms")


# --- worlds: many in one process ---


def worlds(options: argparse.Namespace) -> Rows:
    total = options.worlds
    marks, files, began = [], [], time.perf_counter()
    every = max(1, total // 10)
    for number in range(1, total + 1):
        World(seed=number).close()
        if number % every == 0:
            gc.collect()
            marks.append(resident())
            files.append(len(os.listdir("/proc/self/fd")))
            yield Row(f"memory after {number} worlds", marks[-1] / 2**20, "MB")
    yield Row("one fresh world", (time.perf_counter() - began) / total * 1e3, "ms")
    yield Row("memory, last / first of these", marks[-1] / marks[0], "x", most=1.05)
    yield Row("open files, last - first of these", files[-1] - files[0], "", most=1)


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- custody: the second opinion's and the kernel's own time ---


def custody(_: argparse.Namespace) -> Rows:
    yield from signing()
    yield from connecting()


def signing() -> Rows:
    """Two parties sign apart, a third combines and finalises: each reads text and writes text."""
    import bdkpython as bdk

    from escrow.adapters.bitcoin import psbt
    from escrow.adapters.bitcoin.keys import Keys
    from escrow.adapters.bitcoin.psbt import Psbt
    from escrow.adapters.bitcoin.types import OutPoint
    from escrow.adapters.bitcoin.vault import compile_vault
    from escrow.custody.read import load_policy

    parties, private = {}, {}
    for role in ("borrower", "lender", "custodian"):
        words = bdk.Mnemonic.from_entropy(sha256(role.encode()).digest()[:16])
        parties[role] = Keys.from_mnemonic(str(words))
        root = bdk.DescriptorSecretKey(bdk.NetworkKind.TEST, words, None)
        account = str(root.derive(bdk.DerivationPath("m/48h/1h/0h/2h"))).removesuffix("/*")
        private[role] = f"{account}/0/0"
    public = {role: keys.vault_key() for role, keys in parties.items()}
    vault = compile_vault(load_policy("two-of-three"), keys=public, moments={})
    funding = paying([(vault.script_pubkey, 10**8)], spends=("aa" * 32, 0))
    bare = psbt.create(
        [OutPoint(txid_of(funding), 0)], outputs=[(vault.script_pubkey, 10**8 - 500)]
    )
    unsigned = str(psbt.update(bare, owner=vault, prev_txs=[funding]))

    def ours() -> bytes:
        signed = [
            str(psbt.sign(Psbt.parse(unsigned), keys=parties[role]))
            for role in ("borrower", "lender")
        ]
        whole = psbt.combine([Psbt.parse(text) for text in signed])
        return psbt.extract(psbt.finalize(whole))

    wallets = {}
    for role in ("borrower", "lender"):
        text = vault.descriptor.partition("#")[0]
        text = text.replace(public[role].expression, private[role])
        wallets[role] = bdk.Wallet.create_single(
            bdk.Descriptor(text, bdk.NetworkKind.TEST),
            bdk.Network.REGTEST,
            bdk.Persister.new_in_memory(),
        )
    options = bdk.SignOptions(
        trust_witness_utxo=False,
        assume_height=None,
        allow_all_sighashes=False,
        try_finalize=False,
        sign_with_tap_internal_key=True,
        allow_grinding=True,
    )

    def theirs() -> bytes:
        signed = []
        for role in ("borrower", "lender"):
            copy = bdk.Psbt(unsigned)
            wallets[role].sign(copy, options)
            signed.append(copy.serialize())
        first, second = (bdk.Psbt(text) for text in signed)
        return bytes(first.combine(second).finalize().psbt.extract_tx().serialize())

    assert ours() == theirs(), "BDK builds another transaction"
    mine, other = best(ours, runs=100), best(theirs, runs=100)
    yield Row("two-of-three: sign, sign, combine, finalise", mine * 1e3, "ms")
    yield Row("same by BDK, in Rust", other * 1e3, "ms")
    yield Row("ours / BDK", mine / other, "x", most=3)


def connecting() -> Rows:
    """A block of 100 spends of vaults: by the kernel alone, and by all that follows the chain."""
    from escrow.adapters.bitcoin import block, psbt
    from escrow.adapters.bitcoin.block import MINER_SCRIPT
    from escrow.adapters.bitcoin.kernel import Kernel
    from escrow.adapters.bitcoin.types import COINBASE_MATURITY, OutPoint
    from escrow.adapters.bitcoin.vault import Vault

    count, alone, whole, entering = 100, [], [], []
    with TemporaryDirectory() as folder, World(seed=1) as world:
        loans = [world.open(btc="1.5", principal="50000.00", price="80000") for _ in range(10)]
        node, roles = world.bitcoin, ("borrower", "lender", "custodian")
        keys = [world.party(role).keys for role in roles]
        vault = Vault.create(
            **{role: each.vault_key(9) for role, each in zip(roles, keys, strict=True)},
            recovery=keys[0].recovery_key(9),
            recover_after=Seconds(node.tip_time + 365 * DAY),
        )
        for _ in range(COINBASE_MATURITY + 5):
            node.mine(time=node.tip_time + 600, script_pubkey=MINER_SCRIPT)
        kernel = Kernel(Path(folder), in_memory=True, rebuild=False)
        known = 0

        def follow() -> None:
            nonlocal known
            for height in range(known + 1, node.height + 1):
                raw = node.block(height)
                kernel.process(raw, block_hash=block.block_hash(raw))
            known = node.height

        for round_ in range(8):
            # All are paid to the lender but the last, which is a top-up that the engine must see.
            payees = [world.party("lender").script] * (count - 1)
            payees.append(loans[round_].vault.script_pubkey)
            coin = node.coins(MINER_SCRIPT)[0]
            each = (coin.sats - 10_000) // count
            funding = paying(
                [(vault.script_pubkey, each)] * count,
                spends=(coin.outpoint.txid, coin.outpoint.vout),
                witness=b"\x51",
            )
            node.broadcast(funding)
            node.mine(time=node.tip_time + 600)
            world.settle()
            follow()
            spends = []
            for vout, payee in enumerate(payees):
                bare = psbt.create(
                    [OutPoint(txid_of(funding), vout)], outputs=[(payee, each - 1_000)]
                )
                draft = psbt.update(bare, owner=vault, prev_txs=[funding])
                signed = [psbt.sign(draft, keys=one) for one in keys[:2]]
                spends.append(psbt.extract(psbt.finalize(psbt.combine(signed))))
            entering.append(seconds(lambda raws=spends: [node.broadcast(raw) for raw in raws]))
            built = block.build(
                node.tip_hash,
                height=node.height + 1,
                time=node.tip_time + 600,
                transactions=[entry.tx for entry in node.waiting()],
                fees=sum(entry.fee for entry in node.waiting()),
                script_pubkey=MINER_SCRIPT,
                extra_nonce=block.nonce_after(node.tip_hash),
            )
            raw = built.raw
            gc.collect()
            alone.append(seconds(lambda r=raw, h=built.hash: kernel.process(r, block_hash=h)))
            whole.append(seconds(lambda r=raw: (node.submit_block(r), world.settle())))
            known = node.height
            assert kernel.read(built.hash) == raw
            assert node.tip_hash == built.hash
            assert not node.waiting()
            assert len(loans[round_].state.vault.coins) == 2, "the engine saw the top-up"
        assert not world.engine.broken
        kernel.close()
    yield Row(f"{count} spends into the mempool", min(entering) * 1e3, "ms")
    yield Row(f"block of {count} spends, the kernel alone", min(alone) * 1e3, "ms")
    yield Row("same with index, mempool, engine", min(whole) * 1e3, "ms")
    yield Row("whole path / kernel alone", min(whole) / min(alone), "x", most=3)


def paying(
    outputs: list[tuple[bytes, int]], *, spends: tuple[str, int], witness: bytes = b""
) -> bytes:
    """A transaction that makes coins. What it spends needs no signature."""
    from btclib.script.witness import Witness
    from btclib.tx import OutPoint, Tx, TxIn, TxOut

    tx_in = TxIn(OutPoint(*spends), b"", 0xFFFFFFFF, Witness([witness] if witness else []))
    tx = Tx(2, 0, [tx_in], [TxOut(sats, script) for script, sats in outputs])
    return tx.serialize(include_witness=True)


def txid_of(raw: bytes) -> str:
    from btclib.tx import Tx

    return Tx.parse(raw).id.hex()


# --- conformance: the same ask to core and contracts, compared word by word ---


def conformance(_: argparse.Namespace) -> Rows:
    from asks import CORPUS, read, tell
    from both_lab import Lab

    from escrow.adapters.evm.chain import Chain
    from escrow.adapters.evm.fast import FastChain

    stories = [read(path) for path in sorted(CORPUS.glob("*.json"))]

    def steps(lab: Lab) -> int:
        total = 0
        for story in stories:
            for _ in tell(lab, story):
                pass
            total += lab.both.steps
        return total

    for name, make, by_hand, least in (
        ("revm", FastChain, False, 1_500),
        ("py-evm", Chain, False, 300),
        ("py-evm, signed and sealed, every view", Chain, True, None),
    ):
        lab = Lab(make, by_hand=by_hand)
        total = steps(lab)
        rate = total / best(partial(steps, lab), runs=1 if by_hand else 3)
        yield Row(f"steps of core and contracts, {name}", rate, "/s", least=least)


# --- compare: many products on one path ---


def compare(_: argparse.Namespace) -> Rows:
    """Twenty products over 23,082 hours that begin low and rise, so that most loans live long:
    a loan that is over costs neither side anything."""
    import tracemalloc
    from dataclasses import replace as changed

    from _bench_compare import drive

    from escrow.adapters.price.files import Quote
    from escrow.adapters.price.walk import walk_prices
    from escrow.core.units import Cents, PriceE8
    from escrow.products.model import SoftBands
    from escrow.products.read import load_product, shipped
    from escrow.sim.compare import compare as run

    products = [load_product(name) for name in shipped()]
    products = [each for each in products if not isinstance(each.liquidation, SoftBands)]
    assert len(products) == 20
    # The walk has no drift; a rise of a ten-thousandth of the first price an hour is put on it.
    hours, principal = 23_081, Cents(1_000_000)
    walk = list(walk_prices(1, hours=hours))
    rise = walk[0].price // 10_000
    quotes = [Quote(q.at, PriceE8(q.price + n * rise)) for n, q in enumerate(walk)]

    ours = best(partial(run, products, quotes, principal=principal), runs=3)
    loans: list = []
    theirs = seconds(lambda: loans.extend(drive(products, quotes, principal=principal)))
    found = run(products, quotes, principal=principal).outcomes
    for outcome, loan in zip(found, loans, strict=True):
        assert outcome.margin_call_at == loan.called_at, outcome.product
        assert (outcome.liquidated_at is None) is (loan.sold_at is None), outcome.product
        # At prices alone: within the hour.
        assert abs((outcome.liquidated_at or 0) - (loan.sold_at or 0)) <= 3_600, outcome.product
    lived = sum((o.ended_at or quotes[-1].at) - o.drawn_at for o in found)
    yield Row("steps of 20 loans that were not over", lived / 3_600, "")
    yield Row("20 products, 23,082 prices", ours * 1e3, "ms")
    yield Row("the same by transitions", theirs * 1e3, "ms")
    yield Row("transitions / ours", theirs / ours, "x", least=20)

    twice = [changed(each, id=f"{each.id}_{n}") for n in range(2) for each in products]
    more = best(partial(run, twice, quotes, principal=principal), runs=3)
    yield Row("40 products / 20", more / ours, "x", most=2.5)
    half = best(partial(run, products, quotes[: len(quotes) // 2], principal=principal), runs=3)
    yield Row("23,082 prices / 11,541", ours / half, "x", most=2.5)

    def peak(count: int) -> int:
        stream = (quotes[n % len(quotes)] for n in range(count))
        # Time goes on where the prices begin anew.
        path = (Quote(quotes[0].at + 3_600 * n, q.price) for n, q in enumerate(stream))
        tracemalloc.start()
        run(products, path, principal=principal)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    yield Row("peak memory, 46,164 prices / 11,541", peak(46_164) / peak(11_541), "x", most=1.2)


# --- pool: a portfolio costs as much a loan as one loan does ---


def pool(_: argparse.Namespace) -> Rows:
    """Two years of the bank's pool at twelve-hourly prices without chains; then one price for fifty
    loans on both. Seconds of the processor."""
    from math import log10

    from _bench_pool import along, marked, spent

    from escrow.adapters.price.walk import walk_prices
    from escrow.core.units import PriceE8
    from escrow.sim.pilot import load_plan

    plan = load_plan("sovcombank-pool")
    days = 740
    start, price = plan.start, PriceE8(7_000_000 * 10**8)
    quotes = list(walk_prices(1, hours=days * 24, start=start, price=price))[::12]
    taken, looks = {}, {}
    for count in (10, 100, 1_000):
        done = []
        taken[count] = spent(lambda count=count, done=done: done.append(along(count, quotes)))
        looks[count] = done[0].book.looks
        assert done[0].book.broken == []
        yield Row(f"{count:,} loans, a loan and day", taken[count] * 1e6 / count / days, "us")
    # Flat is a slope of one: ten times the loans for ten times the work.
    yield Row(
        "slope of all the work, 100 to 1,000 loans", log10(taken[1_000] / taken[100]), "", most=1.15
    )
    ratio = taken[1_000] / taken[10] / 100
    yield Row("a loan and day, of 1,000 / of 10", ratio, "x", most=1)
    every = []
    full = spent(lambda: every.append(along(100, quotes, skipping=False)))
    yield Row(
        "100 loans, looks if every loan is looked at / ours", every[0].book.looks / looks[100], "x"
    )
    yield Row("100 loans, seconds likewise", full / taken[100], "x")
    calls = {}
    for count in (10, 50):
        world, calls[count] = marked(count)
        world.close()
        yield Row(
            f"one price calls {count} loans on both chains, a loan",
            calls[count] * 1e3 / count,
            "ms",
        )
    slope = log10(calls[50] / calls[10]) / log10(5)
    yield Row("slope of that, 10 to 50 loans", slope, "", most=1.5)


SECTIONS = {
    "start": start,
    "core": core,
    "loan": loan,
    "anvil": anvil,
    "custody": custody,
    "conformance": conformance,
    "compare": compare,
    "pool": pool,
    "gas": gas,
    "worlds": worlds,
}
HEADS = {"gas": f"\n{HEAD}"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("section", nargs="*", help=f"{', '.join(SECTIONS)}; all if none is named")
    parser.add_argument("--worlds", type=int, default=1_000, help="fresh worlds (default 1000)")
    parser.add_argument("--account", metavar="ACTION", help="where the gas of an action goes")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args()
    if unknown := set(options.section) - set(SECTIONS):
        parser.error(f"no such section: {' '.join(sorted(unknown))}")
    if options.account:
        print(account(options.account))
        return
    found: dict[str, list[Row | Line]] = {}
    for name in options.section or SECTIONS:
        found[name] = []
        if not options.json:
            print(f"\n{name}{HEADS.get(name, '')}")
        for row in SECTIONS[name](options):
            found[name].append(row)
            if not options.json:
                print(row.text(), flush=True)
    if options.json:
        print(json.dumps({name: [row.json() for row in rows] for name, rows in found.items()}))


if __name__ == "__main__":
    main()
