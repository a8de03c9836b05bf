"""The reachability report: which exits remain, and what could be taken, after every loss.

Three opinions: tables written by hand for each shipped policy, a second search that enumerates
sets of signatures, and properties that any policy must have.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

import pytest
from custody_lab import HOLDERS, path_of, policies, policy_of, refusal_of, role_of, ways
from hypothesis import given
from hypothesis import strategies as st

from escrow.core import phases
from escrow.core.units import Seconds
from escrow.custody.policy import After, KeyKind, Moment, Older, Policy
from escrow.custody.reach import (
    Loss,
    LossKind,
    Row,
    can_complete,
    colluders,
    losses,
    pairs,
    parties,
    report,
    windows,
)
from escrow.custody.read import load_policy, shipped
from escrow.custody.windows import STATES, following

RECOVERY = After(Moment.RECOVERY)
DEFAULT = After(Moment.DEFAULT)


def short(loss: Loss | None) -> str:
    """A loss as the tables write it."""
    return f"{loss.kind.value.split('-')[1]} {loss.who}" if loss else ""


def rows(policy: Policy, state: str, *, last: bool) -> dict[str, Row]:
    """Loss → row, at the start or when everything is open."""
    window = windows(policy)[-1 if last else 0].name
    return {
        short(row.loss): row for row in report(policy) if (row.state, row.window) == (state, window)
    }


def exits_of(row: Row) -> str:
    return " ".join(each.path for each in row.exits)


def taken_of(row: Row) -> str:
    return " ".join(f"{each.by}:{each.path}" for each in row.taken)


# Tables by hand: after this loss, exits at the start → exits once everything is open. Losses
# that are not in a table leave what no loss leaves.

REPAID: dict[str, dict[str, tuple[str, str]]] = {
    "two-of-three": {"": ("close", "close")},
    "two-of-three-recovery": {
        "": ("close", "close recovery"),
        "lost recovery": ("close", "close"),
        "silent borrower": ("close", "close"),
    },
    "three-of-four": {"": ("close", "close")},
    "three-of-five": {"": ("close", "close")},
    "musig": {
        "": ("close release liquidate", "close release liquidate recovery"),
        "lost borrower": ("liquidate", "liquidate recovery"),
        "lost lender": ("release", "release recovery"),
        "lost custodian": ("close", "close recovery"),
        "lost recovery": ("close release liquidate", "close release liquidate"),
        "silent borrower": ("liquidate", "liquidate"),
        "silent lender": ("release", "release recovery"),
        "silent custodian": ("close", "close recovery"),
    },
    "bank-token": {"": ("close", "close"), "silent bank": ("", "")},
    "bank-token-single": {"": ("close", "close"), "silent bank": ("", "")},
    "liana-style": {
        "": ("close", "close arbiter recovery"),
        "lost borrower": ("", "arbiter recovery"),
        "lost lender": ("", "arbiter recovery"),
        "lost recovery": ("close", "close arbiter"),
        "silent borrower": ("", "arbiter"),
        "silent lender": ("", "arbiter recovery"),
    },
    "presigned": {
        "": ("repayment", "repayment recover"),
        "lost payment-oracle": ("", "recover"),
        "silent payment-oracle": ("", "recover"),
        "silent borrower": ("", ""),
    },
    "dlc": {
        "": ("close repaid", "close repaid refund"),
        "lost borrower": ("repaid", "repaid refund"),
        "lost lender": ("repaid", "repaid refund"),
        "lost oracle": ("close", "close refund"),
        "silent borrower": ("repaid", "repaid refund"),
        "silent lender": ("repaid", "repaid refund"),
        "silent oracle": ("close", "close refund"),
    },
}
"""The loan is repaid: what brings the borrower its coins."""

LIQUIDATING: dict[str, dict[str, tuple[str, str]]] = REPAID | {
    "presigned": {
        "": ("liquidation", "default liquidation"),
        "lost price-oracle": ("", "default"),
        "silent price-oracle": ("", "default"),
        "lost payment-oracle": ("", ""),
        "silent payment-oracle": ("", ""),
        "silent lender": ("", ""),
    },
    "dlc": {
        "": ("close liquidated", "close liquidated"),
        "lost borrower": ("liquidated", "liquidated"),
        "lost lender": ("liquidated", "liquidated"),
        "lost oracle": ("close", "close"),
        "silent borrower": ("liquidated", "liquidated"),
        "silent lender": ("liquidated", "liquidated"),
        "silent oracle": ("close", "close"),
    },
}
"""The collateral is realised: what brings the lender its share. But for what pays one side by
its nature, the same paths as after a repayment."""

ALONE: dict[str, dict[str, tuple[str, str]]] = {
    "two-of-three": {},
    "two-of-three-recovery": {
        "": ("", "borrower:recovery"),
        "lost recovery": ("", ""),
        "stolen recovery": ("", "thief:recovery borrower:recovery"),
        "silent borrower": ("", ""),
    },
    "three-of-four": {},
    "three-of-five": {},
    "musig": {
        "": ("", "borrower:recovery"),
        "lost recovery": ("", ""),
        "stolen recovery": ("", "thief:recovery borrower:recovery"),
        "silent borrower": ("", ""),
    },
    "bank-token": {"": ("bank:close", "bank:close"), "silent bank": ("", "")},
    "bank-token-single": {
        "": ("bank:close", "bank:close"),
        "stolen officer-1": ("thief:close bank:close", "thief:close bank:close"),
        "stolen safe": ("thief:close bank:close", "thief:close bank:close"),
        "silent bank": ("", ""),
    },
    "liana-style": {
        "": ("", "borrower:recovery"),
        "lost recovery": ("", ""),
        "stolen recovery": ("", "thief:recovery borrower:recovery"),
        "silent borrower": ("", ""),
    },
    "presigned": {
        "": ("", "borrower:recover"),
        "stolen borrower-ephemeral": ("", "thief:recover borrower:recover"),
        "silent borrower": ("", ""),
    },
    "dlc": {
        "": ("", "borrower:refund lender:refund"),
        "stolen borrower": ("", "thief:refund borrower:refund lender:refund"),
        "stolen lender": ("", "thief:refund borrower:refund lender:refund"),
        "silent borrower": ("", "lender:refund"),
        "silent lender": ("", "borrower:refund"),
    },
}
"""While the collateral is being realised: what somebody alone can take or send away."""

PAIRS: dict[str, dict[str, str]] = {
    "two-of-three": {
        "borrower lender": "close",
        "borrower custodian": "close",
        "lender custodian": "close",
    },
    "two-of-three-recovery": {
        "borrower lender": "close",
        "borrower custodian": "close",
        "lender custodian": "close",
        "borrower recovery": "recovery",
        "lender recovery": "recovery",
        "custodian recovery": "recovery",
    },
    "three-of-four": {},
    "three-of-five": {},
    "musig": {
        "borrower lender": "close",
        "borrower custodian": "release",
        "lender custodian": "liquidate",
        "borrower recovery": "recovery",
        "lender recovery": "recovery",
        "custodian recovery": "recovery",
    },
    "bank-token": {
        "officer-1 officer-2": "close",
        "officer-1 safe": "close",
        "officer-2 safe": "close",
    },
    "bank-token-single": {"officer-1 safe": "close"},
    "liana-style": {
        "borrower lender": "close arbiter",
        "borrower custodian": "arbiter",
        "lender custodian": "arbiter",
        "borrower recovery": "recovery",
        "lender recovery": "recovery",
        "custodian recovery": "recovery",
    },
    "presigned": {
        "borrower-ephemeral price-oracle": "recover",
        "borrower-ephemeral payment-oracle": "repayment recover",
        "borrower-ephemeral lender": "recover",
        "payment-oracle lender": "default",
    },
    "dlc": {
        "borrower lender": "close refund",
        "borrower oracle": "repaid liquidated refund",
        "lender oracle": "repaid liquidated refund",
    },
}
"""Two keys, or a key and a party that has none: what they take together, sooner or later."""


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("state", ["REPAID", "RELEASING", "LIQUIDATING"])
def test_these_exits_remain_after_each_loss(name: str, state: str) -> None:
    policy = load_policy(name)
    table = (LIQUIDATING if state == "LIQUIDATING" else REPAID)[name]
    start, end = rows(policy, state, last=False), rows(policy, state, last=True)
    found = {loss: (exits_of(start[loss]), exits_of(end[loss])) for loss in start}
    assert found == {loss: table.get(loss, table[""]) for loss in map(short, losses(policy))}


@pytest.mark.parametrize("name", shipped())
def test_this_could_be_taken_after_each_loss(name: str) -> None:
    policy = load_policy(name)
    table = ALONE[name]
    start, end = rows(policy, "LIQUIDATING", last=False), rows(policy, "LIQUIDATING", last=True)
    found = {loss: (taken_of(start[loss]), taken_of(end[loss])) for loss in start}
    nothing = table.get("", ("", ""))
    assert found == {loss: table.get(loss, nothing) for loss in map(short, losses(policy))}


@pytest.mark.parametrize("name", shipped())
def test_two_colluders_take_exactly_this(name: str) -> None:
    policy = load_policy(name)
    found = {" ".join(pair): " ".join(c.path for c in taken) for pair, taken in pairs(policy)}
    assert {pair: taken for pair, taken in found.items() if taken} == PAIRS[name]


def test_every_pair_of_keys_is_tried_and_a_party_without_one() -> None:
    tried = [pair for pair, _ in pairs(load_policy("presigned"))]
    assert len(tried) == 6
    assert ("price-oracle", "lender") in tried


def test_colluders_are_told_when_and_for_whom() -> None:
    (taken,) = colluders(load_policy("presigned"), ["payment-oracle", "lender"])
    assert (taken.path, taken.lock, taken.to) == ("default", DEFAULT, "lender")
    (taken,) = colluders(load_policy("two-of-three"), ["lender", "custodian"])
    assert (taken.lock, taken.to) == (None, "")
    everyone = colluders(load_policy("presigned"), ["borrower", "lender", "price-oracle"])
    assert [each.path for each in everyone] == ["recover"]


def test_a_destroyed_key_that_was_kept_counts_against_you() -> None:
    roles = ["borrower-ephemeral", "price-oracle", "payment-oracle"]
    found = [each.path for each in colluders(load_policy("presigned"), roles)]
    assert found == ["repayment", "recover", "joint"]


def test_strangers_do_not_collude() -> None:
    refused = refusal_of(colluders, load_policy("two-of-three"), ["lender", "judge"])
    assert (refused.code, refused.facts["name"]) == ("policy/value", "judge")


# Rows in full


def test_while_the_loan_runs_the_coins_stay_and_the_way_out_is_shown() -> None:
    row = rows(load_policy("two-of-three-recovery"), "ACTIVE", last=False)["lost lender"]
    assert (row.entitled, row.exits, row.taken, row.stuck) == ((), (), (), False)
    assert [(e.path, e.to, e.state, e.window) for e in row.later] == [
        ("close", ("lender", "borrower"), "LIQUIDATING", "start"),
        ("close", ("borrower",), "REPAID", "start"),
        ("recovery", ("borrower",), "ACTIVE", "recovery"),
        ("recovery", ("lender", "borrower"), "LIQUIDATING", "recovery"),
    ]


def test_from_the_recovery_time_on_an_open_loan_lets_the_borrower_out_alone() -> None:
    policy = load_policy("two-of-three-recovery")
    for state in ("COLLATERAL_CONFIRMING", "SECURED", "ACTIVE", "MARGIN_CALL"):
        before, after = rows(policy, state, last=False)[""], rows(policy, state, last=True)[""]
        assert (before.entitled, before.exits) == ((), ())
        assert (after.entitled, exits_of(after), after.taken) == (("borrower",), "recovery", ())
        lost = rows(policy, state, last=True)["lost recovery"]
        assert lost.stuck
    row = rows(policy, "SECURED", last=False)[""]
    assert row.words.startswith(
        "The coins stay. Later: close pays borrower once RELEASING; recovery pays borrower, "
        "from the recovery time on; "
    )
    # In a liquidation the coins were burned for: there it is a taking.
    assert taken_of(rows(policy, "LIQUIDATING", last=True)[""]) == "borrower:recovery"


def test_a_stolen_recovery_key_is_a_danger_once_its_time_has_come() -> None:
    policy = load_policy("musig")
    assert taken_of(rows(policy, "ACTIVE", last=False)["stolen recovery"]) == ""
    assert taken_of(rows(policy, "ACTIVE", last=True)["stolen recovery"]) == "thief:recovery"


def test_a_stuck_loan_says_what_opens_and_who_is_never_paid() -> None:
    row = rows(load_policy("liana-style"), "LIQUIDATING", last=False)["silent borrower"]
    assert row.stuck
    assert row.words.startswith("Stuck: lender and borrower cannot have the coins now. Later: ")
    assert "arbiter pays lender and borrower, 90 days after the coin's confirmation" in row.words
    row = rows(load_policy("presigned"), "LIQUIDATING", last=False)["lost payment-oracle"]
    assert row.words.endswith("No exit ever pays lender.")
    row = rows(load_policy("bank-token"), "ACTIVE", last=False)["silent bank"]
    assert row.words == "The coins stay. No exit ever opens."


def test_an_exit_says_who_signs_and_who_sends() -> None:
    (row,) = (rows(load_policy("bank-token"), "REPAID", last=False)["locked safe"],)
    (found,) = row.exits
    assert (found.signers, found.needed, found.senders) == (("officer-1", "officer-2"), 2, ())
    row = rows(load_policy("dlc"), "REPAID", last=False)["silent borrower"]
    (found,) = row.exits
    assert (found.path, found.to) == ("repaid", ("borrower",))
    assert (found.signers, found.needed, found.senders) == (("oracle",), 1, ("lender",))
    assert row.words.startswith("Now: repaid pays borrower (oracle; sent by lender).")


def test_a_locked_token_is_in_the_report_and_a_locked_wallet_is_not() -> None:
    assert "locked officer-1" in rows(load_policy("bank-token"), "ACTIVE", last=False)
    kinds = {loss.kind for loss in losses(load_policy("two-of-three")) if loss}
    assert kinds == {LossKind.KEY_LOST, LossKind.KEY_STOLEN, LossKind.PARTY_SILENT}


def test_states_are_phases_of_the_loan() -> None:
    """Every phase with coins in the vault; the source names them all."""
    source = (*phases.loan_phase.__code__.co_consts, *phases._standing.__code__.co_consts)
    names = {name for name in source if isinstance(name, str) and name.isupper()}
    without = {"DRAFT", "OFFERED", "ACCEPTED", "AWAITING_COLLATERAL"}
    # Servicing moves no coin: to the vault these are an active loan.
    serviced = {"IMPAIRED", "PAYMENT_GRACE", "MARGIN_NOTICE"}
    assert {state.name for state in STATES} == names - without - serviced


def test_a_policy_without_sense_has_no_report() -> None:
    assert refusal_of(report, policy_of(path_of("close", 4, "a b"))).code == "policy/value"


# Time


def test_windows_are_every_set_of_locks_that_can_be_open_together() -> None:
    policy = policy_of(
        path_of("close", 1, "a"),
        path_of("year", 1, "a", lock=Older(Seconds(1024))),
        path_of("month", 1, "a", lock=Older(Seconds(512))),
        path_of("end", 1, "a", lock=RECOVERY),
        path_of("late", 1, "a", lock=DEFAULT),
    )
    assert [window.name for window in windows(policy)] == [
        f"{rested}{'+' if rested and passed else ''}{passed}" or "start"
        for rested in ("", "older-512", "older-1024")
        for passed in ("", "default", "recovery")
    ]
    assert [len(window.open) for window in windows(policy)] == [0, 1, 2, 1, 2, 3, 2, 3, 4]


def test_nothing_is_drawn_after_maturity() -> None:
    secured = next(state for state in STATES if state.name == "SECURED")
    early, late = windows(load_policy("two-of-three-recovery"))
    assert [state.name for state in following(secured, early)] == ["ACTIVE", "RELEASING"]
    assert [state.name for state in following(secured, late)] == ["RELEASING"]


@pytest.mark.parametrize(
    ("lock", "opened", "expected"),
    [
        (None, (), True),
        (DEFAULT, (), False),
        (DEFAULT, (DEFAULT,), True),
        (DEFAULT, (RECOVERY,), True),
        (RECOVERY, (DEFAULT,), False),
        (RECOVERY, (RECOVERY,), True),
        (RECOVERY, (Older(Seconds(512)),), False),
        (Older(Seconds(1024)), (Older(Seconds(512)),), False),
        (Older(Seconds(1024)), (Older(Seconds(1024)),), True),
        (Older(Seconds(512)), (Older(Seconds(1024)),), True),
        (Older(Seconds(512)), (RECOVERY,), False),
    ],
)
def test_a_later_lock_implies_an_earlier_one(
    lock: Older | After | None, opened: tuple[Older | After, ...], expected: bool
) -> None:
    path = path_of("late", 1, "a", lock=lock)
    policy = policy_of(path)
    assert can_complete(policy, path, keys={"a"}, open_locks=opened) is expected
    assert not can_complete(policy, path, keys=set(), open_locks=opened)


def test_a_transaction_signed_up_front_waits_for_its_path_too() -> None:
    """No file may say so; a policy built by hand might."""
    policy = load_policy("presigned")
    locked = policy_of(
        *policy.paths[:-1],
        path_of("joint", 3, " ".join(policy.path("joint").roles), lock=DEFAULT),
        roles=policy.roles,
    )
    path = locked.path("repayment")
    keys = {"payment-oracle"}
    assert not can_complete(locked, path, keys=keys, open_locks=())
    assert can_complete(locked, path, keys=keys, open_locks={DEFAULT})


def test_a_transaction_is_sent_by_who_holds_it() -> None:
    policy = load_policy("presigned")
    path = policy.path("recover")
    assert can_complete(policy, path, keys=(), open_locks={RECOVERY})
    assert can_complete(policy, path, keys=(), open_locks={RECOVERY}, senders={"borrower"})
    assert not can_complete(policy, path, keys=(), open_locks={RECOVERY}, senders={"lender"})


# Against a second opinion


def numbers(opened: Collection[Older | After]) -> tuple[int, int]:
    """A window as the second opinion's two numbers."""
    rested = max((lock.seconds for lock in opened if isinstance(lock, Older)), default=0)
    return rested, 2 if RECOVERY in opened else 1 if DEFAULT in opened else 0


