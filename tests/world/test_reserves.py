"""Proof of reserves: signed by those who hold the keys, checked from the file, and minted on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world_lab import burn_on_evm

from escrow.actors.generations import rekey_message
from escrow.actors.observer import Custody, View, observe
from escrow.actors.prover import Voucher, prove
from escrow.actors.signers import SoftwareSigner
from escrow.actors.statement import StatedCoin, StatedGeneration, StatedVault, Statement
from escrow.actors.statement_file import MAX_FILE, read_statement, write_statement
from escrow.actors.verifier import verify
from escrow.adapters.bitcoin import bip322
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.musig import MusigSigner
from escrow.adapters.bitcoin.psbt_data import unshared
from escrow.adapters.evm import typed
from escrow.adapters.evm.client import EvmWatch
from escrow.cli import main
from escrow.config import WorldConfig
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import COIN, DAY, HOUR, Sats, Seconds
from escrow.core.verbs.mint import Mint
from escrow.ports import OutPoint
from escrow.sim.reserves import prove_world
from escrow.world import World

COSIGNERS = ("lender", "borrower", "custodian")
QUORUM = ("lender", "custodian")


def view_of(world: World) -> View:
    custodies = {deal.id: world.custody_of(deal.id) for deal in world.loans}
    return View(world.bitcoin, world.evm, custodies, lambda: world.now)


def voucher(world: World, name: str = "lender") -> Voucher:
    return Voucher(SoftwareSigner(world.party(name).keys), role=name, view=view_of(world))


def resigned(world: World, statement: Statement) -> Statement:
    """Two keys of each vault sign whatever they are given: what a quorum that lies could do."""
    known = {v.address: v for d in world.loans for v in world.custody_of(d.id).vaults}

    def proof(stated: StatedGeneration) -> str:
        unsigned = bip322.to_sign(statement.message, owner=known[stated.address])
        copies = [bip174.sign(unsigned, keys=world.party(name).keys) for name in QUORUM]
        return bip322.proof_of(bip174.combine(copies))

    vaults = [
        replace(v, generations=tuple(replace(g, proof=proof(g)) for g in v.generations))
        for v in statement.vaults
    ]
    return replace(statement, vaults=tuple(vaults))


def holding(vault: StatedVault, coins: tuple[StatedCoin, ...]) -> StatedVault:
    """The same vault, of one generation, with these coins."""
    [only] = vault.generations
    return replace(vault, generations=(replace(only, coins=coins),))


def proven(vault: StatedVault, proof: str) -> StatedVault:
    """The same vault, of one generation, with this signature."""
    [only] = vault.generations
    return replace(vault, generations=(replace(only, proof=proof),))


def refused(code: str, statement: Statement, **known: object) -> None:
    with pytest.raises(EscrowError) as refusal:
        verify(statement, **known)
    assert refusal.value.code == code, refusal.value


@pytest.fixture(scope="module")
def two() -> Iterator[World]:
    """Two loans; of the first half a coin is burned and waits to be paid."""
    with World(seed=3) as world:
        first = world.open(btc="1.5")
        world.open(btc="2", principal="30000.00")
        world.repay(first)
        world.silence(*COSIGNERS)
        world.burn(first, btc="0.5")
        world.answer(*COSIGNERS)
        world.evm.chain.seal()
        yield world


@pytest.fixture(scope="module")
def signed(two: World) -> Statement:
    with two.fork() as fork:
        fork.silence("attestor-1")
        return prove(view_of(fork), vouchers=[voucher(fork, name) for name in COSIGNERS])


# --- what is proven ---


def test_reserves_are_proven_from_the_text_alone(signed):
    verdict = verify(read_statement(write_statement(signed)))
    assert (verdict.coins, verdict.supply, verdict.unpaid, verdict.spare) == (
        350_000_000,
        300_000_000,
        50_000_000,
        0,
    )
    assert verdict.vaults == 2
    [burn] = signed.vaults[0].burns or signed.vaults[1].burns
    assert burn.sats == 50_000_000


def test_they_name_both_chains(two, signed):
    verdict = verify(signed)
    assert (verdict.bitcoin_block, verdict.height) == (two.bitcoin.tip_hash, two.bitcoin.height)
    assert verdict.evm_block == "0x" + two.evm.chain.head_hash.hex()
    verify(signed, bitcoin_block=verdict.bitcoin_block, evm_block=verdict.evm_block)
    verify(signed, token=verdict.token)
    before = two.bitcoin.block(two.bitcoin.height)[4:36][::-1].hex()
    refused("reserves/block", signed, bitcoin_block=before)
    refused("reserves/block", signed, evm_block="0x" + "ab" * 32)
    refused("reserves/block", signed, token="0x" + "ab" * 20)
    verify(signed, book=verdict.book)
    refused("reserves/block", signed, book="0x" + "ab" * 20)


def test_a_burn_is_unpaid_until_its_payout_is_in_a_block(world):
    deal = world.loans[0]
    world.repay(deal)
    world.burn(deal, btc="0.5")
    assert world.bitcoin.mempool()
    waiting = verify(prove_world(world))
    assert (waiting.coins, waiting.supply, waiting.unpaid) == (150_000_000, COIN, 50_000_000)
    world.mine(1)
    paid = verify(prove_world(world))
    assert (paid.coins, paid.supply, paid.unpaid) == (COIN, COIN, 0)


def test_coins_that_nothing_is_claimed_on_are_spare(world):
    deal = world.loans[0]
    world.silence("attestor-1", "attestor-2")
    world.pledge(deal, btc="1", wait=False)
    assert verify(prove_world(world)).spare == 0
    world.mine(1)
    verdict = verify(prove_world(world))
    assert verdict.spare == COIN


def test_any_two_of_three_sign(world):
    for name in COSIGNERS:
        with world.fork() as fork:
            fork.silence(name)
            verify(prove_world(fork))
    world.silence("lender", "borrower")
    with pytest.raises(Refused, match="cosigner/absent"):
        prove_world(world)


def test_that_nothing_is_claimed_is_signed_too(new):
    world = new(seed=4)
    with pytest.raises(BadInput, match="reserves/format"):
        prove_world(world)
    world.offer()
    statement = prove_world(world)
    verdict = verify(statement)
    assert (verdict.vaults, verdict.coins, verdict.supply) == (1, 0, 0)
    refused("reserves/signature", replace(statement, at=Seconds(statement.at + 1)))


def test_what_waits_in_an_evm_block_is_none_of_it(world):
    deal = world.loans[0]
    world.repay(deal)
    world.silence(*COSIGNERS)
    world.evm.chain.seal()
    before = observe_only(world)
    borrower, loan = world.party("borrower"), bytes.fromhex(deal.id[2:])
    burn_on_evm(world, "borrower", loan, 50_000_000, borrower.script)
    waiting = observe_only(world)
    assert (waiting.evm, waiting.vaults) == (before.evm, before.vaults)
    world.evm.chain.seal()
    after = observe_only(world)
    assert after.evm.supply == before.evm.supply - 50_000_000
    assert [burn.sats for burn in after.vaults[0].burns] == [50_000_000]


# --- in another process ---


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "escrow", "reserves", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_proven_and_verified_after_a_restart(world, tmp_path):
    world.save(tmp_path / "a.world")
    file = tmp_path / "reserves.json"
    made = run("prove", "--world", str(tmp_path / "a.world"), "--out", str(file))
    assert (made.returncode, made.stderr) == (0, "")
    known = ("--at", str(world.now + HOUR), "--max-age", str(HOUR))
    found = run("verify", str(file), *known, "--bitcoin-block", world.bitcoin.tip_hash, "--json")
    assert (found.returncode, found.stderr) == (0, "")
    shown = json.loads(found.stdout)
    assert (shown["proven"], shown["coins"], shown["supply"]) == (True, 150_000_000, 150_000_000)
    assert {ground["kind"] for ground in shown["grounds"]} == {"proved", "vouched"}


def cli(capsys, *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["reserves", *argv])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_what_the_command_says(signed, tmp_path, capsys):
    file = tmp_path / "r.json"
    file.write_text(write_statement(signed))
    status, out, err = cli(capsys, "verify", str(file))
    assert (status, err) == (0, "")
    assert out.startswith("PROVEN\n")
    assert "3.50000000 BTC in 2 vault(s)" in out
    late = str(signed.at + DAY)
    for code, argv in (
        ("reserves/stale", ("--at", late, "--max-age", "3600")),
        ("reserves/block", ("--bitcoin-block", "00" * 32)),
        ("input/time", ("--max-age", "1")),
        ("input/time", ("--max-age", "-1", "--at", late)),
        ("input/time", ("--at", "9" * 14)),
        ("input/time", ("--at", "noon")),
    ):
        status, out, err = cli(capsys, "verify", str(file), *argv)
        assert (status, out) == (2, "")
        assert err.startswith(f"error: {code}:")
        assert err.count("\n") == 1


def test_short_reserves_have_an_exit_status_of_their_own(world, tmp_path, capsys):
    overissue(world)
    file = tmp_path / "r.json"
    file.write_text(write_statement(prove_world(world)))
    status, out, err = cli(capsys, "verify", str(file))
    assert (status, out) == (1, "")
    assert err.startswith("error: reserves/short:")


def test_a_scene_can_be_proven(tmp_path, capsys):
    file = tmp_path / "r.json"
    status, _, err = cli(capsys, "prove", "--scene", "margin-call", "--out", str(file))
    assert (status, err) == (0, "")
    assert cli(capsys, "verify", str(file))[0] == 0


def test_files_that_are_not_there_or_must_not_be_written(world, tmp_path, capsys):
    file, saved = tmp_path / "r.json", tmp_path / "a.world"
    world.save(saved)
    assert "reserves/missing-file" in cli(capsys, "verify", str(file))[2]
    assert "reserves/missing-file" in cli(capsys, "verify", str(tmp_path))[2]
    nowhere = str(tmp_path / "no" / "r.json")
    assert "reserves/write" in cli(capsys, "prove", "--world", str(saved), "--out", nowhere)[2]
    assert "scenario/missing-key" in cli(capsys, "prove", "--out", str(file))[2]
    file.write_text("mine")
    argv = ("prove", "--world", str(saved), "--out", str(file))
    assert "reserves/write" in cli(capsys, *argv)[2]
    assert file.read_text() == "mine"
    assert cli(capsys, *argv, "--force")[0] == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.world", "r.json"]
    verify(read_statement(file.read_bytes()))


# --- what is altered ---


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, (*path, name))
    elif isinstance(value, list):
        for n, each in enumerate(value):
            yield from leaves(each, (*path, n))
    else:
        yield path


def bent(value: object) -> list[object]:
    """Other values of the same kind, near and plausible."""
    if isinstance(value, int):
        return [value + 1, max(0, value - 1) if value else 2]
    assert isinstance(value, str)
    last = "1" if value[-1:] == "0" else "0"
    first = next((n for n, c in enumerate(value[2:], start=2) if c in "0123456789abcdef"), 0)
    other = value[:first] + ("b" if value[first : first + 1] == "a" else "a") + value[first + 1 :]
    return [value[:-1] + last, other, value.upper(), ""]


def put(top: dict, path: tuple[str | int, ...], value: object) -> None:
    for step in path[:-1]:
        top = top[step]  # type: ignore[index]
    top[path[-1]] = value  # type: ignore[index]


def test_no_leaf_can_be_altered(signed):
    """Each in turn, in several ways: as it stands, and by somebody who mends the message as well,
    so that every check behind it is asked. Only the signatures then say no, or something before."""
    text = write_statement(signed)
    original = json.loads(text)
    said: dict[str, set[str]] = {}
    for path in leaves(original):
        value = original
        for step in path:
            value = value[step]
        many = path[:2] == ("bitcoin", "headers") and path[2] not in (0, 50, 115)
        for change in bent(value)[: 1 if many else None]:
            if change == value:
                continue
            altered = json.loads(text)
            put(altered, path, change)
            with pytest.raises(EscrowError) as refusal:
                verify(read_statement(json.dumps(altered)))
            plain = refusal.value.code
            assert plain in ("reserves/format", "reserves/altered", "reserves/signature")
            code = plain
            if path != ("message",) and "message" in refusal.value.facts:
                altered["message"] = refusal.value.facts["expected"]
                with pytest.raises(EscrowError) as refusal:
                    verify(read_statement(json.dumps(altered)))
                code = refusal.value.code
            said.setdefault(".".join(s for s in map(str, path) if not s.isdigit()), set()).add(code)
    assert said.keys() >= {"at", "vaults.generations.descriptor", "evm.supply"}
    format_, altered_, block = "reserves/format", "reserves/altered", "reserves/block"
    for name, expected in {
        "format": {format_},
        "version": {format_},
        "network": {format_},
        "bitcoin.hash": {format_, block},
        "bitcoin.headers": {format_, block},
        "bitcoin.height": {altered_},
        "evm.header": {format_, block},
        "evm.number": {block},
        "evm.hash": {format_, block},
        "evm.token": {format_, altered_},
        "evm.supply": {altered_},
        "evm.account": {format_, altered_},
        "evm.chain_id": {"reserves/signature"},
        "evm.book": {format_, "reserves/signature"},
        "vaults.generations.number": {altered_},
        "vaults.terms.principal": {format_, altered_},
        "vaults.generations.coins.sats": {altered_},
        "vaults.outstanding": {altered_},
        "vaults.generations.address": {altered_},
        "vaults.burns.sats": {"reserves/signature"},
        "vaults.burns.script": {format_, "reserves/signature"},
    }.items():
        assert said[name] <= expected, (name, said[name])
    assert {code for codes in said.values() for code in codes} <= {
        *(format_, altered_, block, "reserves/signature")
    }


def test_a_signature_of_another_statement_is_none(two, signed):
    with two.fork() as fork:
        fork.mine(1)
        other = prove_world(fork)
    mixed = [
        proven(mine, theirs.generations[0].proof)
        for mine, theirs in zip(signed.vaults, other.vaults, strict=True)
    ]
    refused("reserves/signature", replace(signed, vaults=tuple(mixed)))
    swapped = tuple(
        proven(mine, theirs.generations[0].proof)
        for mine, theirs in zip(signed.vaults, reversed(signed.vaults), strict=True)
    )
    refused("reserves/signature", replace(signed, vaults=swapped))
    refused("reserves/signature", observe_only(two))


def observe_only(world: World) -> Statement:
    return observe(view_of(world), at=world.now)


# --- what even a quorum that lies cannot hide ---


def test_a_coin_left_out_is_missed(two, signed):
    lacking = replace(signed, vaults=tuple(holding(v, ()) for v in signed.vaults))
    refused("reserves/signature", lacking)
    refused("reserves/short", resigned(two, lacking))


def test_a_vault_left_out_is_missed(two, signed):
    refused("reserves/short", resigned(two, replace(signed, vaults=signed.vaults[:1])))
    refused("reserves/format", replace(signed, vaults=()))


def test_nothing_is_counted_twice(two, signed):
    first, second = signed.vaults
    for twice in (
        (first, first, second),
        (holding(first, first.coins * 2), second),
        (holding(first, (*first.coins, *second.coins)), second),
        (replace(first, burns=(first.burns or second.burns) * 2), replace(second, burns=())),
    ):
        refused("reserves/altered", resigned(two, replace(signed, vaults=twice)))


def test_coins_of_another_vault_are_not_this_ones(two, signed):
    first, second = signed.vaults
    swapped = holding(first, second.coins), holding(second, first.coins)
    refused("reserves/altered", resigned(two, replace(signed, vaults=swapped)))


def test_tokens_of_one_loan_are_not_covered_by_anothers_vault(two, signed):
    """Two coins of the second loan's vault are not there; the first's spare coins do not help."""
    first, second = signed.vaults
    crossed = (
        replace(first, terms=second.terms, path=second.path, outstanding=second.outstanding),
        replace(second, terms=first.terms, path=first.path, outstanding=first.outstanding),
    )
    refused("reserves/altered", resigned(two, replace(signed, vaults=crossed)))


def test_an_older_state_is_not_the_blocks(two, signed):
    """The supply before the burn, proven in its own block, does not fit the one that is named."""
    with two.fork() as fork:
        deal = fork.loans[0]
        fork.silence(*COSIGNERS)
        fork.burn(deal, btc="0.25")
        later = observe_only_sealed(fork)
    then = signed.evm
    mixed = replace(later.evm, supply=then.supply, account=then.account, path=then.path)
    refused("reserves/altered", resigned(two, replace(later, evm=mixed)))


def observe_only_sealed(world: World) -> Statement:
    world.evm.chain.seal()
    return observe_only(world)


def test_a_burn_that_never_was_is_noticed(two, signed):
    first, *rest = signed.vaults
    made_up = replace(first.burns[0] if first.burns else rest[0].burns[0], id=7)
    refused(
        "reserves/altered",
        resigned(two, replace(signed, vaults=(replace(first, burns=(made_up,)), *rest))),
    )


def test_a_statement_dated_before_its_own_block(two, signed):
    refused("reserves/altered", resigned(two, replace(signed, at=Seconds(signed.at - DAY))))


def overissue(world: World) -> None:
    """A quorum of attestors lies: half a coin in tokens that no coin backs."""
    deal, pledge = world.loans[0], world.evm.contracts.pledge
    message = {
        "loan": bytes.fromhex(deal.id[2:]),
        "holder": world.party("borrower").address_bytes,
        "txid": b"\xab" * 32,
        "vout": 0,
        "sats": COIN // 2,
        "reserves": 10 * COIN,
        "seen_at": world.now,
        "bitcoin_block": b"\xab" * 32,
    }
    sigs = [
        typed.sign_attestation(world.party(name).account, attestation=message, domain=pledge.domain)
        for name in ("attestor-1", "attestor-2")
    ]
    pledge.send(world.party("stranger").account, "mint", tuple(message.values()), sigs)


def test_tokens_without_coins_show(world):
    overissue(world)
    statement = prove_world(world)  # true, so it is signed
    refused("reserves/short", statement)
    assert statement.evm.supply == 2 * COIN


def test_stolen_coins_show(world):
    deal = world.loans[0]
    world.silence("attestor-1", "attestor-2")
    [coin] = world.bitcoin.coins(deal.vault.script_pubkey)
    draft = bip174.update(
        bip174.create(
            [coin.outpoint], outputs=[(world.party("stranger").script, Sats(coin.sats - 1_000))]
        ),
        owner=deal.vault,
        prev_txs=[world.bitcoin.transaction(coin.outpoint.txid)],
    )
    copies = [bip174.sign(draft, keys=world.party(name).keys) for name in QUORUM]
    world.bitcoin.broadcast(bip174.extract(bip174.finalize(bip174.combine(copies))))
    verify(prove_world(world))  # the last block still holds them
    world.mine(1)
    refused("reserves/short", prove_world(world))


# --- age ---


@pytest.mark.parametrize(
    ("later", "max_age", "code"),
    [
        (0, 0, ""),
        (1, 0, "reserves/stale"),
        (HOUR, HOUR, ""),
        (HOUR + 1, HOUR, "reserves/stale"),
        (10 * DAY, None, ""),
        (-1, None, "reserves/stale"),
    ],
)
def test_how_old_it_may_be(signed, later, max_age, code):
    at = Seconds(signed.at + later)
    if code:
        refused(code, signed, at=at, max_age=max_age)
    else:
        verify(signed, at=at, max_age=max_age)


def test_an_age_needs_a_present(signed):
    refused("input/time", signed, max_age=HOUR)


# --- those who sign look for themselves ---


def test_who_signs_has_looked(world):
    mine = voucher(world)
    good = observe_only_sealed(world)
    mine.review(good)
    [vault] = good.vaults
    for code, bad in (
        ("reserves/stale", replace(good, at=Seconds(good.at + 1))),
        ("reserves/altered", replace(good, vaults=(holding(vault, ()),))),
        ("reserves/altered", replace(good, vaults=(replace(vault, outstanding=Sats(1)),))),
        ("reserves/altered", replace(good, evm=replace(good.evm, supply=Sats(0)))),
        ("reserves/block", replace(good, bitcoin=replace(good.bitcoin, hash="00" * 32))),
        ("reserves/block", replace(good, evm=replace(good.evm, hash=b"\x01" * 32))),
    ):
        with pytest.raises(Refused) as refusal:
            mine.review(bad)
        assert refusal.value.code == code
    world.mine(1)
    with pytest.raises(Refused, match="reserves/stale"):
        mine.review(good)
    with pytest.raises(Refused, match="reserves/block"):
        mine.review(replace(good, at=world.now))


def test_who_signs_a_statement_signs_nothing_else(world):
    """Neither a spend of the coins, nor the same statement's proof for a vault it is not about."""
    mine, deal = voucher(world), world.loans[0]
    good = observe_only_sealed(world)
    proof = bip322.to_sign(good.message, owner=deal.vault)
    [signed] = mine.sign([proof], good)
    assert signed != proof
    [coin] = world.bitcoin.coins(deal.vault.script_pubkey)
    spend = bip174.update(
        bip174.create([coin.outpoint], outputs=[(world.party("lender").script, Sats(COIN))]),
        owner=deal.vault,
        prev_txs=[world.bitcoin.transaction(coin.outpoint.txid)],
    )
    wallet = bip322.to_sign(good.message, owner=world.party("lender").keys.wallet_key())
    other = bip322.to_sign("I owe the bearer a coin", owner=deal.vault)
    for psbt in (spend, wallet, other):
        with pytest.raises(Refused, match="reserves/signature"):
            mine.sign([proof, psbt], good)


