"""A saved, loaded or forked world goes on exactly as the first would have; nothing secret but the
seed leaves it; a damaged file is refused."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world_lab import agrees

from escrow.adapters.store.world_file import read_world, write_world
from escrow.core.errors import BadInput, EscrowError
from escrow.core.regions.loan import LoanEnded, Outcome
from escrow.core.units import DAY, HOUR
from escrow.world import World

FEW = settings(
    max_examples=12, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True
)


def print_of(world):
    """Both chains, the state, the log's hash chain, the time and the next random draw."""
    head = None
    for line in world.log_lines():
        head = line
    return (
        world.state_hash,
        world.bitcoin.tip_hash,
        world.bitcoin.mempool(),
        world.evm.chain.head_hash,
        world.evm.chain.state_root,
        world.evm.chain.next_time,
        head,
        world.now,
        sorted(world.silent),
        world.engine.broken,
        {each.party.name: each.memory for each in world._wires.cosigners},
    )


NAMES = st.sampled_from(["lender", "custodian", "borrower", "oracle-1", "oracle-2", "attestor-1"])
BTC = st.sampled_from(["0.1", "0.00009", "1", "60"])
VERBS = st.one_of(
    st.tuples(st.just("open"), st.sampled_from(["1.5", "0.7"])),
    st.tuples(st.just("offer")),
    st.tuples(st.just("accept")),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("pledge"), BTC),
    st.tuples(st.just("send"), BTC),
    st.tuples(st.just("secure")),
    st.tuples(st.just("draw"), st.sampled_from(["100", "50000"])),
    st.tuples(st.just("repay"), st.sampled_from(["10", "20000", None])),
    st.tuples(st.just("price"), st.sampled_from(["90000", "46000.01", "30000", "0"])),
    st.tuples(st.just("liquidate")),
    st.tuples(st.just("withdraw"), st.sampled_from(["0.1", "1"])),
    st.tuples(st.just("refinance")),
    st.tuples(st.just("burn"), st.sampled_from(["borrower", "lender", "stranger"])),
    st.tuples(st.just("recover")),
    st.tuples(st.just("advance"), st.sampled_from([1, HOUR, DAY + 1])),
    st.tuples(st.just("mine"), st.sampled_from([1, 6])),
    st.tuples(st.just("reorg"), st.sampled_from([1, 3, 7])),
    st.tuples(st.just("silence"), NAMES),
    st.tuples(st.just("answer"), NAMES),
    st.tuples(st.just("chance"), st.sampled_from([2, 10**9])),
)


def act(world, verb, *args):
    """Do one thing; answers what came of it."""
    deal = world.loans[-1] if world.loans else None
    try:
        match verb, args:
            case "open", (btc,):
                world.open(btc=btc)
            case "pledge", (btc,):
                world.pledge(btc=btc, wait=False)
            case "send", (btc,):
                to = deal.vault.address if deal else ""
                world.pay("borrower", btc=btc, to=to)
            case "withdraw", (btc,):
                world.withdraw(btc=btc)
            case (("draw" | "repay"), (amount,)):
                getattr(world, verb)(None, amount)
            case "burn", (by,):
                world.burn(by=by)
            case "advance", (seconds,):
                world.advance(seconds=seconds)
            case "chance", (bound,):
                return str(world.streams.below("test", bound))
            case _:
                getattr(world, verb)(*args)
    except EscrowError as error:
        return error.code
    return "done"


def run(world, verbs):
    return [act(world, *verb) for verb in verbs]


@FEW
@given(
    first=st.lists(VERBS, max_size=8),
    then=st.lists(VERBS, min_size=1, max_size=8),
    opened=st.booleans(),
)
def test_a_saved_or_forked_world_goes_on_as_the_first(tmp_path_factory, first, then, opened):
    path = tmp_path_factory.mktemp("world") / "world.sqlite"
    with World(seed=5) as world:
        if opened:
            world.open()
        run(world, first)
        world.save(path)
        with world.fork() as fork, World.load(path) as loaded:
            assert print_of(fork) == print_of(loaded) == print_of(world)
            said = run(world, then)
            assert run(loaded, then) == said
            assert print_of(loaded) == print_of(world)
            # Nothing that the others did since has reached the fork.
            assert run(fork, then) == said
            assert print_of(fork) == print_of(world)
            agrees(world)
            assert world.engine.broken == []


