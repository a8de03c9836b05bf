"""PSBT files between wallets: ours at the command line, and one of another make as a cosigner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import bdkpython as bdk
import pytest
from bitcoin_lab import COIN, LENDER, P2WPKH, deposit, draft, grow, make_vault, prev_txs, ripe

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.keys import Keys, VaultKey
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.vault import Vault, compile_vault
from escrow.cli import _guarded
from escrow.commands.psbt import app
from escrow.core.errors import Refused
from escrow.core.units import Sats
from escrow.custody.read import load_policy

WORDS = {
    "borrower": "abandon " * 11 + "about",
    "lender": "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "custodian": "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
}
PARTIES = {role: Keys.from_mnemonic(words) for role, words in WORDS.items()}
VAULT: Vault = compile_vault(
    load_policy("two-of-three"),
    keys={role: keys.vault_key() for role, keys in PARTIES.items()},
    moments={},
)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with ripe() as it:
        grow(it, 10)
        yield it


@pytest.fixture(scope="module")
def unsigned(node: Node) -> Psbt:
    return draft(node, VAULT, [deposit(node, VAULT)])


@pytest.fixture
def desk(tmp_path: Path, unsigned: Psbt) -> Path:
    """A folder with the PSBT and everybody's words, which a real desk would never share."""
    (tmp_path / "draft.psbt").write_text(f"{unsigned}\n")
    (tmp_path / "draft.bin").write_bytes(bytes(unsigned))
    for role, words in WORDS.items():
        (tmp_path / f"{role}.words").write_text(f"{words}\n")
    return tmp_path


class Run:
    """``escrow psbt``, as its user meets it."""

    def __init__(self, capsys: pytest.CaptureFixture[str], desk: Path) -> None:
        self._capsys = capsys
        self._desk = desk

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        """Arguments that contain a dot are files of the desk."""
        full = [str(self._desk / each) if "." in each else each for each in argv]
        with pytest.raises(SystemExit) as stop:
            _guarded(lambda: app(full, prog_name="escrow psbt"))
        out, err = self._capsys.readouterr()
        return int(stop.value.code or 0), out, err

    def ok(self, *argv: str) -> str:
        status, out, err = self(*argv)
        assert (status, err) == (0, "")
        return out

    def refused(self, *argv: str) -> str:
        """Its code. One line on stderr, status 2, nothing else said, and no file changed."""
        before = {path: path.read_bytes() for path in self._desk.iterdir() if path.is_file()}
        status, out, err = self(*argv)
        after = {path: path.read_bytes() for path in self._desk.iterdir() if path.is_file()}
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert before == after
        assert not any(word in err.split() for words in WORDS.values() for word in words.split())
        return err.split(": ")[1]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], desk: Path) -> Run:
    return Run(capsys, desk)


def signed(run: Run, role: str, *, source: str = "draft.psbt") -> str:
    name = f"{role}.psbt"
    run.ok("sign", source, "--out", name, "--words-file", f"{role}.words")
    return name


