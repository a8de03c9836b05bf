"""Signers behind one protocol: reviewed first, put into words, then signed; kernel-proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bitcoin_lab import P2WPKH, deposit, grow, party, prev_txs, ripe
from bitcoin_lab import draft as lab_draft
from hypothesis import given
from hypothesis import strategies as st
from sign_lab import AT, FEW, PIN, WRONG, code, refusal, token

from escrow.actors.replacement import check_replacement, draft_sweep
from escrow.actors.signers import FileSigner, Signer, SoftwareSigner, TokenSigner, place
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.keys import Keys, VaultKey
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.psbt_combine import combine
from escrow.adapters.bitcoin.types import Coin
from escrow.adapters.bitcoin.vault import Vault, address_of, compile_vault
from escrow.adapters.sign.audit import AuditLog
from escrow.adapters.sign.guard import Settings
from escrow.adapters.sign.pkcs11 import Token
from escrow.adapters.sign.softhsm import SoftHsm
from escrow.core.errors import EscrowError, Refused
from escrow.core.units import COIN, Sats
from escrow.custody.policy import KeyKind, Policy, Role, ScriptKind
from escrow.custody.policy import Path as Way
from escrow.custody.read import load_policy

WORDS = "abandon " * 11 + "about"
FEE = Sats(400)
ROLES = ("officer-1", "officer-2", "safe")


@pytest.fixture(scope="module")
def tokens(shared: SoftHsm) -> dict[str, Token]:
    """The bank's three tokens, and a spare one."""
    return {role: token(shared, role) for role in (*ROLES, "spare")}


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with ripe() as chain:
        yield chain


def bank_vault(tokens: dict[str, Token], **other: Token) -> Vault:
    keys = {role: VaultKey.single(other.get(role, tokens[role]).pubkey) for role in ROLES}
    return compile_vault(load_policy("bank-token"), keys=keys, moments={})


@pytest.fixture(scope="module")
def vault(tokens: dict[str, Token]) -> Vault:
    return bank_vault(tokens)


@pytest.fixture
def coin(node: Node, vault: Vault) -> Coin:
    """A confirmed coin in the bank's vault."""
    found = deposit(node, vault)
    grow(node, 100)  # so that there is a reward for the next test
    return found


@pytest.fixture
def draft(node: Node, vault: Vault, coin: Coin) -> Psbt:
    """All of it to somebody."""
    return lab_draft(node, vault, [coin], fee=FEE)


def signer(made: Token, pin: str = PIN) -> TokenSigner:
    return TokenSigner(made, ask_pin=lambda: pin)


def fine(psbt: Psbt) -> object:
    """A review that passes anything."""
    return psbt


def never(psbt: Psbt) -> object:
    """A review that passes nothing."""
    raise Refused("cosigner/destination", txid=psbt.txid)


def forbidden() -> str:
    raise AssertionError("the PIN was asked for")


def settle(node: Node, *signed: Psbt) -> str:
    """Combine, finalize, hand to the kernel, and mine it."""
    txid = node.broadcast(bip174.extract(bip174.finalize(combine(signed))))
    grow(node)
    assert node.depth(txid) == 1
    return txid


# --- all of them ---


def signers_of(tokens: dict[str, Token], folder: Path) -> list[Signer]:
    return [
        SoftwareSigner(party("borrower")),
        signer(tokens["officer-1"]),
        FileSigner(folder),
    ]


@pytest.mark.parametrize("number", range(3), ids=["software", "token", "file"])
def test_nothing_is_signed_that_the_review_refuses(
    number: int, tokens: dict[str, Token], draft: Psbt, tmp_path: Path
) -> None:
    made = signers_of(tokens, tmp_path)[number]
    if isinstance(made, TokenSigner):
        made = TokenSigner(tokens["officer-1"], ask_pin=forbidden)
    assert isinstance(made, SoftwareSigner | TokenSigner | FileSigner)
    before = len(made.log.entries)
    assert code(lambda: made.sign(draft, check=never, at=AT)) == "cosigner/destination"
    (entry,) = made.log.entries[before:]
    assert (entry.what, entry.verdict) == ("review", "cosigner/destination")
    assert (entry.txid, entry.words) == (draft.txid, made.describe(draft))
    assert not list(tmp_path.iterdir())


