"""A key in a token: what it signs, what it refuses, and what it never gives out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Thread

import pkcs11
import pytest
from btclib_secp256k1 import dsa
from hypothesis import given
from hypothesis import strategies as st
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass
from sign_lab import ADMIN, AT, DIGEST, FEW, NEW, PIN, WRONG, code, guess, refusal, token

from escrow.actors.signers import der
from escrow.adapters.sign import device as pkcs11_device
from escrow.adapters.sign.device import SECP256K1, check_kept, is_pin, point_of
from escrow.adapters.sign.guard import Settings
from escrow.adapters.sign.module import Module
from escrow.adapters.sign.pkcs11 import ORDER, Token
from escrow.adapters.sign.softhsm import SoftHsm
from escrow.core.errors import BadInput
from escrow.core.units import DAY, Seconds

GENERATOR = bytes.fromhex(
    "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
)
MANY = 200
"""Signatures whose luck is watched: all low by chance once in 2⁴⁰⁰."""


@pytest.fixture(scope="module")
def officer(shared: SoftHsm) -> Token:
    """A token that nobody spoils."""
    return token(shared)


def log_of(made: Token) -> list[tuple[str, str]]:
    return [(entry.what, entry.verdict) for entry in made.log.entries]


def raw_session(made: Token, hsm: SoftHsm, use: Callable[[pkcs11.Session], None]) -> None:
    """What anybody with the PIN can do with the library itself."""
    with (
        hsm.module.use() as library,
        hsm.module.device(library, made.label).open(rw=True, user_pin=PIN) as session,
    ):
        use(session)


# --- signatures ---


def test_signatures_verify_and_have_low_s_and_low_r(officer: Token) -> None:
    with officer.unlocked(PIN, at=AT) as opened:
        for number in range(MANY):
            digest = sha256(bytes([number])).digest()
            signature = opened.sign(digest)
            r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
            assert r < 2**255
            assert s <= ORDER // 2
            assert len(der(signature)) <= 70
            assert dsa.verify(digest, officer.pubkey, der(signature))


def test_the_token_itself_would_give_high_ones(officer: Token, shared: SoftHsm) -> None:
    seen = set()

    def use(session: pkcs11.Session) -> None:
        key = session.get_key(object_class=ObjectClass.PRIVATE_KEY)
        for _ in range(MANY):
            raw = key.sign(DIGEST, mechanism=pkcs11.Mechanism.ECDSA)
            seen.add((raw[0] > 127, int.from_bytes(raw[32:]) > ORDER // 2))

    raw_session(officer, shared, use)
    assert len(seen) == 4


def test_a_hash_is_32_bytes(officer: Token) -> None:
    assert code(lambda: officer.sign(bytes(31), pin=PIN, at=AT)) == "hsm/failed"


@given(st.integers(1, ORDER - 1), st.integers(1, ORDER // 2))
def test_a_compact_signature_becomes_strict_der(r: int, s: int) -> None:
    encoded = der(r.to_bytes(32) + s.to_bytes(32))
    assert encoded[0] == 0x30
    assert encoded[1] == len(encoded) - 2
    length = encoded[3]
    assert int.from_bytes(encoded[4 : 4 + length]) == r
    assert int.from_bytes(encoded[6 + length :]) == s
    for part in (encoded[4 : 4 + length], encoded[6 + length :]):
        assert part[0] < 0x80
        assert part[0] or part[1] >= 0x80


# --- the key ---


def test_the_key_stays_in_the_token(officer: Token, shared: SoftHsm) -> None:
    def use(session: pkcs11.Session) -> None:
        key = session.get_key(object_class=ObjectClass.PRIVATE_KEY)
        with pytest.raises(pkcs11.AttributeSensitive):
            _ = key[Attribute.VALUE]
        for name, value in ((Attribute.SENSITIVE, False), (Attribute.EXTRACTABLE, True)):
            with pytest.raises(pkcs11.AttributeReadOnly):
                key[name] = value
        wrapping = session.generate_key(KeyType.AES, 256, capabilities=MechanismFlag.WRAP)
        with pytest.raises(pkcs11.PKCS11Error):
            wrapping.wrap_key(key, mechanism=pkcs11.Mechanism.AES_KEY_WRAP)

    raw_session(officer, shared, use)


def make_key(session: pkcs11.Session, *, curve: bytes = SECP256K1, **private: bool) -> None:
    session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: curve}, local=True
    ).generate_keypair(
        store=True,
        label="vault",
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        private_template={Attribute[name]: value for name, value in private.items()},
    )


@pytest.mark.parametrize("private", [{"EXTRACTABLE": True}, {"SENSITIVE": False}], ids=min)
def test_a_key_that_could_leave_is_refused(hsm: SoftHsm, private: dict[str, bool]) -> None:
    made = hsm.make("officer", so_pin=ADMIN, pin=PIN, at=AT)
    raw_session(made, hsm, lambda session: make_key(session, **private))
    found = refusal(lambda: made.sign(DIGEST, pin=PIN, at=AT))
    assert (found.code, *found.facts) == ("hsm/key", "attribute")
    assert not any(entry.what == "sign" for entry in made.log.entries)


def test_a_key_that_came_from_outside_is_refused(hsm: SoftHsm) -> None:
    made = token(hsm)
    public: dict[Attribute, object] = {}

    def take_out(session: pkcs11.Session) -> None:
        key = session.get_key(object_class=ObjectClass.PUBLIC_KEY)
        public.update({each: key[each] for each in (Attribute.EC_PARAMS, Attribute.EC_POINT)})
        session.get_key(object_class=ObjectClass.PRIVATE_KEY).destroy()
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.PRIVATE_KEY,
                Attribute.KEY_TYPE: KeyType.EC,
                Attribute.TOKEN: True,
                Attribute.LABEL: "vault",
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
                Attribute.SIGN: True,
                Attribute.EC_PARAMS: SECP256K1,
                Attribute.VALUE: bytes(31) + b"\x01",
            }
        )

    raw_session(made, hsm, take_out)
    found = refusal(lambda: made.sign(DIGEST, pin=PIN, at=AT))
    assert (found.code, found.facts) == ("hsm/key", {"attribute": "always_sensitive"})


def test_a_key_of_another_curve_is_refused(hsm: SoftHsm) -> None:
    made = hsm.make("officer", so_pin=ADMIN, pin=PIN, at=AT)
    p256 = bytes.fromhex("06082a8648ce3d030107")
    raw_session(made, hsm, lambda session: make_key(session, curve=p256))
    assert code(lambda: made.pubkey) == "hsm/key"


def test_a_token_makes_one_key_and_no_second(officer: Token) -> None:
    before = officer.pubkey
    assert code(lambda: officer.create_key(PIN, at=AT)) == "hsm/key"
    assert officer.pubkey == before
    assert log_of(officer)[-1] == ("key", "hsm/key")


def test_a_token_without_a_key_signs_nothing(hsm: SoftHsm) -> None:
    made = hsm.make("officer", so_pin=ADMIN, pin=PIN, at=AT)
    assert code(lambda: made.pubkey) == "hsm/key"
    assert code(lambda: made.sign(DIGEST, pin=PIN, at=AT)) == "hsm/key"


@pytest.mark.parametrize("wrap", [b"\x04\x41", b""], ids=["octet string", "bare"])
def test_a_point_is_read_as_tokens_write_it(wrap: bytes) -> None:
    generator = GENERATOR
    key = {Attribute.EC_PARAMS: SECP256K1, Attribute.EC_POINT: wrap + generator}
    assert point_of(key) == b"\x02" + generator[1:33]
    bent = (generator[:-1], generator[:-1] + b"\xb9", b"\x06" + generator[1:])
    for bad in (*bent, b"\x02" + generator[1:33], b""):
        wrong = {**key, Attribute.EC_POINT: wrap + bad}
        assert code(lambda wrong=wrong: point_of(wrong)) == "hsm/key"


def test_a_point_is_of_bitcoins_curve_by_name_too() -> None:
    key = {Attribute.EC_PARAMS: b"\x05\x00", Attribute.EC_POINT: GENERATOR}
    assert code(lambda: point_of(key)) == "hsm/key"


GOOD = {"SENSITIVE": 1, "ALWAYS_SENSITIVE": 1, "EXTRACTABLE": 0, "NEVER_EXTRACTABLE": 1, "LOCAL": 1}


@pytest.mark.parametrize("name", GOOD)
def test_a_key_must_say_all_of_itself(name: str) -> None:
    good = {Attribute[each]: bool(value) for each, value in GOOD.items()}
    check_kept(good)
    bad = {**good, Attribute[name]: not good[Attribute[name]]}
    assert refusal(lambda: check_kept(bad)).facts == {"attribute": name.lower()}


# --- PIN, lock-out, administrator ---


def test_a_wrong_pin_is_counted_and_a_right_one_starts_the_count_anew(hsm: SoftHsm) -> None:
    made = token(hsm)
    assert [(guess(made).facts["tries_left"]) for _ in range(2)] == [2, 1]
    assert made.sign(DIGEST, pin=PIN, at=AT)
    assert guess(made).facts["tries_left"] == 2


def test_a_token_locks_after_as_many_wrong_pins_as_were_set(hsm: SoftHsm) -> None:
    made = token(hsm)
    assert [guess(made).code for _ in range(4)] == ["hsm/pin"] * 3 + ["hsm/locked"]
    assert code(lambda: made.sign(DIGEST, pin=PIN, at=AT)) == "hsm/locked"
    assert code(lambda: made.create_key(PIN, at=AT)) == "hsm/locked"


def test_ten_tries_unless_set_otherwise(hsm: SoftHsm) -> None:
    made = hsm.make("officer", so_pin=ADMIN, pin=PIN, at=AT)
    assert [guess(made).code for _ in range(11)] == ["hsm/pin"] * 10 + ["hsm/locked"]


@pytest.mark.parametrize("pin", ["", "123", "x" * 65, "12\x0034", "\ud800-ab", "12\n34"])
def test_a_pin_that_no_token_takes_is_a_wrong_pin(hsm: SoftHsm, pin: str) -> None:
    made = token(hsm)
    assert guess(made, pin).facts == {"tries_left": 2}
    assert not is_pin(pin)
    assert is_pin(PIN)


def test_a_lock_outlives_a_restart(hsm: SoftHsm) -> None:
    made = token(hsm)
    for _ in range(3):
        guess(made)
    again = hsm.token("officer")
    assert code(lambda: again.sign(DIGEST, pin=PIN, at=AT)) == "hsm/locked"


def test_a_lock_outlives_the_process(tmp_path: Path, hsm: SoftHsm) -> None:
    with SoftHsm(tmp_path / "store") as store:
        token(store)
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from escrow.adapters.sign.softhsm import SoftHsm\n"
        "from sign_lab import guess\n"
        f"with SoftHsm(Path({str(tmp_path / 'store')!r})) as store:\n"
        "    print(guess(store.token('officer')).facts['tries_left'])\n"
    )
    lab = str(Path(__file__).parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([lab, *filter(None, sys.path)])}
    runs = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=env)
        for _ in range(2)
    ]
    assert sorted(run.communicate()[0].strip() for run in runs) == [b"1", b"2"]
    with SoftHsm(tmp_path / "store") as store:
        assert guess(store.token("officer")).facts["tries_left"] == 0


def test_a_store_that_is_opened_again_is_not_written_again(tmp_path: Path) -> None:
    """Another process may be reading its settings: half of them would mean other tokens."""
    with SoftHsm(tmp_path / "store") as store:
        token(store)
    conf = tmp_path / "store" / "softhsm2.conf"
    before = conf.stat()
    with SoftHsm(tmp_path / "store") as again:
        assert again.token("officer").counts is not None
    after = conf.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(each.name for each in conf.parent.glob("softhsm2*.*")) == [
        "softhsm2.conf",
        "softhsm2.lock",
    ]


def test_a_try_is_written_down_before_it_is_made(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = token(hsm)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("escrow.adapters.sign.pkcs11.open_session", dies)
    with pytest.raises(KeyboardInterrupt):
        made.sign(DIGEST, pin=WRONG, at=AT)
    counts = hsm.token("officer").counts
    assert counts is not None
    assert counts.tries == 2


def test_the_administrator_unblocks_and_the_key_is_the_same(hsm: SoftHsm) -> None:
    made = token(hsm)
    before = made.pubkey
    for _ in range(3):
        guess(made)
    made.unblock(ADMIN, new_pin=NEW, at=AT)
    assert guess(made, PIN).code == "hsm/pin"
    assert dsa.verify(DIGEST, before, der(made.sign(DIGEST, pin=NEW, at=AT)))


def test_a_token_that_is_not_locked_is_not_unblocked(hsm: SoftHsm) -> None:
    made = token(hsm)
    guess(made)
    assert code(lambda: made.unblock(ADMIN, new_pin=NEW, at=AT)) == "hsm/unblock"
    assert made.sign(DIGEST, pin=PIN, at=AT)


def test_the_administrators_tries_are_counted_too(hsm: SoftHsm) -> None:
    made = token(hsm)
    for _ in range(3):
        guess(made)
    tries = [refusal(lambda: made.unblock(WRONG, new_pin=NEW, at=AT)) for _ in range(3)]
    assert [each.code for each in tries] == ["hsm/unblock"] * 2 + ["hsm/locked"]
    assert code(lambda: made.unblock(ADMIN, new_pin=NEW, at=AT)) == "hsm/locked"
    assert code(lambda: made.enrol(ADMIN, at=AT)) == "hsm/locked"


def test_a_new_pin_must_be_one(hsm: SoftHsm) -> None:
    made = token(hsm)
    for _ in range(3):
        guess(made)
    assert code(lambda: made.unblock(ADMIN, new_pin="123", at=AT)) == "hsm/pin"
    made.unblock(ADMIN, new_pin="1234", at=AT)


def test_a_device_that_locks_itself_is_locked(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = token(hsm)

    class Locked:
        def open(self, **_: object) -> None:
            raise pkcs11.PinLocked

    assert pkcs11_device.open_session(Locked(), user_pin=PIN) == (None, "hsm/locked")
    monkeypatch.setattr(Module, "device", lambda *_: Locked())
    assert code(lambda: made.sign(DIGEST, pin=PIN, at=AT)) == "hsm/locked"
    monkeypatch.undo()
    assert code(lambda: made.sign(DIGEST, pin=PIN, at=AT)) == "hsm/locked"
    made.unblock(ADMIN, new_pin=NEW, at=AT)
    assert made.sign(DIGEST, pin=NEW, at=AT)


# --- the log that guards it ---


@pytest.mark.parametrize("harm", ["delete", "edit", "cut"])
def test_a_token_whose_log_was_touched_is_locked_until_the_administrator_comes(
    hsm: SoftHsm, harm: str
) -> None:
    made = token(hsm)
    guess(made)
    (path,) = hsm.home.glob("*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    if harm == "delete":
        path.unlink()
        path.with_suffix(".head").unlink()
    else:
        path.write_text("".join(lines[:-2] if harm == "cut" else lines).replace('":2', '":3'))
    again = hsm.token("officer")
    assert again.counts is None
    assert code(lambda: again.sign(DIGEST, pin=PIN, at=AT)) == "hsm/locked"
    assert code(lambda: again.unblock(ADMIN, new_pin=NEW, at=AT)) == "hsm/locked"
    assert code(lambda: again.enrol(WRONG, at=AT)) == "hsm/unblock"
    again.enrol(ADMIN, at=AT, settings=FEW)
    assert again.sign(DIGEST, pin=PIN, at=AT)
    assert len(list(hsm.home.glob("*.broken-1"))) == (harm != "delete")


def test_settings_change_without_forgiving_anything(hsm: SoftHsm) -> None:
    made = token(hsm, settings=replace(FEW, signatures=2))
    made.sign(DIGEST, pin=PIN, at=AT)
    guess(made)
    made.enrol(ADMIN, at=AT, settings=Settings(tries=5, signatures=2))
    assert guess(made).facts["tries_left"] == 1
    made.sign(DIGEST, pin=PIN, at=AT)
    assert code(lambda: made.sign(DIGEST, pin=PIN, at=AT)) == "hsm/limit"


@pytest.mark.parametrize(
    "bad", [{"tries": 0}, {"admin_tries": 101}, {"signatures": 0}, {"period": Seconds(0)}], ids=min
)
def test_settings_are_within_reason(bad: dict[str, int]) -> None:
    assert Settings(tries=1, admin_tries=100, signatures=1, period=Seconds(1))
    with pytest.raises(BadInput):
        Settings(**bad)


def test_no_secret_is_written_or_shown(hsm: SoftHsm) -> None:
    made = token(hsm)
    seen = [repr(made), str(made.counts)]
    acts: list[Callable[[], object]] = [
        lambda: made.sign(DIGEST, pin=WRONG, at=AT),
        lambda: made.sign(DIGEST, pin=f"{WRONG}\ud800", at=AT),
        lambda: made.unblock(WRONG, new_pin=NEW, at=AT),
        lambda: made.enrol(WRONG, at=AT),
        lambda: made.sign(DIGEST, pin=WRONG, at=AT),
        lambda: made.unblock(ADMIN, new_pin="no", at=AT),
    ]
    for act in acts:
        error = refusal(act)
        seen += [str(error), *traceback.format_exception(error, chain=True)]
        assert not isinstance(error.__context__, pkcs11.PKCS11Error | UnicodeError)
    made.unblock(ADMIN, new_pin=NEW, at=AT)
    with made.unlocked(NEW, at=AT) as opened:
        seen.append(repr(opened))
        seen.append(opened.sign(DIGEST).hex())
    signature = seen.pop()
    files = [each for each in hsm.home.iterdir() if each.is_file()]
    shown = "\n".join(seen) + "".join(each.read_text() for each in files)
    for secret in (PIN, WRONG, NEW, ADMIN, signature):
        assert secret not in shown


def test_the_log_tells_what_was_signed(hsm: SoftHsm) -> None:
    made = token(hsm)
    made.sign(DIGEST, pin=PIN, at=AT + 5, txid="ab" * 32, words="pays the borrower")
    entry = made.log.entries[-1]
    assert (entry.at, entry.what, entry.verdict) == (AT + 5, "sign", "done")
    assert (entry.digest, entry.txid) == (DIGEST.hex(), "ab" * 32)
    assert entry.words == "pays the borrower"


def test_a_disk_that_refuses_means_no_signature(hsm: SoftHsm) -> None:
    made = token(hsm)
    with made.unlocked(PIN, at=AT) as opened:
        (path,) = hsm.home.glob("*.jsonl")
        path.unlink()
        path.mkdir()
        assert code(lambda: opened.sign(DIGEST)) == "signer/audit"


# --- the limit, and loss ---


def test_a_token_signs_as_often_as_its_period_allows(hsm: SoftHsm) -> None:
    made = token(hsm, settings=Settings(signatures=2, period=DAY))
    for _ in range(2):
        made.sign(DIGEST, pin=PIN, at=AT)
    assert code(lambda: made.sign(DIGEST, pin=PIN, at=AT + DAY - 1)) == "hsm/limit"
    assert log_of(made)[-1] == ("sign", "hsm/limit")
    assert made.sign(DIGEST, pin=PIN, at=AT + DAY)


def test_a_clock_that_goes_back_allows_no_more(hsm: SoftHsm) -> None:
    made = token(hsm, settings=Settings(signatures=1))
    made.sign(DIGEST, pin=PIN, at=AT + DAY)
    assert code(lambda: made.sign(DIGEST, pin=PIN, at=AT)) == "hsm/limit"
    assert code(lambda: made.sign(DIGEST, pin=PIN, at=-AT)) == "hsm/limit"


def test_what_is_lost_stays_lost(hsm: SoftHsm) -> None:
    made = token(hsm)
    made.report_lost(at=AT)
    again = hsm.token("officer")
    acts: tuple[Callable[[], object], ...] = (
        lambda: again.sign(DIGEST, pin=PIN, at=AT),
        lambda: again.create_key(PIN, at=AT),
        lambda: again.unblock(ADMIN, new_pin=NEW, at=AT),
        lambda: again.enrol(ADMIN, at=AT),
    )
    assert [code(act) for act in acts] == ["hsm/lost"] * 4


def test_a_token_that_is_pulled_out_is_missing(hsm: SoftHsm) -> None:
    made = token(hsm)
    shutil.rmtree(hsm.home / "tokens")
    (hsm.home / "tokens").mkdir()
    hsm.module.release()
    assert code(lambda: made.sign(DIGEST, pin=PIN, at=AT)) == "hsm/missing"
    counts = made.counts
    assert counts is not None
    assert counts.tries == 3


def test_another_token_of_the_same_label_is_another_token(hsm: SoftHsm) -> None:
    token(hsm)
    shutil.rmtree(hsm.home / "tokens")
    (hsm.home / "tokens").mkdir()
    hsm.module.release()
    made = token(hsm)
    assert [entry.what for entry in made.log.entries] == ["enrol", "pin", "pin", "key"]


# --- stores, threads, what is missing ---


def test_two_stores_in_one_process_do_not_mix(hsm: SoftHsm) -> None:
    with SoftHsm() as other:
        ours, theirs = token(hsm), token(other)
        assert ours.pubkey != theirs.pubkey
        for _ in range(2):
            for made in (ours, theirs):
                assert dsa.verify(DIGEST, made.pubkey, der(made.sign(DIGEST, pin=PIN, at=AT)))
        with ours.unlocked(PIN, at=AT) as opened:
            found = refusal(lambda: theirs.pubkey)
            assert (found.code, opened.pubkey) == ("hsm/failed", ours.pubkey)
            assert opened.sign(DIGEST)


def test_the_environment_is_left_as_it_was(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", "/somewhere/else.conf")
    token(hsm)
    assert os.environ["SOFTHSM2_CONF"] == "/somewhere/else.conf"
    monkeypatch.delenv("SOFTHSM2_CONF")
    hsm.module.release()
    assert hsm.token("officer").pubkey
    assert "SOFTHSM2_CONF" not in os.environ


def test_threads_take_turns(hsm: SoftHsm) -> None:
    with SoftHsm() as other:
        _take_turns([token(hsm, "one"), token(hsm, "two"), token(other)])


def _take_turns(made: list[Token]) -> None:
    good: list[bool] = []

    def work(each: Token) -> None:
        for _ in range(10):
            signature = der(each.sign(DIGEST, pin=PIN, at=AT))
            good.append(dsa.verify(DIGEST, each.pubkey, signature))

    threads = [Thread(target=work, args=(each,)) for each in made * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert good == [True] * 60
    counts = [each.counts for each in made]
    assert [each and each.signed for each in counts] == [20] * 3


def test_a_private_store_vanishes_and_a_named_one_stays(tmp_path: Path, hsm: SoftHsm) -> None:
    with SoftHsm() as private:
        token(private)
        home = private.home
        assert home.stat().st_mode & 0o077 == 0
    assert not home.exists()
    private.close()
    with SoftHsm(tmp_path / "kept") as store:
        pubkey = token(store).pubkey
    with SoftHsm(tmp_path / "kept") as store:
        assert store.token("officer").pubkey == pubkey


def test_a_label_is_taken_once(hsm: SoftHsm) -> None:
    first = token(hsm)
    assert code(lambda: token(hsm)) == "hsm/missing"
    assert first.sign(DIGEST, pin=PIN, at=AT)
    assert code(lambda: hsm.token("nobody")) == "hsm/missing"
    for bad in ("", "x" * 33, "a\nb"):
        assert code(lambda bad=bad: token(hsm, bad)) == "hsm/missing"


@pytest.mark.parametrize("pins", [("1", PIN), (ADMIN, "\ud800abc")])
def test_a_token_is_not_made_with_pins_that_are_none(hsm: SoftHsm, pins: tuple[str, str]) -> None:
    assert code(lambda: hsm.make("x", so_pin=pins[0], pin=pins[1], at=AT)) == "hsm/pin"


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = refusal(lambda: SoftHsm(library="/nowhere/libsofthsm2.so"))
    assert (found.code, "apt install softhsm2" in str(found)) == ("hsm/missing", True)
    monkeypatch.setenv("PKCS11_MODULE", "/nowhere/else.so")
    assert refusal(Module).facts["module"] == "/nowhere/else.so"
    monkeypatch.delenv("PKCS11_MODULE")
    monkeypatch.setattr("escrow.adapters.sign.module.SOFTHSM", ())
    assert code(SoftHsm) == "hsm/missing"


def test_without_python_pkcs11_it_says_which_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    found = refusal(SoftHsm)
    assert (found.code, found.facts["extra"]) == ("extra/missing", "hsm")
    assert found.__context__ is None


def test_a_file_that_is_no_library_is_refused(tmp_path: Path, hsm: SoftHsm) -> None:
    fake = tmp_path / "fake.so"
    fake.write_text("not a library")
    found = refusal(lambda: Token("x", home=tmp_path, module=Module(fake)))
    assert found.code == "hsm/failed"
    assert found.__context__ is None