class TestWork:
    @pytest.mark.parametrize("source", ["draft.psbt", "draft.bin"])
    def test_from_draft_to_chain(self, node: Node, run: Run, desk: Path, source: str):
        unsigned = draft(node, VAULT, [deposit(node, VAULT)])
        (desk / "draft.psbt").write_text(str(unsigned))
        (desk / "draft.bin").write_bytes(bytes(unsigned))
        copies = [signed(run, role, source=source) for role in ("lender", "custodian")]
        run.ok("combine", *copies, "--out", "whole.psbt")
        run.ok("finalize", "whole.psbt", "--out", "final.psbt")
        run.ok("finalize", "whole.psbt", "--out", "tx.hex", "--extract")
        binary = source.endswith("bin")
        for name in (*copies, "whole.psbt", "final.psbt"):
            assert (desk / name).read_bytes().startswith(b"psbt\xff") is binary
        raw = bytes.fromhex((desk / "tx.hex").read_text())
        final = (desk / "final.psbt").read_bytes()
        assert psbt.extract(Psbt.parse(final if binary else final.decode())) == raw
        assert node.broadcast(raw) == unsigned.txid
        grow(node)

    def test_show_in_words(self, run: Run, unsigned: Psbt):
        text = run.ok("show", "draft.psbt")
        assert f"Transaction {unsigned.txid} (PSBT version 0)" in text
        assert f"spends 1.00000000 BTC of {VAULT.address}" in text
        assert "pays 0.99999600 BTC to bcrt1q" in text
        assert "fee 400 sats, about 2.7 sat/vB" in text
        assert "needs 2 more signatures" in text
        one = run.ok("show", signed(run, "lender"))
        assert "needs 1 more signature\n" in one
        origin = f"[{PARTIES['lender'].fingerprint.hex()}/48h/1h/0h/2h/0/0]"
        assert any("signed by" in line and origin in line for line in one.splitlines())
        assert sum("not signed" in line for line in one.splitlines()) == 2

    def test_show_json(self, run: Run, unsigned: Psbt):
        found = json.loads(run.ok("show", "draft.bin", "--json"))
        assert list(found) == [
            "txid", "version", "inputs", "outputs", "fee", "vsize", "sat_per_vb", "locktime",
        ]  # fmt: skip
        assert (found["txid"], found["fee"], found["locktime"]) == (unsigned.txid, 400, 0)
        (spent,) = found["inputs"]
        assert (spent["sats"], spent["missing"], spent["signed_by"]) == (COIN, 2, [])
        assert len(spent["not_signed"]) == 3
        assert found["outputs"][0]["change"] is False

    def test_show_a_lock_change_and_a_script_without_address(
        self, node: Node, run: Run, desk: Path
    ):
        vault = make_vault()
        coin = deposit(node, vault)
        odd = b"\x6a\x03abc"
        bare = psbt.create(
            [coin.outpoint],
            outputs=[(vault.script_pubkey, Sats(COIN - 900)), (odd, Sats(0))],
            locktime=vault.recover_after,
        )
        full = psbt.update(bare, owner=vault, prev_txs=prev_txs(node, [coin]))
        (desk / "recovery.psbt").write_text(str(full))
        text = run.ok("show", "recovery.psbt")
        assert f"back to {vault.address}" in text
        assert f"to script {odd.hex()}" in text
        assert "not before 2024-11-13 22:13:20 UTC, block time" in text
        assert "needs 1 more signature\n" in text
        low = draft(node, vault, [coin], locktime=120)
        (desk / "low.psbt").write_text(str(low))
        assert "not before block 120" in run.ok("show", "low.psbt")

    def test_a_passphrase(self, node: Node, run: Run, desk: Path):
        hidden = Keys.from_mnemonic(WORDS["lender"], passphrase="TREZOR")
        vault = compile_vault(
            load_policy("two-of-three"),
            keys={role: keys.vault_key() for role, keys in PARTIES.items()}
            | {"lender": hidden.vault_key()},
            moments={},
        )
        (desk / "hidden.psbt").write_text(str(draft(node, vault, [deposit(node, vault)])))
        (desk / "lender.pass").write_text("TREZOR\n")
        ask = ("sign", "hidden.psbt", "--out", "x.psbt", "--words-file", "lender.words")
        assert run.refused(*ask) == "psbt/no-key"
        assert hidden.name in run.ok(*ask, "--passphrase-file", "lender.pass")

    def test_version_two(self, run: Run, desk: Path, unsigned: Psbt):
        (desk / "two.psbt").write_text(str(psbt.as_version(unsigned, 2)))
        first = signed(run, "lender", source="two.psbt")
        run.ok("combine", first, signed(run, "borrower"), "--out", "whole.psbt")
        assert "PSBT version 2" in run.ok("show", "whole.psbt")
        assert "ready" not in run.ok("finalize", "whole.psbt", "--out", "tx.hex", "--extract")