def test_what_is_asked_is_said_in_words(
    vault: Vault, tokens: dict[str, Token], node: Node, coin: Coin, tmp_path: Path
) -> None:
    change = Sats(coin.sats - 30_000_000 - 500)
    outputs = [(P2WPKH, Sats(30_000_000)), (vault.script_pubkey, change)]
    bare = bip174.create([coin.outpoint], outputs=outputs)
    asked = bip174.update(bare, owner=vault, prev_txs=prev_txs(node, [coin]))
    words = [each.describe(asked) for each in signers_of(tokens, tmp_path)]
    assert words[0].splitlines() == [
        f"Transaction {asked.txid}",
        f"spends 1.00000000 BTC of {vault.address}, coin {coin.outpoint}",
        f"pays 0.30000000 BTC to {address_of(P2WPKH)}",
        f"keeps 0.69999500 BTC as change at {vault.address}",
        "leaves 500 sats to the miner, about 2.6 sat/vB",
        "signed so far by 0 keys",
    ]
    assert set(words) == {words[0]}
    once = signer(tokens["safe"]).sign(asked, check=fine, at=AT)
    assert once != asked
    assert signers_of(tokens, tmp_path)[0].describe(once).endswith("signed so far by 1 key")


@pytest.mark.parametrize(
    ("locktime", "said"),
    [
        (1_800_000_000, "before 2027-01-15 08:00:00 (block time)"),
        (499_999_999, "before block 4999"),
    ],
)
def test_a_time_lock_is_said_in_words(
    node: Node, vault: Vault, coin: Coin, locktime: int, said: str
) -> None:
    asked = lab_draft(node, vault, [coin], locktime=locktime)
    assert said in SoftwareSigner(party("borrower")).describe(asked)


def test_a_script_without_an_address_is_shown_as_it_is() -> None:
    assert place(P2WPKH) == address_of(P2WPKH)
    assert place(b"\x6a\x01\x02") == "script 6a0102"


# --- tokens ---


@pytest.mark.parametrize("pair", [("officer-1", "officer-2"), ("officer-2", "safe")])
def test_two_tokens_spend_and_the_kernel_takes_it(
    pair: tuple[str, str], tokens: dict[str, Token], node: Node, vault: Vault, draft: Psbt
) -> None:
    signed = [signer(tokens[role]).sign(draft, check=fine, at=AT) for role in pair]
    raw = bip174.extract(bip174.finalize(combine(signed)))
    assert settle(node, *signed) == draft.txid
    assert len(raw) < 1_000
    entries = [tokens[role].log.entries[-1] for role in pair]
    assert [(e.what, e.verdict, e.txid) for e in entries] == [("sign", "done", draft.txid)] * 2
    assert entries[0].digest == entries[1].digest != ""


def test_one_token_is_not_enough(tokens: dict[str, Token], draft: Psbt) -> None:
    alone = signer(tokens["safe"]).sign(draft, check=fine, at=AT)
    assert code(lambda: bip174.finalize(alone)) == "psbt/incomplete"


def test_a_token_and_a_wallet_share_a_vault(node: Node, tokens: dict[str, Token]) -> None:
    policy = Policy(
        "mixed",
        "t",
        "a",
        "s",
        ScriptKind.WSH,
        (Role("wallet", "a", KeyKind.SOFTWARE), Role("token", "b", KeyKind.TOKEN)),
        (Way("close", 2, ("wallet", "token")),),
    )
    keys = {
        "wallet": party("borrower").vault_key(),
        "token": VaultKey.single(tokens["safe"].pubkey),
    }
    vault = compile_vault(policy, keys=keys, moments={})
    coins = [deposit(node, vault, sats=COIN + number) for number in range(2)]
    grow(node, 100)
    asked = lab_draft(node, vault, coins)
    signers: list[Signer] = [SoftwareSigner(party("borrower")), signer(tokens["safe"])]
    settle(node, *[each.sign(asked, check=fine, at=AT) for each in signers])