def agrees(policy: Policy, found: tuple[Row, ...]) -> None:
    """Every row of the report says what enumeration finds."""
    keys = {role.name: role for role in policy.roles}
    everyone = {role.holder for role in policy.roles}
    everyone |= {party for path in policy.paths for party in (*path.held_by, path.to) if party}
    opened = {window.name: numbers(window.open) for window in windows(policy)}

    @cache
    def possible(
        keys: frozenset[str], senders: frozenset[str], rested: int, passed: int
    ) -> set[str]:
        return ways(policy, keys, senders, rested=rested, passed=passed)

    for row in found:
        rested, passed = opened[row.window]
        open_loan = row.state in {"COLLATERAL_CONFIRMING", "SECURED", "ACTIVE", "MARGIN_CALL"}
        if open_loan:
            entitled = ["borrower"] if passed == 2 else []
        else:
            entitled = ["lender", "borrower"] if row.state == "LIQUIDATING" else ["borrower"]
        kind, who = (row.loss.kind.value, row.loss.who) if row.loss else ("", "")

        gone = {name for name in keys if kind in ("key-lost", "token-locked") and name == who}
        silent = who if kind == "party-silent" else ""
        willing = {"borrower"} if open_loan else everyone
        signing = {
            name
            for name, role in keys.items()
            if role.key is not KeyKind.EPHEMERAL
            and role.holder in willing - {silent}
            and name not in gone
        }
        sending = frozenset(willing & everyone - {silent})
        able = possible(frozenset(signing), sending, rested, passed)
        right = {p.name for p in policy.paths if entitled and p.to in ("", entitled[0])}
        assert {each.path for each in row.exits} == able & right
        for each in row.exits:
            assert set(each.signers) <= signing
            assert len(each.signers) >= each.needed

        taking = set()
        for taker in ["thief", *everyone]:
            if taker == "thief":
                own, place = ({who}, {keys[who].holder}) if kind == "key-stolen" else (None, None)
            else:
                own = {n for n, role in keys.items() if role.holder == taker} - gone
                place = {taker}
            if own is None or place is None or taker == silent:
                continue
            for name in possible(frozenset(own), frozenset(place), rested, passed):
                to = policy.path(name).to
                if (to and [to] != entitled[:1]) or (not to and [taker] != entitled):
                    taking.add((name, taker))
        assert {(each.path, each.by) for each in row.taken} == taking


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_report_says_what_enumeration_finds(name: str) -> None:
    policy = load_policy(name)
    found = report(policy)
    agrees(policy, found)
    covers_everything(policy, found)
    later_is_what_follows(policy, found)
    no_loss_opens_an_exit(found)


