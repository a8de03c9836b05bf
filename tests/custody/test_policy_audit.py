"""The audit: what could strand or free the coins is refused, with the path that shows it."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from custody_lab import path_of, policies, policy_of, refusal_of, role_of, ways
from hypothesis import given

from escrow.core.errors import BadInput
from escrow.core.units import Seconds
from escrow.custody.audit import FATAL, audit, check
from escrow.custody.policy import (
    After,
    Form,
    KeyKind,
    Moment,
    Older,
    Path,
    Policy,
    Role,
    ScriptKind,
)
from escrow.custody.read import load_policy, read_policy, shipped, write_policy

RECOVERY = After(Moment.RECOVERY)
DEFAULT = After(Moment.DEFAULT)
LATE = Older(Seconds(512))
QUORUM = path_of("close", 2, "borrower lender custodian")
TRIO = (role_of("borrower"), role_of("lender"), role_of("custodian"))
SHIPPED = {
    "bank-token": ["sole-control/bank", "silent/bank"],
    "bank-token-single": [
        "sole-control/bank",
        "sole-control/officer-1",
        "sole-control/safe",
        "silent/bank",
    ],
    "dlc": [],
    "liana-style": [],
    "musig": [],
    "presigned": [],
    "three-of-five": [],
    "three-of-four": [],
    "two-of-three": [],
    "two-of-three-recovery": [],
}


def names(policy: Policy) -> list[str]:
    return [found.name for found in audit(policy)]


def test_the_table_names_every_shipped_policy() -> None:
    assert sorted(SHIPPED) == list(shipped())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_policy_has_these_dangers_and_accepts_them(name: str) -> None:
    policy = load_policy(name)
    assert names(policy) == SHIPPED[name] == list(policy.accepts)


@pytest.mark.parametrize(
    ("name", "accepted"), [(n, a) for n, accepts in SHIPPED.items() for a in accepts]
)
def test_a_shipped_danger_that_is_not_accepted_is_refused(name: str, accepted: str) -> None:
    policy = load_policy(name)
    left = tuple(each for each in policy.accepts if each != accepted)
    refused = refusal_of(check, replace(policy, accepts=left))
    assert (refused.facts["finding"], refused.facts["path"]) == (accepted, "close")


def test_a_quorum_of_two_in_three_hands_is_safe() -> None:
    check(policy_of(QUORUM))


# Each rule: what shows it, and the neighbour that is let pass


@pytest.mark.parametrize("form", [Form.SCRIPT, Form.ATTESTED])
def test_a_path_that_nobody_signs_is_never_accepted(form: Form) -> None:
    loose = path_of("loose", 0, "", form=form)
    if form is Form.ATTESTED:
        loose = replace(loose, via="close", to="borrower", held_by=("borrower",))
    policy = policy_of(QUORUM, loose)
    assert "keyless/loose" in names(policy)
    for accepts in ((), ("keyless/loose",)):
        refused = refusal_of(check, replace(policy, accepts=accepts))
        assert (refused.code, refused.facts["path"]) == ("policy/keyless", "loose")


def test_a_transaction_signed_in_full_carries_its_signatures() -> None:
    refund = Path("refund", 0, (), RECOVERY, Form.PRESIGNED, "close", "borrower", ("borrower",))
    check(policy_of(QUORUM, refund))


ALONE = [
    ("a key at once", path_of("more", 1, "lender"), "lender"),
    ("a key by a relative lock", path_of("more", 1, "lender", lock=LATE), "lender"),
    ("a key from default on", path_of("more", 1, "lender", lock=DEFAULT), "lender"),
    (
        "a transaction signed in full",
        Path("more", 0, (), None, Form.PRESIGNED, "close", "lender", ("lender",)),
        "lender",
    ),
    (
        "a transaction and the last key",
        Path("more", 1, ("lender",), DEFAULT, Form.PRESIGNED, "close", "lender", ("lender",)),
        "lender",
    ),
    (
        "a transaction for somebody else",
        Path("more", 1, ("custodian",), None, Form.PRESIGNED, "close", "lender", ("custodian",)),
        "custodian",
    ),
]


@pytest.mark.parametrize(("path", "who"), [case[1:] for case in ALONE], ids=[c[0] for c in ALONE])
def test_what_one_holder_alone_can_take_is_refused_until_recovery(path: Path, who: str) -> None:
    policy = policy_of(QUORUM, path)
    refused = refusal_of(check, policy)
    assert refused.code == "policy/sole-control"
    assert (refused.facts["finding"], refused.facts["path"]) == (f"sole-control/{who}", "more")
    check(replace(policy, accepts=(f"sole-control/{who}",)))
    check(policy_of(QUORUM, replace(path, lock=RECOVERY)))


def test_two_keys_in_one_hand_are_one_holder() -> None:
    apart = (*TRIO, role_of("spare", "custodian-2"))
    policy = policy_of(path_of("close", 2, "borrower lender custodian spare"), roles=apart)
    check(policy)
    together = (*TRIO, role_of("spare", "lender"))
    refused = refusal_of(check, replace(policy, roles=together))
    assert refused.facts["finding"] == "sole-control/lender"


def test_of_several_keys_in_one_hand_each_that_suffices_is_named() -> None:
    roles = (role_of("teller", "bank"), role_of("safe", "bank"))
    dual = policy_of(path_of("close", 2, "teller safe"), roles=roles)
    assert "sole-control/bank" in names(dual)
    assert "sole-control/teller" not in names(dual)
    single = policy_of(path_of("close", 1, "teller safe"), roles=roles)
    assert names(single)[:3] == ["sole-control/bank", "sole-control/safe", "sole-control/teller"]


def test_a_party_that_only_sends_is_no_key() -> None:
    """With two keys of its own, it is still the transaction and not a key that suffices."""
    roles = (*TRIO, role_of("spare", "lender"))
    full = Path("more", 0, (), None, Form.PRESIGNED, "close", "lender", ("lender",))
    policy = policy_of(QUORUM, full, roles=roles)
    assert names(policy) == ["sole-control/lender"]


@pytest.mark.parametrize(
    ("paths", "finding", "shown"),
    [
        ((path_of("close", 2, "borrower lender"),), "lost/borrower", "close"),
        (
            (path_of("close", 2, "borrower lender"), path_of("late", 2, "lender borrower")),
            "lost/borrower",
            "close late",
        ),
        (
            (path_of("close", 3, "borrower lender custodian"),),
            "lost/borrower",
            "close",
        ),
    ],
)
def test_one_lost_key_that_leaves_no_exit_is_refused(
    paths: tuple[Path, ...], finding: str, shown: str
) -> None:
    refused = refusal_of(check, policy_of(*paths))
    assert refused.code == "policy/strands"
    assert (refused.facts["finding"], refused.facts["path"]) == (finding, shown)


@pytest.mark.parametrize("lock", [LATE, DEFAULT, RECOVERY])
def test_an_exit_that_opens_late_is_an_exit(lock: Older | After) -> None:
    late = replace(QUORUM, name="late", lock=lock)
    check(policy_of(path_of("close", 2, "borrower lender"), late))


def test_a_token_can_be_locked_and_a_wallet_cannot() -> None:
    both = path_of("close", 2, "borrower lender")
    token = (role_of("borrower"), role_of("lender", key=KeyKind.TOKEN))
    assert [n for n in names(policy_of(both, roles=token)) if n.startswith("locked/")] == [
        "locked/lender"
    ]
    assert not [n for n in names(policy_of(both)) if n.startswith("locked/")]


def test_a_party_takes_all_its_keys_into_silence() -> None:
    roles = (*TRIO, role_of("spare", "custodian"), role_of("spare-2", "custodian"))
    policy = policy_of(path_of("close", 3, "borrower lender custodian spare spare-2"), roles=roles)
    assert names(policy) == ["sole-control/custodian", "silent/custodian"]


def test_a_transaction_that_nobody_else_holds_goes_silent_with_its_holder() -> None:
    refund = Path("refund", 0, (), RECOVERY, Form.PRESIGNED, "close", "borrower", ("borrower",))
    policy = policy_of(path_of("close", 2, "borrower lender"), refund)
    assert names(policy) == ["silent/borrower"]
    check(policy_of(policy.paths[0], replace(refund, held_by=("borrower", "lender"))))


KINDS = [
    ("taproot", policy_of(QUORUM, script=ScriptKind.TR), "close", "lender"),
    (
        "an oracle",
        policy_of(
            QUORUM,
            Path("paid", 1, ("oracle",), None, Form.ATTESTED, "close", "borrower", ("borrower",)),
        ),
        "paid",
        "oracle",
    ),
    (
        "adaptor signatures",
        policy_of(
            QUORUM,
            Path("paid", 1, ("oracle",), None, Form.ATTESTED, "close", "borrower", ("borrower",)),
        ),
        "paid",
        "lender",
    ),
    (
        "MuSig2",
        policy_of(
            path_of("close", 3, "borrower lender custodian", form=Form.MUSIG),
            replace(QUORUM, name="late", lock=RECOVERY),
            script=ScriptKind.TR,
        ),
        "close",
        "lender",
    ),
]


@pytest.mark.parametrize(
    ("policy", "path", "who"), [case[1:] for case in KINDS], ids=[case[0] for case in KINDS]
)
def test_a_token_signs_ecdsa_only(policy: Policy, path: str, who: str) -> None:
    check(policy)
    roles = tuple(
        replace(role, key=KeyKind.TOKEN) if role.name == who else role for role in policy.roles
    )
    for accepts in ((), (f"key-kind/{path}",)):
        refused = refusal_of(check, replace(policy, roles=roles, accepts=accepts))
        assert (refused.code, refused.facts["path"]) == ("policy/key-kind", path)


def test_a_token_in_a_witness_script_hash_is_fine() -> None:
    check(policy_of(QUORUM, roles=[replace(role, key=KeyKind.TOKEN) for role in TRIO]))


def test_a_destroyed_key_is_for_signing_up_front() -> None:
    policy = load_policy("presigned")
    check(policy)
    late = path_of("late", 1, "borrower-ephemeral", lock=RECOVERY)
    refused = refusal_of(check, replace(policy, paths=(*policy.paths, late)))
    assert (refused.code, refused.facts["path"]) == ("policy/key-kind", "late")
    asked = replace(policy.path("repayment"), roles=("borrower-ephemeral",))
    refused = refusal_of(check, replace(policy, paths=(asked, *policy.paths[1:])))
    assert (refused.code, refused.facts["path"]) == ("policy/key-kind", "repayment")


@pytest.mark.parametrize("form", [Form.PRESIGNED, Form.ATTESTED])
def test_adaptors_too_are_signed_up_front_with_a_key_to_be_destroyed(form: Form) -> None:
    gone = role_of("gone", "borrower", KeyKind.EPHEMERAL)
    signer = "lender" if form is Form.PRESIGNED else "oracle"
    out = Path("out", 1, (signer,), None, form, "joint", "borrower", ("borrower",))
    roles = (*TRIO, gone, role_of("oracle"))
    joint = path_of("joint", 2, "gone lender")
    check(policy_of(QUORUM, out, joint, roles=roles))
    refused = refusal_of(check, policy_of(QUORUM, joint, roles=roles))
    assert (refused.code, refused.facts["path"]) == ("policy/key-kind", "joint")


def test_what_the_audit_does_not_find_cannot_be_accepted() -> None:
    refused = refusal_of(check, policy_of(QUORUM, accepts=("silent/bank",)))
    assert (refused.code, refused.facts["at"]) == ("policy/value", "policy.accepts")


def test_a_policy_without_sense_is_not_audited() -> None:
    assert refusal_of(audit, policy_of(path_of("close", 4, "a b"))).code == "policy/value"


# Against a second opinion


@given(policies())
def test_the_audit_finds_what_enumeration_finds(policy: Policy) -> None:
    keys = {role.name: role for role in policy.roles}
    parties = {role.holder for role in policy.roles}
    parties |= {party for path in policy.paths for party in (*path.held_by, path.to) if party}
    alive = {name for name, role in keys.items() if role.key is not KeyKind.EPHEMERAL}
    forever, ever = 10**9, 2

    def stranded(gone: set[str], silent: str = "") -> bool:
        return not ways(policy, alive - gone, parties - {silent}, rested=forever, passed=ever)

    expected = {f"lost/{name}" for name in keys if stranded({name})}
    expected |= {
        f"locked/{name}"
        for name, role in keys.items()
        if role.key is KeyKind.TOKEN and stranded({name})
    }
    expected |= {
        f"silent/{party}"
        for party in parties
        if stranded({n for n, role in keys.items() if role.holder == party}, party)
    }
    keyless = {p.name for p in policy.paths if not p.threshold and p.form is not Form.PRESIGNED}
    for party in parties:
        own = {name for name, role in keys.items() if role.holder == party}
        if ways(policy, own, {party}, rested=forever, passed=1) - keyless:
            expected.add(f"sole-control/{party}")
        for key in own if len(own) > 1 else ():
            found = ways(policy, {key}, {party}, rested=forever, passed=1)
            if any(policy.path(name).threshold for name in found):
                expected.add(f"sole-control/{key}")
    expected |= {f"keyless/{name}" for name in keyless}
    found = {f.name for f in audit(policy) if f.code != "policy/key-kind"}
    assert found == expected


@given(policies())
def test_a_policy_passes_if_it_accepts_all_that_can_be_accepted(policy: Policy) -> None:
    findings = audit(policy)
    fatal = [f for f in findings if f.code in FATAL]
    accepting = replace(policy, accepts=tuple(f.name for f in findings))
    if fatal:
        assert refusal_of(check, accepting).facts["finding"] == fatal[0].name
        return
    check(read_policy(write_policy(accepting)))
    for left in combinations(accepting.accepts, max(0, len(findings) - 1)):
        if len(left) < len(findings):
            with pytest.raises(BadInput):
                check(replace(policy, accepts=left))


@given(policies())
def test_a_finding_says_itself_in_one_line(policy: Policy) -> None:
    findings = audit(policy)
    assert len({found.name for found in findings}) == len(findings)
    for found in findings:
        assert found.words.isprintable()
        assert found.path


def test_a_key_that_bears_its_holders_name_is_found_once() -> None:
    roles = (*TRIO, Role("spare", "lender", KeyKind.SOFTWARE))
    policy = policy_of(QUORUM, path_of("more", 1, "lender"), roles=roles)
    assert names(policy) == ["sole-control/lender"]