def test_one_who_sees_otherwise_is_outvoted_or_stops_it(world):
    """A cosigner that is a block behind does not sign; the other two make the quorum."""
    behind = replace(view_of(world), now=lambda: Seconds(world.now - 1))
    late = Voucher(SoftwareSigner(world.party("borrower").keys), role="borrower", view=behind)
    vouchers = [late, *(voucher(world, name) for name in QUORUM)]
    verify(prove(view_of(world), vouchers=vouchers))
    vouchers.pop()
    with pytest.raises(Refused, match="reserves/stale"):
        prove(view_of(world), vouchers=vouchers)


def test_nobody_shows_a_secret(world):
    assert repr(voucher(world)).startswith("<Voucher ")
    assert "Keys" not in repr(view_of(world))


# --- files from outside ---


def bad(text: str | bytes) -> None:
    with pytest.raises(BadInput) as refusal:
        read_statement(text)
    assert refusal.value.code in ("reserves/format", "reserves/altered")


def test_files_that_cannot_be_read(signed):
    text = write_statement(signed)
    first = text.index('"at"')
    for wrong in (
        "",
        "[]",
        "null",
        "{}",
        text[:-3],
        text + "x",
        '{"a":' * 99_000 + "1" + "}" * 99_000,
        text.replace('"version": 1', '"version": true'),
        text.replace('"version": 1', '"version": 1.0'),
        text.replace('"version": 1', '"version": 2'),
        text[:first] + '"at": 1,\n ' + text[first:],
        text[:first] + '"more": 1,\n ' + text[first:],
        text.replace('"supply": ', '"supply": 1e'),
        text.replace('"supply": ', '"supply": NaN, "x": '),
        text.replace('"supply": ', '"supply": -'),
        text.replace('"supply": ', '"supply": ' + "9" * 5_000),
        b"\xff" + text.encode(),
        text + " " * MAX_FILE,
    ):
        bad(wrong)


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300)))
def test_files_of_garbage(raw):
    bad(raw)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(data=st.data())
