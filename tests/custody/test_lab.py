"""Every shipped policy on the chain: what the report says of it, tried with real transactions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from itertools import combinations

import pytest
from custody_lab import is_open, path_of, policy_of, refusal_of, role_of, ways

from escrow.core.units import Seconds
from escrow.custody.ability import Loss, LossKind, able_keys, able_senders, own_keys, parties
from escrow.custody.policy import After, Form, KeyKind, Moment, Older, Path, Policy, ScriptKind
from escrow.custody.reach import pairs, report, windows
from escrow.custody.read import load_policy, shipped
from escrow.custody.windows import Window
from escrow.sim import vault_check
from escrow.sim.vault_check import Tried, check, in_time
from escrow.sim.vault_lab import COIN_SATS, Attempt, Lab

SCRIPT_FAILED = "block-script-verify-flag-failed"
NON_FINAL = "bad-txns-nonfinal"
UP_FRONT = (Form.PRESIGNED, Form.ATTESTED)
START = Window("start", frozenset())
TWO = load_policy("two-of-three")
RECOVERY = load_policy("two-of-three-recovery")
START_TIME = {"rested": 0, "passed": 0}
EVERYONE = frozenset({"borrower", "lender", "custodian", "recovery"})

policies = pytest.mark.parametrize("name", shipped())


@cache
def tried_of(name: str) -> tuple[Tried, ...]:
    return check(load_policy(name))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as it:
        yield it


def times_of(window: Window) -> dict[str, int]:
    """The window as the second opinion has it."""
    spans = [lock.seconds for lock in window.open if isinstance(lock, Older)]
    moments = [lock.moment for lock in window.open if isinstance(lock, After)]
    numbers = {Moment.DEFAULT: 1, Moment.RECOVERY: 2}
    return {
        "rested": max(spans, default=0),
        "passed": max((numbers[each] for each in moments), default=0),
    }


def verdict_on(
    policy: Policy, path: Path, window: str, keys: Collection[str], senders: Collection[str]
) -> bool:
    """What the chain said of these; fails if it was not asked."""
    (at,) = (each for each in windows(policy) if each.name == window)
    claim = vault_check.claim_of(
        policy, path, window=at, keys=frozenset(keys), senders=frozenset(senders)
    )
    return asked(policy.name)[claim]


@cache
def asked(name: str) -> dict[vault_check.Claim, bool]:
    return {each.claim: each.attempt.accepted for each in tried_of(name)}


def opened_in(policy: Policy, path: Path) -> Window:
    """The first window in which the path is open."""
    return next(w for w in in_time(policy) if is_open(path.lock, **times_of(w)))


class TestEveryPolicy:
    @policies
    def test_chain_and_report_agree_on_every_claim(self, name: str):
        tried = tried_of(name)
        assert [each for each in tried if not each.agrees] == []
        asked = {(each.claim.path, each.claim.window.name) for each in tried}
        policy = load_policy(name)
        assert asked == {(p.name, w.name) for p in policy.paths for w in windows(policy)}

    @policies
    def test_a_second_opinion_agrees_with_the_chain(self, name: str):
        policy = load_policy(name)
        for each in tried_of(name):
            claim = each.claim
            path = policy.path(claim.path)
            keys = claim.keys & set(path.roles)
            senders = path.held_by if claim.sends else ()
            found = ways(policy, keys, senders, **times_of(claim.window))
            assert (path.name in found) == each.attempt.accepted, claim

    @policies
    def test_every_line_of_the_report_was_tried(self, name: str):
        policy = load_policy(name)
        for row in report(policy):
            able = able_keys(policy, loss=row.loss), able_senders(policy, loss=row.loss)
            for path in policy.paths:
                verdict = verdict_on(policy, path, row.window, *able)
                if path.name in {each.path for each in row.exits}:
                    assert verdict
            for party in parties(policy):
                if row.loss == Loss(LossKind.PARTY_SILENT, party):
                    continue
                own = own_keys(policy, party, loss=row.loss), {party}
                for path in policy.paths:
                    verdict = verdict_on(policy, path, row.window, *own)
                    if (path.name, party) in {(each.path, each.by) for each in row.taken}:
                        assert verdict
            if row.loss and row.loss.kind is LossKind.KEY_STOLEN:
                thief = {row.loss.who}, {policy.role(row.loss.who).holder}
                taken = {each.path for each in row.taken if each.by == "thief"}
                can = {p.name for p in policy.paths if verdict_on(policy, p, row.window, *thief)}
                rightful = {p.name for p in policy.paths if row.entitled[:1] == (p.to,)}
                assert taken == can - rightful

    @policies
    def test_each_two_together_were_tried(self, name: str):
        policy = load_policy(name)
        holders = {role.name: role.holder for role in policy.roles}
        last = in_time(policy)[-1].name
        for pair, found in pairs(policy):
            senders = {holders.get(who, who) for who in pair}
            can = {p.name for p in policy.paths if verdict_on(policy, p, last, pair, senders)}
            assert can == {each.path for each in found}

    @policies
    def test_every_path_is_taken_and_refused(self, name: str):
        for path in load_policy(name).paths:
            mine = [each.attempt for each in tried_of(name) if each.claim.path == path.name]
            # of the key that should be destroyed and the oracles' two, no two make three
            impossible = (name, path.name) == ("presigned", "joint")
            assert any(each.accepted for each in mine) != impossible, path.name
            assert not all(each.accepted for each in mine), path.name

    @policies
    def test_opens_and_closes_together_then_by_every_other_path(self, lab: Lab, name: str):
        policy = load_policy(name)
        opened = lab.open(policy)
        assert lab.node.depth(opened.txid)
        done: set[str] = set()
        for window in in_time(policy):
            for path in policy.paths:
                if path.name in done or not is_open(path.lock, **times_of(window)):
                    continue
                coins = len(lab.coins(opened))
                found = lab.attempt(opened, path.name, keys=path.roles, at=window)
                assert (found.accepted, found.code, found.reason) == (True, "", "")
                assert lab.node.depth(found.txid) == 1
                assert len(lab.coins(opened)) >= coins - 1
                assert COIN_SATS - 600 < found.sats < COIN_SATS + 600
                done.add(path.name)
        assert done == {path.name for path in policy.paths}

    @policies
    def test_each_path_is_refused_with_one_signer_fewer(self, lab: Lab, name: str):
        policy = load_policy(name)
        opened = lab.open(policy)
        for path in sorted(policy.paths, key=lambda p: in_time(policy).index(opened_in(policy, p))):
            if not path.threshold:
                found = lab.attempt(
                    opened, path.name, keys=(), at=opened_in(policy, path), senders=()
                )
                refused_by_script(found)
                continue
            for fewer in combinations(path.roles, path.threshold - 1):
                found = lab.attempt(opened, path.name, keys=fewer, at=opened_in(policy, path))
                refused_by_script(found)
                assert found.signers == fewer or path.form in UP_FRONT

    @policies
    def test_each_path_is_refused_before_its_lock(self, lab: Lab, name: str):
        policy = load_policy(name)
        opened = lab.open(policy)
        for window in in_time(policy):
            for path in policy.paths:
                if is_open(path.lock, **times_of(window)):
                    continue
                found = lab.attempt(opened, path.name, keys=path.roles, at=window)
                assert (found.accepted, found.code) == (False, "bitcoin/non-final")
                assert found.reason.startswith(NON_FINAL)
                for signers in combinations(path.roles, path.threshold):
                    # A transaction that does not wait is stopped by the script itself, unless
                    # these may move the coins without waiting.
                    if path.form is not Form.SCRIPT or ways(policy, signers, (), **START_TIME):
                        continue
                    hasty = lab.attempt(opened, path.name, keys=signers, at=window, skip_lock=True)
                    refused_by_script(hasty)
                    assert "Locktime requirement not satisfied" in hasty.reason


def refused_by_script(found: Attempt) -> None:
    assert not found.accepted
    assert found.code == "bitcoin/script"
    assert found.reason.startswith(SCRIPT_FAILED)


class TestLab:
    def test_is_the_same_for_the_same_seed_and_another_for_another(self):
        found = []
        for seed in (3, 3, 4):
            with Lab(seed=seed) as lab:
                opened = lab.open(load_policy("musig"))
                one = lab.attempt(opened, "close", keys=EVERYONE, at=START)
                found.append((opened.vault.address, one.txid, lab.node.tip_hash))
        assert found[0] == found[1]
        assert not set(found[0]) & set(found[2])

    def test_goes_forward_only(self, lab: Lab):
        opened = lab.open(RECOVERY)
        lab.attempt(opened, "close", keys=EVERYONE, at=windows(RECOVERY)[-1])
        refused = refusal_of(lambda: lab.attempt(opened, "close", keys=EVERYONE, at=START))
        assert refused.code == "input/time"

    def test_a_path_that_is_not_there_is_bad_input(self, lab: Lab):
        opened = lab.open(TWO)
        refused = refusal_of(lambda: lab.attempt(opened, "stairs", keys=EVERYONE, at=START))
        assert refused.code == "policy/value"

    def test_what_no_node_relays_and_the_kernel_takes_is_taken(self):
        with Lab() as lab:
            opened = lab.open(TWO)
            lab.node.set_floor(100)
            found = lab.attempt(opened, "close", keys={"borrower", "lender"}, at=START)
        assert (found.accepted, found.code, found.reason) == (True, "bitcoin/fee", "")

    @pytest.mark.parametrize(("name", "path"), [("two-of-three", "close"), ("presigned", "joint")])
    def test_what_is_sent_without_a_wallet_is_good_if_the_keys_are(
        self, lab: Lab, name: str, path: str
    ):
        """Or its refusals would say nothing: one signature fewer, and the same is refused."""
        policy = load_policy(name)
        opened = lab.open(policy)
        asked = policy.path(path)
        for count in (asked.threshold, asked.threshold - 1):
            found = lab.attempt(opened, path, keys=asked.roles[:count], at=START, skip_lock=True)
            assert found.accepted == (count == asked.threshold)

    def test_exits_that_nothing_carries_out_are_refused(self, lab: Lab):
        loose = policy_of(
            path_of("close", 2, "a b c"),
            path_of(
                "late", 1, "a", form=Form.PRESIGNED, via="close", to="borrower", held_by=("b",)
            ),
        )
        assert refusal_of(lambda: lab.open(loose)).code == "policy/value"
        strange = policy_of(
            path_of("close", 2, "a b"),
            path_of("word", 1, "o", form=Form.ATTESTED, via="close", to="lender", held_by=("a",)),
        )
        assert refusal_of(lambda: lab.open(strange)).code == "policy/value"
        burnt = policy_of(
            path_of("close", 2, "a b"),
            path_of("exit", 1, "b", form=Form.PRESIGNED, via="close", to="lender", held_by=("b",)),
            roles=[role_of("a", key=KeyKind.EPHEMERAL), role_of("b")],
        )
        assert refusal_of(lambda: lab.open(burnt)).code == "policy/value"

    def test_a_lie_of_the_report_is_found(self, monkeypatch: pytest.MonkeyPatch):
        assert all(each.agrees for each in check(TWO))
        monkeypatch.setattr(vault_check, "can_complete", lambda *_, keys, **__: len(keys) == 1)
        assert not all(each.agrees for each in check(TWO))

    def test_says_no_secret(self, lab: Lab):
        for name in ("dlc", "presigned"):
            opened = lab.open(load_policy(name))
            said = repr(opened)
            for role in opened.vault.policy.roles:
                assert lab._ephemeral(role.name, opened.index).hex() not in said
            assert str(lab._chain.seed) not in said
            for agreed in opened.agreed.values():
                assert str(getattr(agreed, "oracle_seed", lab._chain.seed)) not in said

    @pytest.mark.parametrize("script", ScriptKind)
    def test_roles_named_as_the_labs_own_parties_change_nothing(self, script: ScriptKind):
        policy = policy_of(
            path_of("close", 2, "stranger bank"),
            path_of("late", 1, "oracle", lock=After(Moment.RECOVERY)),
            script=script,
        )
        assert all(each.agrees for each in check(policy))

    def test_spans_and_moments_in_every_combination(self):
        policy = policy_of(
            path_of("close", 2, "a b"),
            path_of("soon", 1, "c", lock=Older(Seconds(512))),
            path_of("later", 1, "d", lock=Older(Seconds(512 * 65_535))),
            path_of("default", 1, "e", lock=After(Moment.DEFAULT)),
            path_of("end", 1, "f", lock=After(Moment.RECOVERY)),
            roles=[role_of(name, "borrower") for name in "abcdef"],
        )
        assert len(windows(policy)) == 9
        tried = check(policy)
        assert all(each.agrees for each in tried)
        assert {each.claim.window.name for each in tried} == {w.name for w in windows(policy)}

    def test_tokens_sign_as_wallets_do(self, lab: Lab):
        kinds = {role.key for role in load_policy("bank-token").roles}
        assert kinds == {KeyKind.TOKEN}
        opened = lab.open(load_policy("bank-token"))
        sizes = {
            lab.attempt(opened, "close", keys=pair, at=START).vsize
            for pair in combinations(("officer-1", "officer-2", "safe"), 2)
        }
        assert sizes == {146}


def test_the_claims_hold_every_single_loss_and_each_thief():
    found = {(each.claim.path, each.claim.keys) for each in tried_of("two-of-three-recovery")}
    voters = {"borrower", "lender", "custodian"}
    for lost in voters:
        assert ("close", frozenset(voters - {lost})) in found
        assert ("close", frozenset({lost})) in found
    assert ("recovery", frozenset()) in found
    assert Loss(LossKind.KEY_STOLEN, "recovery") in {row.loss for row in report(RECOVERY)}