def test_a_world_with_many_payouts_behind_it_loads(tmp_path):
    """What the cosigners remember grows with every payout they signed."""
    with World(seed=3) as first:
        for _ in range(8):
            first.open(btc="1", principal="10000")
            first.repay()
            first.release()
        first.save(tmp_path / "long")
        with World.load(tmp_path / "long") as again:
            assert again.state_hash == first.state_hash


def test_a_fork_is_independent(world):
    before = print_of(world)
    with world.fork() as fork:
        fork.repay()
        fork.silence("lender")
        fork.release()
        assert print_of(world) == before
        world.price("46000")
        assert fork.loans[0].phase == "RELEASED"
        assert world.loans[0].phase == "MARGIN_CALL"


def test_a_fork_of_a_fork_of_a_loaded_world(world, tmp_path):
    world.save(tmp_path / "a")
    with World.load(tmp_path / "a") as loaded, loaded.fork() as one, one.fork() as two:
        for each in (world, loaded, one, two):
            each.price("46000")
            each.advance(days=1, seconds=1)
        assert print_of(world) == print_of(loaded) == print_of(one) == print_of(two)


def lives(name):
    """What a loan of this kind goes through, in steps between which a world may be saved."""

    def after(world, price):
        world.price(price)
        world.advance(days=1, seconds=1)

    def taken(world):
        world.advance(minutes=40)
        world.take(btc="0.2")

    return {
        "take-over": [
            lambda w: w.refinance(rate_bps=2_000, lender="liquidator"),
            lambda w: w.withdraw(btc="0.1"),
            lambda w: w.burn(btc="0.1"),
            lambda w: w.price("46000"),
            lambda w: w.dispute(),
            lambda w: w.advance(days=1),
            lambda w: w.resolve(upheld=False),
            lambda w: w.advance(days=1, seconds=1),
            lambda w: w.liquidate(),
            lambda w: w.burn(by="liquidator"),
        ],
        "third-party": [
            lambda w: w.price("36000"),
            lambda w: w.liquidate(pay="20000"),
            lambda w: w.burn(by="liquidator"),
            lambda w: w.liquidate(),
        ],
        "partial": [
            lambda w: after(w, "46000"),
            lambda w: w.liquidate(),
            lambda w: w.burn(by="liquidator"),
            lambda w: w.repay(),
        ],
        "auction": [
            lambda w: w.price("36000"),
            lambda w: w.advance(hours=3),
            taken,
            lambda w: w.burn(by="liquidator"),
            lambda w: w.take(),
        ],
    }[name]


@pytest.mark.parametrize("name", ["take-over", "third-party", "partial", "auction"])
def test_a_world_is_saved_at_every_step_of_a_liquidation(kind, tmp_path, name):
    """Each event of the log has its spelling; the blocks run again to the same roots."""
    world = kind(name)
    for step in lives(name):
        with world.fork() as fork:
            step(world)
            step(fork)
            assert print_of(fork) == print_of(world)
    world.save(tmp_path / "world")
    with World.load(tmp_path / "world") as loaded:
        for each in (world, loaded):
            for holder in ("borrower", "liquidator"):
                if each.tokens_of(holder):
                    each.burn(by=holder)
            each.mine(12)
        assert print_of(loaded) == print_of(world)
    assert world.loans[0].phase in ("SETTLED", "RELEASED", "WRITTEN_OFF")
    assert world.engine.broken == []
    agrees(world)


def test_a_saved_world_is_saved_again_alike(world, tmp_path):
    world.save(tmp_path / "a")
    with World.load(tmp_path / "a") as loaded:
        loaded.save(tmp_path / "b")
    assert read_world(tmp_path / "a") == read_world(tmp_path / "b")