@given(policies())
def test_a_report_says_what_enumeration_finds(policy: Policy) -> None:
    found = report(policy)
    agrees(policy, found)
    covers_everything(policy, found)
    later_is_what_follows(policy, found)
    no_loss_opens_an_exit(found)


def covers_everything(policy: Policy, found: tuple[Row, ...]) -> None:
    """Every state, time and loss has one row."""
    assert len(found) == len(STATES) * len(windows(policy)) * len(losses(policy))
    assert len({(row.state, row.window, row.loss) for row in found}) == len(found)


def later_is_what_follows(policy: Policy, found: tuple[Row, ...]) -> None:
    """What a row promises is open where it says, and no row that follows knows more."""
    rows = {(row.state, row.window, row.loss): row for row in found}
    times = {window.name: window for window in windows(policy)}
    for row in found:
        now = {(each.path, each.to) for each in row.exits}
        for each in row.later:
            there = rows[each.state, each.window, row.loss]
            assert (each.path, each.to) in {(e.path, e.to) for e in there.exits}
            assert (each.path, each.to) not in now
            assert each.lock == policy.path(each.path).lock
            assert times[row.window].open <= times[each.window].open
        known = now | {(each.path, each.to) for each in row.later}
        state = next(s for s in STATES if s.name == row.state)
        steps = [(after.name, row.window) for after in following(state, times[row.window])]
        steps += [(row.state, w) for w in times if times[w].open > times[row.window].open]
        for step in steps:
            there = rows[*step, row.loss]
            assert {(e.path, e.to) for e in there.exits} <= known
            assert {(e.path, e.to) for e in there.later} <= known