def test_files_with_anything_in_any_place(signed, data):
    """Whatever stands where something else should: refused by name, whoever mends the message."""
    original = json.loads(write_statement(signed))
    original["bitcoin"]["headers"] = original["bitcoin"]["headers"][:2]
    place, holder = original, None
    while isinstance(place, dict | list) and (holder is None or data.draw(st.booleans())):
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        if not keys:
            break
        holder, key = place, data.draw(st.sampled_from(list(keys)))
        place = place[key]
    holder[key] = data.draw(JSON)  # type: ignore[index]
    with pytest.raises(EscrowError) as refusal:
        verify(read_statement(json.dumps(original)))
    if "expected" in refusal.value.facts and "message" in refusal.value.facts:
        original["message"] = refusal.value.facts["expected"]
        with pytest.raises(EscrowError) as refusal:
            verify(read_statement(json.dumps(original)))
    assert refusal.value.code.startswith("reserves/")


# --- minting on them ---


def attestor(world: World):
    return world._wires.attestors[0]


def final_coin(world: World) -> OutPoint:
    """A coin that is final and not minted for, since no quorum of attestors answers."""
    world.silence("attestor-1", "attestor-2")
    world.pledge(world.loans[0], btc="1", wait=False)
    world.mine(6)
    [point] = [
        coin.outpoint
        for coin in world.bitcoin.coins(world.loans[0].vault.script_pubkey)
        if not world.evm.is_minted(str(coin.outpoint))
    ]
    return point