class TestFiles:
    def test_nothing_is_overwritten(self, run: Run, desk: Path):
        name = signed(run, "lender")
        again = ("sign", "draft.psbt", "--out", name, "--words-file", "custodian.words")
        assert run.refused(*again) == "psbt/write"
        assert run.refused("combine", name, "--out", "draft.psbt") == "psbt/write"
        before = (desk / name).read_bytes()
        run.ok(*again, "--force")
        assert (desk / name).read_bytes() != before

    def test_no_folder_to_write_to(self, run: Run):
        assert run.refused("combine", "draft.psbt", "--out", "no.where/x.psbt") == "psbt/write"

    @pytest.mark.parametrize(
        "argv",
        [
            ("show", "absent.psbt"),
            ("show", "."),
            ("combine", "draft.psbt", "absent.psbt", "--out", "x.psbt"),
            ("finalize", "absent.psbt", "--out", "x.psbt"),
            ("sign", "absent.psbt", "--out", "x.psbt", "--words-file", "lender.words"),
            ("sign", "draft.psbt", "--out", "x.psbt", "--words-file", "absent.words"),
        ],
    )
    def test_missing_files(self, run: Run, argv: tuple[str, ...]):
        assert run.refused(*argv) == "psbt/missing-file"

    @pytest.mark.parametrize(
        "content", [b"", b"hello", b"psbt\xff", b"psbt\xff\x00", b"\xff\xfe", b"cHNidP8="]
    )
    def test_files_that_are_none(self, run: Run, desk: Path, content: bytes):
        (desk / "bad.psbt").write_bytes(content)
        assert run.refused("show", "bad.psbt") == "psbt/format"
        assert run.refused("combine", "draft.psbt", "bad.psbt", "--out", "x.psbt") == "psbt/format"

    def test_files_that_are_too_large(self, run: Run, desk: Path):
        with (desk / "huge.psbt").open("wb") as file:
            file.truncate(200_000_000)
        assert run.refused("show", "huge.psbt") == "psbt/too-large"
        ask = ("sign", "draft.psbt", "--out", "x.psbt", "--words-file", "huge.psbt")
        assert run.refused(*ask) == "psbt/too-large"

    @pytest.mark.parametrize(
        "words", [b"", b"abandon about", b"abandon " * 12, b"\xff\xfe", b"zoo " * 200]
    )
    def test_words_that_are_none(self, run: Run, desk: Path, words: bytes):
        (desk / "bad.words").write_bytes(words)
        ask = ("sign", "draft.psbt", "--out", "x.psbt", "--words-file", "bad.words")
        assert run.refused(*ask) == "signer/mnemonic"

    def test_words_are_not_taken_from_the_command_line(self, run: Run):
        status, _, err = run("sign", "draft.psbt", "--out", "x.psbt", "--words", "abandon")
        assert status == 2
        assert "--words" in err


class TestRefusals:
    def test_too_early(self, run: Run):
        first = signed(run, "lender")
        assert run.refused("finalize", first, "--out", "tx.hex", "--extract") == "psbt/incomplete"

    def test_another_transaction(self, node: Node, run: Run, desk: Path):
        other = psbt.sign(
            draft(node, VAULT, [deposit(node, VAULT)], to=b"\x00\x14" + bytes(20)),
            keys=PARTIES["borrower"],
        )
        (desk / "other.psbt").write_text(str(other))
        first = signed(run, "lender")
        assert run.refused("combine", first, "other.psbt", "--out", "x.psbt") == "psbt/altered"

    def test_a_stranger(self, run: Run, desk: Path):
        (desk / "stranger.words").write_text("zoo " * 11 + "wrong")
        ask = ("sign", "draft.psbt", "--out", "x.psbt", "--words-file", "stranger.words")
        assert run.refused(*ask) == "psbt/no-key"