def test_each_input_counts_against_the_limit(shared: SoftHsm, node: Node) -> None:
    few = [token(shared, f"few-{number}", settings=Settings(signatures=3)) for number in range(3)]
    vault = bank_vault(dict(zip(ROLES, few, strict=True)))
    coins = [deposit(node, vault, sats=COIN + number) for number in range(2)]
    grow(node, 100)
    asked = lab_draft(node, vault, coins)
    assert signer(few[0]).sign(asked, check=fine, at=AT)
    assert code(lambda: signer(few[0]).sign(asked, check=fine, at=AT)) == "hsm/limit"
    counts = few[0].counts
    assert counts is not None
    assert counts.signed == 3


def test_a_token_that_is_not_in_the_vault_signs_nothing(
    tokens: dict[str, Token], draft: Psbt
) -> None:
    assert code(lambda: signer(tokens["spare"]).sign(draft, check=fine, at=AT)) == "psbt/no-key"
    assert tokens["spare"].log.entries[-1].what != "sign"


def test_a_token_is_asked_with_a_wrong_pin(shared: SoftHsm, draft: Psbt) -> None:
    made = token(shared, "guessed")
    found = refusal(lambda: signer(made, WRONG).sign(draft, check=fine, at=AT))
    assert (found.code, found.facts) == ("hsm/pin", {"tries_left": FEW.tries - 1})


def test_a_tokens_key_is_named_by_its_own_fingerprint() -> None:
    pubkey = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    key = VaultKey.single(pubkey)  # hash160 of the generator starts with 751e76e8 (BIP-173)
    assert key.expression == f"[751e76e8]{pubkey.hex()}"
    assert (key.pubkey, list(key.origin.der_path)) == (pubkey, [])
    assert code(lambda: VaultKey.single(b"\x02" + bytes(32))) == "bitcoin/key"


# --- software ---


def test_words_give_the_keys_that_every_wallet_finds() -> None:
    keys = Keys.from_mnemonic(WORDS)
    assert keys.fingerprint.hex() == "73c5da0a"
    # BIP-84 path m/84h/1h/0h/0/0 of these words, as testnet wallets show it.
    assert keys.wallet_key().pubkey.hex() == (
        "02e7ab2537b5d49e970309aae06e9e49f36ce1c9febbd44ec8e0d1cca0b4f9c319"
    )
    assert address_of(keys.wallet_key().script_pubkey) == (
        "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk"
    )


@pytest.mark.parametrize("words", ["abandon " * 12, "abandon about", "", "z" * 5_000])
def test_words_that_are_no_mnemonic_are_refused(words: str) -> None:
    found = refusal(lambda: Keys.from_mnemonic(words))
    assert found.code == "signer/mnemonic"
    assert "abandon" not in str(found)


def test_a_wallet_of_words_signs_and_writes_it_down(node: Node, tmp_path: Path) -> None:
    keys = [Keys.from_mnemonic(WORDS), party("lender"), party("custodian")]
    names = ("borrower", "lender", "custodian")
    vault = compile_vault(
        load_policy("two-of-three"),
        keys={name: each.vault_key() for name, each in zip(names, keys, strict=True)},
        moments={},
    )
    asked = lab_draft(node, vault, [deposit(node, vault)])
    grow(node, 100)
    log = AuditLog(tmp_path / "wallet.jsonl")
    made = SoftwareSigner(keys[0], name="borrower", log=log)
    settle(
        node,
        made.sign(asked, check=fine, at=AT),
        SoftwareSigner(keys[1]).sign(asked, check=fine, at=AT),
    )
    (entry,) = AuditLog(tmp_path / "wallet.jsonl").entries
    assert (entry.what, entry.verdict, entry.txid) == ("sign", "done", asked.txid)
    assert "abandon" not in repr(made)


def test_a_wallet_that_holds_no_key_says_so(draft: Psbt) -> None:
    made = SoftwareSigner(party("stranger"))
    assert code(lambda: made.sign(draft, check=fine, at=AT)) == "psbt/no-key"
    assert made.log.entries[-1].verdict == "psbt/no-key"


# --- files ---


@pytest.fixture
def outside(tokens: dict[str, Token], tmp_path: Path) -> tuple[FileSigner, Callable[..., None]]:
    """A signer outside, and what it does with the file when somebody carries it over."""

    def carry(txid: str, change: Callable[[Psbt], object] = str) -> None:
        asked = Psbt.parse((tmp_path / f"{txid}.psbt").read_bytes())
        signed = signer(tokens["safe"]).sign(asked, check=fine, at=AT)
        answer = change(signed)
        data = answer if isinstance(answer, bytes) else str(answer).encode()
        (tmp_path / f"{txid}-signed.psbt").write_bytes(data)

    return FileSigner(tmp_path), carry