def test_an_attestation_states_the_vaults_reserves(world):
    point = final_coin(world)
    message, _ = attestor(world).attest(point, terms=world.loans[0].terms, at=world.now)
    assert message["reserves"] == 250_000_000
    assert message["seen_at"] == world.now
    assert message["bitcoin_block"].hex() == world.bitcoin.tip_hash


def test_a_coin_that_is_not_final_is_no_reserve(world):
    point = final_coin(world)
    world.pledge(world.loans[0], btc="2", wait=False)
    world.mine(5)
    message, _ = attestor(world).attest(point, terms=world.loans[0].terms, at=world.now)
    assert message["reserves"] == 250_000_000
    world.mine(1)
    message, _ = attestor(world).attest(point, terms=world.loans[0].terms, at=world.now)
    assert message["reserves"] == 450_000_000


def test_what_is_burned_and_unpaid_is_no_reserve(world):
    deal = world.loans[0]
    point = final_coin(world)
    world.repay(deal)
    world.silence(*COSIGNERS)
    world.burn(deal, btc="0.5")
    message, _ = attestor(world).attest(point, terms=deal.terms, at=world.now)
    assert message["reserves"] == 200_000_000
    world.answer(*COSIGNERS)
    world.settle()
    for blocks in (0, 1):  # the change counts although it is young: its tokens exist
        world.mine(blocks)
        [payout] = deal.state.vault.payouts
        assert world.bitcoin.depth(payout.txid) == blocks
        message, _ = attestor(world).attest(point, terms=deal.terms, at=world.now)
        assert message["reserves"] == 200_000_000