class TestAnOutsideWallet:
    """rust-bitcoin's wallet as one of three cosigners: it knows words, a descriptor and a file."""

    def account(self, role: str) -> str:
        root = bdk.DescriptorSecretKey(
            bdk.NetworkKind.TEST, bdk.Mnemonic.from_string(WORDS[role]), None
        )
        derived = root.derive(bdk.DerivationPath("m/48h/1h/0h/2h"))
        return str(derived).removesuffix("/*") + "/0/0"

    def theirs(self, role: str, unsigned: Psbt) -> Psbt:
        """What it signs, being told the vault's descriptor with its own key in private."""
        public = PARTIES[role].vault_key().expression
        with_private = VAULT.descriptor.partition("#")[0].replace(public, self.account(role))
        assert "tprv" in with_private
        wallet = bdk.Wallet.create_single(
            bdk.Descriptor(with_private, bdk.NetworkKind.TEST),
            bdk.Network.REGTEST,
            bdk.Persister.new_in_memory(),
        )
        psbt_ = bdk.Psbt(str(unsigned))
        options = bdk.SignOptions(
            trust_witness_utxo=False,
            assume_height=None,
            allow_all_sighashes=False,
            try_finalize=False,
            sign_with_tap_internal_key=True,
            allow_grinding=True,
        )
        wallet.sign(psbt_, options)
        return Psbt.parse(psbt_.serialize())

    def test_both_see_the_same_key(self):
        public = PARTIES["lender"].vault_key()
        descriptor = bdk.Descriptor(f"wpkh({self.account('lender')})", bdk.NetworkKind.TEST)
        inner = str(descriptor).removeprefix("wpkh(").partition(")")[0]
        assert VaultKey.parse(inner).pubkey == public.pubkey

    def test_it_cosigns(self, node: Node):
        unsigned = draft(node, VAULT, [deposit(node, VAULT)])
        answer = psbt.accept(unsigned, answer=self.theirs("lender", unsigned))
        (spent,) = psbt.inspect(answer).inputs
        assert spent.signed_by == {PARTIES["lender"].vault_key().pubkey}
        assert answer == psbt.sign(unsigned, keys=PARTIES["lender"])
        ours = psbt.sign(unsigned, keys=PARTIES["custodian"])
        raw = psbt.extract(psbt.finalize(psbt.combine([ours, answer])))
        whole = bdk.Psbt(str(ours)).combine(bdk.Psbt(str(answer))).finalize()
        assert whole.could_finalize
        assert bytes(whole.psbt.extract_tx().serialize()) == raw
        assert node.broadcast(raw) == unsigned.txid
        grow(node)

    def test_it_is_not_believed(self, node: Node):
        """An answer for another transaction, however well it is signed."""
        coin = deposit(node, VAULT)
        unsigned = draft(node, VAULT, [coin])
        dearer = self.theirs("lender", draft(node, VAULT, [coin], fee=500))
        elsewhere = self.theirs("lender", draft(node, VAULT, [coin], to=P2WPKH[:-1] + b"\x00"))
        for answer, code in ((dearer, "psbt/stale"), (elsewhere, "psbt/altered")):
            with pytest.raises(Refused, match=code):
                psbt.accept(unsigned, answer=answer)
            with pytest.raises(Refused, match=code):
                psbt.combine([psbt.sign(unsigned, keys=PARTIES["custodian"]), answer])


def test_missing_counts_down(node: Node):
    vault = make_vault()
    unsigned = draft(node, vault, [deposit(node, vault)])
    assert psbt.missing(unsigned) == (2,)
    assert psbt.missing(psbt.sign(unsigned, keys=LENDER)) == (1,)
    recovery = draft(node, vault, [deposit(node, vault)], locktime=vault.recover_after)
    assert psbt.missing(recovery) == (1,)