@pytest.mark.parametrize(
    "form", [bytes, str, lambda p: f"{p}\n"], ids=["binary", "base64", "with a newline"]
)
def test_a_file_goes_out_and_comes_back_signed(
    form: Callable[[Psbt], object],
    outside: tuple[FileSigner, Callable[..., None]],
    tokens: dict[str, Token],
    node: Node,
    draft: Psbt,
    tmp_path: Path,
) -> None:
    made, carry = outside
    found = refusal(lambda: made.sign(draft, check=fine, at=AT))
    assert (found.code, found.facts) == ("signer/file", {"waiting": f"{draft.txid}-signed.psbt"})
    assert (tmp_path / f"{draft.txid}.psbt").read_bytes() == bytes(draft)
    carry(draft.txid, form)
    signed = made.sign(draft, check=fine, at=AT)
    settle(node, signed, signer(tokens["officer-1"]).sign(draft, check=fine, at=AT))
    assert [entry.verdict for entry in made.log.entries] == ["signer/file", "done"]


def test_a_file_comes_back_unsigned(
    outside: tuple[FileSigner, Callable[..., None]], draft: Psbt, tmp_path: Path
) -> None:
    made, _ = outside
    (tmp_path / f"{draft.txid}-signed.psbt").write_text(str(draft))
    found = refusal(lambda: made.sign(draft, check=fine, at=AT))
    assert (found.code, found.facts["reason"]) == ("signer/file", "no new signature")


def test_a_file_comes_back_for_another_transaction(
    outside: tuple[FileSigner, Callable[..., None]],
    node: Node,
    vault: Vault,
    coin: Coin,
    tokens: dict[str, Token],
    tmp_path: Path,
) -> None:
    made, _ = outside
    asked, other = (lab_draft(node, vault, [coin], fee=fee) for fee in (400, 500))
    signed = signer(tokens["safe"]).sign(other, check=fine, at=AT)
    (tmp_path / f"{asked.txid}-signed.psbt").write_text(str(signed))
    found = refusal(lambda: made.sign(asked, check=fine, at=AT))
    assert (found.code, found.facts) == ("signer/file", {"txid": other.txid, "wanted": asked.txid})


def test_a_file_comes_back_with_more_than_signatures(
    outside: tuple[FileSigner, Callable[..., None]], draft: Psbt
) -> None:
    made, carry = outside
    assert code(lambda: made.sign(draft, check=fine, at=AT)) == "signer/file"

    def without_script(signed: Psbt) -> Psbt:
        signed._inner.inputs[0].witness_script = b""
        signed._inner.inputs[0].partial_sigs = {}
        return signed

    carry(draft.txid, without_script)
    assert code(lambda: made.sign(draft, check=fine, at=AT)) == "psbt/altered"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [(b"", "psbt/format"), (b"psbt\xff", "psbt/format"), (b"A" * 5_000_000, "psbt/too-large")],
    ids=["empty", "cut", "huge"],
)
def test_a_file_that_is_no_psbt_is_refused(
    outside: tuple[FileSigner, Callable[..., None]],
    draft: Psbt,
    tmp_path: Path,
    data: bytes,
    wanted: str,
) -> None:
    (tmp_path / f"{draft.txid}-signed.psbt").write_bytes(data)
    assert code(lambda: outside[0].sign(draft, check=fine, at=AT)) == wanted