def test_no_statement_is_dated_ahead_or_back(world):
    """One dated ahead could be held back and used when it is no longer true."""
    point, terms = final_coin(world), world.loans[0].terms
    for off in (-1, 1):
        with pytest.raises(Refused, match="attestor/time"):
            attestor(world).attest(point, terms=terms, at=Seconds(world.now + off))
        with pytest.raises(Refused, match="attestor/time"):
            attestor(world).attest_loss(point, terms=terms, sats=COIN, at=Seconds(world.now + off))
    attestor(world).attest(point, terms=terms, at=world.now)


def test_the_token_mints_within_the_statement_and_for_an_hour(world):
    """A quorum's words that were held back: good until the hour is over, and no longer."""
    point, terms = final_coin(world), world.loans[0].terms
    pledge, anyone = world.evm.contracts.pledge, world.party("stranger").account
    said = [each.attest(point, terms=terms, at=world.now) for each in world._wires.attestors[:2]]
    message, sigs = tuple(said[0][0].values()), [sig for _, sig in said]
    for wait, code in ((HOUR, ""), (HOUR + 1, "mint/expired")):
        with world.fork() as fork:
            fork.advance(seconds=wait)
            token = fork.evm.contracts.pledge
            if code:
                with pytest.raises(EscrowError, match=code):
                    token.send(anyone, "mint", message, sigs)
                continue
            watch = EvmWatch(fork.evm, roles={}, cursor=fork.evm.chain.cursor)
            token.send(anyone, "mint", message, sigs)
            [(_, told)] = watch.look(fork.engine.deals, at=fork.now)
            assert isinstance(told, Mint)
            assert (told.reserves, told.age) == (250_000_000, HOUR)
            fork.settle()
            assert fork.engine.broken == []
            assert fork.loans[0].state.incidents == ()
            assert fork.evm.outstanding(fork.loans[0].id) == 250_000_000
    bent = dict(said[0][0]) | {"reserves": 10 * COIN}
    with pytest.raises(EscrowError, match="mint/stranger"):
        pledge.send(anyone, "mint", tuple(bent.values()), sigs)