def test_a_world_is_saved_while_a_reorganisation_is_not_over(world, tmp_path):
    """Coins in the mempool, a payout thrown out, half the quorum silent."""
    deal = world.loans[0]
    world.repay(deal)
    world.burn(deal)
    world.mine(2)
    [payout] = deal.state.vault.payouts
    world.silence("lender", "custodian")
    world.reorg(2, drop=[payout.txid])
    world.save(tmp_path / "a")
    with World.load(tmp_path / "a") as loaded:
        for each in (world, loaded):
            each.answer("custodian")
            each.mine(7)
        assert print_of(world) == print_of(loaded)
        assert loaded.loans[0].phase == "RELEASED"


def test_one_seed_is_one_world_whatever_ran_before(new):
    def story(world):
        world.open()
        world.price("46000")
        world.reorg(2)
        world.advance(days=1, seconds=1)
        world.liquidate()
        return print_of(world)

    first = new(seed=11)
    story(new(seed=12))
    assert story(first) == story(new(seed=11))
    assert story(new(seed=12))[:2] != story(new(seed=11))[:2]


def test_another_seed_is_another_world(new):
    a, b = new(seed=1), new(seed=2)
    assert a.bitcoin.tip_hash != b.bitcoin.tip_hash
    assert a.evm.chain.head_hash != b.evm.chain.head_hash
    assert not {p.address for p in a.parties.values()} & {p.address for p in b.parties.values()}


# --- damaged files ---


def test_a_flipped_byte_anywhere_is_found(world, tmp_path):
    world.save(tmp_path / "a")
    raw = (tmp_path / "a").read_bytes()
    for place in range(0, len(raw), len(raw) // 40):
        (tmp_path / "b").write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        try:
            with World.load(tmp_path / "b") as loaded:
                # A byte that SQLite does not use: free space, a change counter.
                assert print_of(loaded) == print_of(world)
        except BadInput as error:
            assert error.code in ("world/format", "world/tampered")  # noqa: PT017


@pytest.mark.parametrize("raw", [b"", b"SQLite format 3\0", b"x" * 5_000])
def test_no_world_at_all(tmp_path, raw):
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(BadInput, match="world/format"):
        World.load(tmp_path / "a")
    with pytest.raises(BadInput, match="world/format"):
        World.load(tmp_path / "missing")
    with pytest.raises(BadInput, match="world/format"):
        World.load(tmp_path)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE log SET stream = '' WHERE seq = 3",
        "DELETE FROM log WHERE seq = (SELECT max(seq) FROM log)",
        "DELETE FROM bitcoin_blocks WHERE height = 1",
        "UPDATE evm_blocks SET timestamp = timestamp + 1",
        "DELETE FROM evm_txs WHERE block = 1 AND idx = 0",
        "UPDATE meta SET value = '1' WHERE key = 'now'",
        "INSERT INTO streams VALUES ('x', 3)",
    ],
)
def test_an_edited_row_is_found(world, tmp_path, edit):
    path = tmp_path / "a"
    world.save(path)
    with closing(sqlite3.connect(path)) as db, db:
        guards = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            db.execute(f"DROP TRIGGER {name}")
        db.execute(edit)
        for _, guard in guards:
            db.execute(guard)
    with pytest.raises(BadInput) as refusal:
        World.load(path)
    assert refusal.value.code in ("world/format", "world/tampered")


def forged(world, tmp_path, **changes):
    """A file by someone who can compute every hash in it."""
    data = world._data()
    write_world(tmp_path / "forged", replace(data, **changes))
    return tmp_path / "forged"


def test_forged_chains_do_not_load(world, tmp_path):
    data = world._data()
    block = data.evm_blocks[-1]
    other_tx = block.txs[0][:-1] + bytes([block.txs[0][-1] ^ 1])
    blocks = data.bitcoin_blocks
    coin = bytes([blocks[-1][-1] ^ 1])
    for changes in (
        {"evm_blocks": (*data.evm_blocks[:-1], replace(block, txs=(other_tx, *block.txs[1:])))},
        {"evm_blocks": (*data.evm_blocks[:-1], replace(block, txs=block.txs[1:]))},
        {"bitcoin_blocks": (*blocks[:-1], blocks[-1][:-1] + coin)},
        {"bitcoin_blocks": (blocks[1], blocks[0])},
        {"bitcoin_mempool": (b"nonsense",)},
    ):
        with pytest.raises(BadInput) as refusal:
            World.load(forged(world, tmp_path, **changes))
        assert refusal.value.code in ("world/format", "world/tampered")