def no_loss_opens_an_exit(found: tuple[Row, ...]) -> None:
    """A loss only closes exits; a theft closes none, and only adds to what can be taken."""
    whole = {(row.state, row.window): row for row in found if row.loss is None}
    for row in found:
        without = whole[row.state, row.window]
        assert {e.path for e in row.exits} <= {e.path for e in without.exits}
        if row.loss and row.loss.kind is LossKind.KEY_STOLEN:
            assert row.exits == without.exits
            assert set(without.taken) <= set(row.taken)


@given(st.data(), policies())
def test_more_keys_more_time_and_more_senders_never_close_an_exit(
    data: st.DataObject, policy: Policy
) -> None:
    names = st.frozensets(st.sampled_from([role.name for role in policy.roles]))
    people = st.frozensets(st.sampled_from(HOLDERS))
    found = [lock for path in policy.paths if (lock := path.lock) is not None]
    opened = st.frozensets(st.sampled_from(found)) if found else st.just(frozenset())
    keys, more_keys = data.draw(names), data.draw(names)
    locks, more_locks = data.draw(opened), data.draw(opened)
    senders, more_senders = data.draw(people), data.draw(people)
    for path in policy.paths:
        if can_complete(policy, path, keys=keys, open_locks=locks, senders=senders):
            assert can_complete(policy, path, keys=keys, open_locks=locks)
            assert can_complete(
                policy,
                path,
                keys=keys | more_keys,
                open_locks=locks | more_locks,
                senders=senders | more_senders,
            )


@given(st.data(), policies())
def test_colluders_take_what_enumeration_finds(data: st.DataObject, policy: Policy) -> None:
    names = [role.name for role in policy.roles] + list(parties(policy))
    chosen = data.draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
    held = {role.name: role.holder for role in policy.roles}
    keys = {name for name in chosen if name in held}
    senders = {held.get(name, name) for name in chosen}
    found = {each.path for each in colluders(policy, chosen)}
    assert found == ways(policy, keys, senders, rested=10**9, passed=2)


def test_a_party_silent_in_one_role_is_silent_in_all() -> None:
    roles = (role_of("a", "bank"), role_of("b", "bank"), role_of("c"))
    policy = policy_of(path_of("close", 2, "a b c"), roles=roles)
    assert exits_of(rows(policy, "REPAID", last=False)["silent bank"]) == ""
    assert exits_of(rows(policy, "REPAID", last=False)["silent c"]) == "close"