def test_attestors_that_see_different_tips_make_no_quorum_together(world):
    """Two see one tip and two another would be two quorums; one and one are none."""
    point, terms = final_coin(world), world.loans[0].terms
    first, second = world._wires.attestors[:2]

    class Behind:
        """The same chain, seen by a node that calls the tip otherwise."""

        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return "0b" * 32 if name == "tip_hash" else getattr(self._inner, name)

    second._bitcoin = Behind(second._bitcoin)
    ours, _ = first.attest(point, terms=terms, at=world.now)
    theirs, _ = second.attest(point, terms=terms, at=world.now)
    assert ours != theirs
    world.answer("attestor-1", "attestor-2")
    world.silence("attestor-3")
    world.settle()
    assert not world.evm.is_minted(str(point))
    world.answer("attestor-3")
    world.settle()
    assert world.evm.is_minted(str(point))


# --- vaults that have moved ---


@pytest.fixture(scope="module")
def moved() -> Iterator[World]:
    """Re-keyed twice while too few sign: one coin in the first vault, one in the second, none in
    the third."""
    with World(seed=5) as world:
        deal = world.open()
        world.silence("custodian")
        world.rekey(deal, lost="lender")
        world.pledge(deal, btc="0.5")
        world.rekey(deal, lost="recovery")
        world.evm.chain.seal()
        yield world


@pytest.fixture(scope="module")
def thrice(moved: World) -> Statement:
    with moved.fork() as fork:
        fork.answer("custodian")
        return prove_world(fork)


def test_each_generation_that_holds_coins_is_stated(moved, thrice):
    [vault] = read_statement(write_statement(thrice)).vaults
    assert [(g.number, sum(c.sats for c in g.coins)) for g in vault.generations] == [
        (0, 150_000_000),
        (1, 50_000_000),
        (2, 0),
    ]
    programs = [v.witness_program for v in moved.custody_of(moved.loans[0].id).vaults]
    assert [each.program for each in vault.rekeys] == programs[1:]
    verdict = verify(read_statement(write_statement(thrice)))
    assert (verdict.coins, verdict.supply, verdict.vaults) == (2 * COIN, 2 * COIN, 1)


def test_a_moved_vault_is_verified_in_another_process(moved, tmp_path, capsys):
    with moved.fork() as fork:
        fork.answer("custodian")
        fork.save(tmp_path / "a.world")
    file = tmp_path / "r.json"
    argv = ("prove", "--world", str(tmp_path / "a.world"), "--out", str(file))
    assert cli(capsys, *argv)[0] == 0
    found = run("verify", str(file), "--json")
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["coins"] == 2 * COIN
    first = json.loads(file.read_text())
    first["vaults"][0]["rekeys"][0]["lender"] = first["vaults"][0]["rekeys"][0]["borrower"]
    file.write_text(json.dumps(first))
    status, out, err = cli(capsys, "verify", str(file))
    assert (status, out) == (2, "")
    assert err.startswith("error: reserves/altered:")


def test_old_vaults_are_left_out_once_they_are_empty(moved):
    with moved.fork() as fork:
        fork.answer("custodian")
        fork.settle()
        fork.mine(1)
        statement = prove_world(fork)
        [vault] = statement.vaults
        assert [g.number for g in vault.generations] == [2]
        assert len(vault.rekeys) == 2
        verdict = verify(statement)
        assert (verdict.coins, verdict.spare) == (2 * COIN, 0)
        short = replace(vault, rekeys=vault.rekeys[1:])
        refused("reserves/signature", resigned(fork, replace(statement, vaults=(short,))))


def test_a_key_that_was_lost_proves_nothing(moved):
    """The lender's old key would make a quorum of the first vault with the borrower's."""
    with moved.fork() as fork, pytest.raises(Refused, match="cosigner/absent"):
        prove_world(fork)
    with moved.fork() as fork:
        fork.answer("custodian")
        fork.silence("lender")
        verify(prove_world(fork))


def signed_rekey(world: World, program: bytes, number: int, *, by: str, book: bytes = b"") -> bytes:
    domain = world.evm.contracts.book.domain
    message = rekey_message(world.loans[0].id, "0x" + program.hex(), number)
    sig = typed.sign_rekey(
        world.party(by).account,
        rekey=message,
        domain=replace(domain, contract=book or domain.contract),
    )
    return sig.r + sig.s + bytes([sig.v])