def test_a_log_and_an_evm_of_different_moments_do_not_load(world, tmp_path):
    """Every hash is right, and the two halves do not belong together: the last draw is missing."""
    data = world._data()
    last = data.evm_blocks[-1]
    cut = (*data.evm_blocks[:-1], replace(last, txs=last.txs[:-1]))
    write_world(tmp_path / "cut", replace(data, evm_blocks=cut))
    with pytest.raises(BadInput, match="world/tampered"):
        World.load(tmp_path / "cut")


def test_forged_logs_do_not_load(world, tmp_path):
    log = world._data().log
    loan = world.loans[0].id
    ended = (loan, LoanEnded(world.now, Outcome.RELEASED))
    twice = next(entry for entry in log if entry[0] == loan)
    for changed in ((*log, ended), (*log, twice)):
        with pytest.raises(BadInput, match="world/tampered"):
            World.load(forged(world, tmp_path, log=changed))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config", "[]"),
        ("config", "{"),
        ("config", '{"seed": -1}'),
        ("config", '{"colour": 1}'),
        ("now", "yesterday"),
        ("now", "1"),
        ("market", "-"),
        ("silent", "3"),
        ("silent", "[" * 200_000),  # deep enough to end the process in the parser
        ("lies", "[]"),
        ("lies", '{"lender": 1}'),
        ("lies", '{"oracle-1": "low"}'),
        ("signed", "[]"),
        ("signed", '{"lender": {"x": []}}'),
        ("evm_sealed", ""),
    ],
)
def test_forged_facts_do_not_load(world, tmp_path, key, value):
    meta = {**world._data().meta, key: value}
    with pytest.raises(BadInput) as refusal:
        World.load(forged(world, tmp_path, meta=meta))
    assert refusal.value.code in ("world/format", "world/tampered")


def test_a_missing_fact_does_not_load(world, tmp_path):
    whole = world._data().meta
    for key in whole:
        meta = {name: value for name, value in whole.items() if name != key}
        with pytest.raises(BadInput, match="world/format"):
            World.load(forged(world, tmp_path, meta=meta))


# --- secrets ---


def test_nothing_secret_is_shown_logged_or_saved(world, tmp_path):
    deal = world.loans[0]
    world.repay(deal)
    world.release(deal)
    secrets = []
    for party in world.parties.values():
        secrets += [party.account.key.hex(), party.keys.evm_private_key().hex()]
        root = party.keys._root
        secrets += [root.key.hex()[2:], root.chain_code.hex(), root.b58encode()]
        for path, account in party.keys._accounts.items():
            assert path
            secrets += [account.key.hex()[2:], account.b58encode()]
    from escrow.wiring import master_seed

    secrets.append(master_seed(world.config).hex())
    assert len(secrets) > 80
    world.save(tmp_path / "a")
    saved = (tmp_path / "a").read_bytes()
    shown = [repr(each) for each in (world, deal, *world.parties.values(), *world.acts)]
    shown += [world._repr_html_(), deal._repr_html_(), repr(world._wires), repr(vars(world))]
    shown += [*world.log_lines(), json.dumps(world._data().meta), repr(deal.vault)]
    shown += [repr(each) for act in world.acts for each in act.refusals]
    text = "\n".join(shown).lower()
    for secret in secrets:
        assert secret.lower() not in text
        assert secret.encode() not in saved
        if all(digit in "0123456789abcdef" for digit in secret.removeprefix("0x")):
            assert bytes.fromhex(secret.removeprefix("0x")) not in saved


def test_refusals_carry_no_secret(world):
    key = world.parties["borrower"].account.key.hex()
    for ask in (
        lambda: world.burn(to=world.parties["lender"].account.key.hex()),
        world.recover,
        lambda: world.draw(None, "1"),
    ):
        with pytest.raises(EscrowError) as refusal:
            ask()
        assert key not in str(refusal.value) + repr(refusal.value.facts)