def test_a_folder_that_cannot_be_written_is_refused(draft: Psbt, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    made = FileSigner(tmp_path / "file")
    assert code(lambda: made.sign(draft, check=fine, at=AT)) == "psbt/write"


@pytest.fixture(scope="module")
def asked(node: Node, vault: Vault) -> Psbt:
    found = lab_draft(node, vault, [deposit(node, vault)])
    grow(node, 100)
    return found


@given(data=st.data())
def test_any_file_is_a_signature_or_an_error_of_ours(
    data: st.DataObject, asked: Psbt, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = bytearray(bytes(asked))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.getbasetemp() / "any-file"
    folder.mkdir(exist_ok=True)
    (folder / f"{asked.txid}-signed.psbt").write_bytes(raw)
    with pytest.raises(EscrowError):
        FileSigner(folder).sign(asked, check=fine, at=AT)


# --- replacement ---


def test_a_lost_token_is_replaced_by_the_other_two(
    shared: SoftHsm, node: Node, tmp_path: Path
) -> None:
    held = {role: token(shared, f"{role}-of-two") for role in ROLES}
    old = bank_vault(held)
    coins = [deposit(node, old, sats=COIN + number) for number in range(2)]
    grow(node, 100)
    held["officer-2"].report_lost(at=AT)
    new = bank_vault(held, **{"officer-2": token(shared, "new-officer-2")})
    sweep = draft_sweep(coins, old=old, new=new, feerate=2, prev_txs=prev_txs(node, coins))

    def check(psbt: Psbt) -> object:
        return check_replacement(psbt, old=old, new=new, role="officer-2", max_fee=Sats(1_000))

    assert code(lambda: signer(held["officer-2"]).sign(sweep, check=check, at=AT)) == "hsm/lost"
    settle(
        node,
        *[signer(held[role]).sign(sweep, check=check, at=AT) for role in ("officer-1", "safe")],
    )
    assert not node.coins(old.script_pubkey)
    (moved,) = node.coins(new.script_pubkey)
    assert 2 * COIN - 1_000 < moved.sats < 2 * COIN
    on = lab_draft(node, new, [moved])
    assert code(lambda: signer(held["officer-2"]).sign(on, check=fine, at=AT)) == "hsm/lost"
    fresh = shared.token("new-officer-2")
    settle(node, *[signer(each).sign(on, check=fine, at=AT) for each in (fresh, held["safe"])])


def test_the_lost_key_signs_nothing_of_the_new_vault(
    node: Node, tokens: dict[str, Token], draft: Psbt
) -> None:
    new = bank_vault(tokens, **{"officer-2": tokens["spare"]})
    coin = deposit(node, new)
    grow(node, 100)
    on = lab_draft(node, new, [coin])
    assert code(lambda: signer(tokens["officer-2"]).sign(on, check=fine, at=AT)) == "psbt/no-key"


def test_a_replacement_goes_to_the_new_vault_and_nowhere_else(
    node: Node, tokens: dict[str, Token], vault: Vault, coin: Coin, draft: Psbt
) -> None:
    new = bank_vault(tokens, **{"officer-2": tokens["spare"]})
    terms = {"old": vault, "new": new, "role": "officer-2", "max_fee": Sats(1_000)}
    sweep = draft_sweep([coin], old=vault, new=new, feerate=2, prev_txs=prev_txs(node, [coin]))
    assert check_replacement(sweep, **terms).fee == 2 * vault.vsize("close", 1, [new.script_pubkey])
    assert code(lambda: check_replacement(draft, **terms)) == "cosigner/destination"
    dear = draft_sweep([coin], old=vault, new=new, feerate=9, prev_txs=prev_txs(node, [coin]))
    assert code(lambda: check_replacement(dear, **terms)) == "cosigner/fee"
    for harm in (
        {"role": "officer-1"},
        {"new": vault},
        {"new": bank_vault(tokens, safe=tokens["spare"])},
        {"new": bank_vault(tokens, **{"officer-2": tokens["safe"], "safe": tokens["spare"]})},
    ):
        assert code(lambda harm=harm: check_replacement(sweep, **{**terms, **harm})) == (
            "policy/value"
        )
    other = deposit(node, new)
    grow(node, 100)
    foreign = lab_draft(node, new, [other], to=new.script_pubkey)
    assert code(lambda: check_replacement(foreign, **terms)) == "cosigner/input"


def test_a_sweep_that_the_fee_would_eat_is_refused(
    node: Node, tokens: dict[str, Token], vault: Vault
) -> None:
    small = deposit(node, vault, sats=1_000)
    grow(node, 100)
    raws = prev_txs(node, [small])
    with pytest.raises(Refused, match="bitcoin/funds"):
        draft_sweep([small], old=vault, new=vault, feerate=9, prev_txs=raws)
    assert draft_sweep([small], old=vault, new=vault, feerate=1, prev_txs=raws)