def test_an_agreement_that_somebody_forged_is_named(moved, thrice):
    """A quorum of all vaults lies, and signs whatever was altered: only the agreements say no."""
    [vault] = thrice.vaults
    first, second = vault.rekeys
    program = first.program
    stranger = signed_rekey(moved, program, 1, by="stranger")
    elsewhere = signed_rekey(moved, program, 1, by="lender", book=b"\xab" * 20)
    late = signed_rekey(moved, program, 2, by="lender")
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    raw = first.lender
    high = (order - int.from_bytes(raw[32:64], "big")).to_bytes(32, "big")
    malleable = raw[:32] + high + bytes([55 - raw[64]])
    assert signed_rekey(moved, program, 1, by="lender") == raw
    for lender in (stranger, elsewhere, late, malleable, bytes(65), b"\xff" * 65, first.borrower):
        rekeys = (replace(first, lender=lender), second)
        altered = replace(thrice, vaults=(replace(vault, rekeys=rekeys),))
        refused("reserves/signature", resigned(moved, altered))
    for rekeys in (
        (second, first),
        (replace(first, borrower=stranger), second),
        (replace(first, program=b"\xab" * 32), second),
    ):
        altered = replace(thrice, vaults=(replace(vault, rekeys=rekeys),))
        refused("reserves/signature", resigned(moved, altered))
    for evm in (
        replace(thrice.evm, book=b"\xab" * 20),
        replace(thrice.evm, chain_id=thrice.evm.chain_id + 1),
    ):
        refused("reserves/signature", resigned(moved, replace(thrice, evm=evm)))
    verify(resigned(moved, thrice))


def test_an_agreement_that_is_missing_is_missed(moved, thrice):
    [vault] = thrice.vaults
    old, middle, newest = vault.generations
    for changes in (
        {"rekeys": ()},
        {"rekeys": vault.rekeys[:1]},
        {"generations": ()},
        {"generations": (old, middle)},
        {"generations": (middle, old, newest)},
        {"generations": (old, old, newest)},
        {"generations": (replace(old, number=1), newest)},
        {"generations": (old, replace(middle, number=2))},
        {"generations": (old, replace(newest, number=3))},
    ):
        altered = replace(thrice, vaults=(replace(vault, **changes),))
        refused("reserves/altered", resigned(moved, altered))
    partly = replace(vault, generations=(middle, newest))
    refused("reserves/short", resigned(moved, replace(thrice, vaults=(partly,))))


def test_a_vault_of_before_is_no_later_one(moved, thrice):
    """Both parties sign a way back: no cosigner takes that up, and no verifier."""
    [vault] = thrice.vaults
    old, _, newest = vault.generations
    program = bytes.fromhex(vault.terms.vault[2:])
    back = replace(
        vault.rekeys[1],
        program=program,
        borrower=signed_rekey(moved, program, 2, by="borrower"),
        lender=signed_rekey(moved, program, 2, by="lender"),
    )
    again = replace(old, number=newest.number)
    altered = replace(vault, rekeys=(vault.rekeys[0], back), generations=(again,))
    refused("reserves/altered", resigned(moved, replace(thrice, vaults=(altered,))))


def test_a_loan_is_stated_once_whatever_its_vaults(moved, thrice):
    [vault] = thrice.vaults
    old, middle, newest = vault.generations
    parts = replace(vault, generations=(old, newest)), replace(vault, generations=(middle,))
    fewer = replace(parts[1], rekeys=vault.rekeys[:1])
    refused("reserves/altered", resigned(moved, replace(thrice, vaults=(parts[0], fewer))))


def test_the_quorum_of_each_generation_signs(thrice):
    [vault] = thrice.vaults
    old, middle, newest = vault.generations
    for changed in (
        (replace(old, proof=newest.proof), middle, newest),
        (old, replace(middle, proof=old.proof), newest),
        (old, middle, replace(newest, proof=middle.proof)),
    ):
        altered = replace(thrice, vaults=(replace(vault, generations=changed),))
        refused("reserves/signature", altered)


def test_no_leaf_of_an_agreement_can_be_altered(thrice):
    text = write_statement(thrice)
    for path in leaves(json.loads(text)):
        if path[0] != "vaults" or (path[2] != "rekeys" and path[-1] != "number"):
            continue
        value = json.loads(text)
        for step in path:
            value = value[step]
        for change in bent(value):
            altered = json.loads(text)
            put(altered, path, change)
            with pytest.raises(EscrowError) as refusal:
                verify(read_statement(json.dumps(altered)))
            assert refusal.value.code in ("reserves/format", "reserves/altered"), path
            if "message" not in refusal.value.facts:
                continue
            altered["message"] = refusal.value.facts["expected"]
            with pytest.raises(EscrowError) as refusal:
                verify(read_statement(json.dumps(altered)))
            assert refusal.value.code in ("reserves/signature", "reserves/altered"), path


def test_one_who_knows_of_no_agreement_signs_none(moved):
    """It sees a vault of its own, and coins missing from it."""
    with moved.fork() as fork:
        view, [deal] = view_of(fork), fork.loans
        known = view.custodies[deal.id]
        before = Custody(known.terms, known.vaults[:1])
        behind = replace(view, custodies={deal.id: before})
        signer = SoftwareSigner(fork.party("lender").keys)
        late = Voucher(signer, role="lender", view=behind)
        with pytest.raises(Refused, match="reserves/altered"):
            late.review(observe(view, at=fork.now))
        voucher(fork).review(observe(view, at=fork.now))


# --- keys that sign as one ---


@pytest.fixture(scope="module")
def joint() -> Iterator[World]:
    with World(config=WorldConfig(seed=1, policy="musig")) as world:
        world.open()
        world.evm.chain.seal()
        yield world


def group(world: World, name: str, **changes: object) -> Voucher:
    keys, view = world.party(name).keys, changes.get("view", view_of(world))
    return Voucher(SoftwareSigner(keys), role=name, view=view, musig=MusigSigner(keys))


def test_two_keys_sign_as_one(joint, tmp_path, capsys):
    joint.save(tmp_path / "a.world")
    texts = []
    for name in ("r.json", "again.json"):
        argv = ("prove", "--world", str(tmp_path / "a.world"), "--out", str(tmp_path / name))
        assert cli(capsys, *argv)[0] == 0
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    found = run("verify", str(tmp_path / "r.json"), "--json")
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["coins"] == 150_000_000
    [generation] = read_statement(texts[0]).vaults[0].generations
    # "smp", then base64 of one item of 64 bytes: nothing but the joint signature.
    assert len(generation.proof) == len("smp") + 88
    altered = json.loads(texts[0])
    altered["at"] += 1
    with pytest.raises(BadInput, match="reserves/altered") as refusal:
        read_statement(json.dumps(altered))
    altered["message"] = refusal.value.facts["expected"]
    refused("reserves/signature", read_statement(json.dumps(altered)))


@pytest.mark.parametrize("silent", COSIGNERS)
def test_any_two_of_a_group_sign(joint, silent):
    with joint.fork() as fork:
        fork.silence(silent)
        verify(prove_world(fork))


def test_one_of_a_group_is_not_enough(joint):
    with joint.fork() as fork:
        fork.silence("lender", "custodian")
        with pytest.raises(Refused, match="cosigner/absent"):
            prove_world(fork)


def test_a_proof_leaves_the_future_as_it_was(joint):
    hashes = []
    for proves in (False, True):
        with joint.fork() as fork:
            if proves:
                prove_world(fork)
            fork.repay(fork.loans[0])
            fork.burn(fork.loans[0], btc="0.5")
            fork.mine(1)
            hashes.append(fork.bitcoin.tip_hash)
    assert hashes[0] == hashes[1]


def test_a_group_that_moved(joint):
    """The first vault's group is another pair then: the lender's key there was lost."""
    with joint.fork() as fork:
        fork.rekey(lost="lender")  # the sweep waits for a block
        statement = prove_world(fork)
        [vault] = statement.vaults
        assert [(g.number, len(g.coins)) for g in vault.generations] == [(0, 1), (1, 0)]
        verify(statement)
        fork.mine(1)
        statement = prove_world(fork)
        assert [g.number for g in statement.vaults[0].generations] == [1]
        verify(statement)


def test_who_refuses_in_the_second_round_is_done_without(joint):
    """Between the rounds the lender's clock goes on: the other two sign, or nobody does."""
    with joint.fork() as fork:
        seen = [0]

        def clock() -> Seconds:
            seen[0] += 1
            return Seconds(fork.now + (seen[0] > 1))

        late = group(fork, "lender", view=replace(view_of(fork), now=clock))
        others = [group(fork, name) for name in ("borrower", "custodian")]
        verify(prove(view_of(fork), vouchers=[late, *others]))
        seen[0] = 0
        with pytest.raises(Refused, match="reserves/stale"):
            prove(view_of(fork), vouchers=[late, others[0]])
        assert not any(each._musig._held for each in (late, *others)), "nonces were left"


def test_a_signer_without_rounds_takes_no_part_in_them(joint):
    with joint.fork() as fork:
        vouchers = [voucher(fork), group(fork, "borrower")]
        with pytest.raises(Refused, match="psbt/no-key"):
            prove(view_of(fork), vouchers=vouchers)
        vouchers.append(group(fork, "custodian"))
        verify(prove(view_of(fork), vouchers=vouchers))


def test_one_of_a_group_gives_nonces_for_the_statement_only(joint):
    with joint.fork() as fork:
        mine, [deal] = group(fork, "lender"), fork.loans
        good = observe_only(fork)
        proof = bip322.to_sign(good.message, owner=deal.vault)
        other = bip322.to_sign("I owe the bearer a coin", owner=deal.vault)
        with pytest.raises(Refused, match="reserves/signature"):
            mine.nonces([other], good)
        [given] = mine.nonces([proof], good)
        assert given != proof
        [theirs] = group(fork, "borrower").nonces([proof], good)
        both = bip174.combine([given, theirs])
        with pytest.raises(Refused, match="reserves/altered"):
            mine.partial([both], replace(good, vaults=()))
        mine.close()
        with pytest.raises(Refused, match="musig/nonce"):
            mine.partial([both], good)


def test_one_of_a_group_who_answers_with_rubbish_is_done_without(joint):
    class Liar(Voucher):
        def partial(self, psbts, statement):
            return tuple(psbt_of_other(psbt) for psbt in super().partial(psbts, statement))

    def psbt_of_other(psbt):
        copy = unshared(psbt._inner)
        for each in copy.inputs:
            each.musig2_partial_sigs = {k: bytes(32) for k in each.musig2_partial_sigs}
        return bip174.Psbt(copy)

    with joint.fork() as fork:
        keys = fork.party("lender").keys
        view = view_of(fork)
        liar = Liar(SoftwareSigner(keys), role="lender", view=view, musig=MusigSigner(keys))
        others = [group(fork, name) for name in ("borrower", "custodian")]
        with pytest.raises(Refused, match="musig/partial"):
            prove(view, vouchers=[liar, others[0]])
        verify(prove(view, vouchers=[liar, *others]))
