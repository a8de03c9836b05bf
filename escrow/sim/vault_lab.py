"""A laboratory for vaults: any policy's coins, any set of keys, any time, and the chain's verdict.

The chain is real (the kernel's), the signatures are real, and the only clock is that of the
blocks. Everything follows from the seed: keys, nonces, transaction ids. Roles whose key is in a
token sign by software keys here, which grind for low R as tokens do too, so that a signature has
71 bytes and the sizes are the same each time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Final, Self

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.ephemeral import EphemeralKey
from escrow.adapters.bitcoin.forge import forge
from escrow.adapters.bitcoin.keys import Keys, derive_seed
from escrow.adapters.bitcoin.musig import MusigSigner, aggregate
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.psbt import Psbt, SigningKeys
from escrow.adapters.bitcoin.types import Coin, OutPoint
from escrow.adapters.bitcoin.vault import Vault, compile_vault
from escrow.core.errors import BadInput, EscrowError
from escrow.core.units import DAY, Sats, Seconds
from escrow.custody.ability import locks
from escrow.custody.policy import (
    After,
    Form,
    KeyKind,
    Moment,
    Older,
    Path,
    Policy,
)
from escrow.custody.windows import Window
from escrow.sim.up_front import (
    Contracted,
    UpFront,
    check_carried_out,
    contract,
    is_contract,
    presign,
)
from escrow.sim.vault_chain import FEERATE, LabChain

COIN_SATS: Final = Sats(10_000_000)
"""What each coin of a vault holds."""
_BATCH: Final = 6  # coins of one deposit
_RESTING: Final = 50  # the same where they must rest first, which takes long
_MARGIN: Final = 60 * DAY
_TURNS: Final = 3  # deposits that may come to rest between two moments
_FEES: Final = Sats(20_000)  # what each side brings to a contract for its fees
_UP_FRONT: Final = (Form.PRESIGNED, Form.ATTESTED)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One transaction that was sent, and what the chain said."""

    path: str
    """By which path it spends."""
    window: str
    """When it was sent."""
    signers: tuple[str, ...]
    """Roles that really acted."""
    accepted: bool
    """Is it in a block of the chain?"""
    txid: str
    """Its id."""
    vsize: int
    """Its virtual bytes."""
    code: str
    """With which code the node would not relay it; empty if it did."""
    reason: str
    """Why the kernel refuses a block with it, in its own words; empty if it does not."""
    sats: Sats
    """What it pays out, or would."""


@dataclass(slots=True)
class Opened:
    """A vault on the chain, with coins."""

    vault: Vault
    """Compiled with this lab's keys."""
    keys: Mapping[str, SigningKeys]
    """Role → its private key."""
    index: int
    """Which vault of the lab it is."""
    txid: str = ""
    """The first deposit, or the funding of the first contract."""
    agreed: dict[OutPoint, UpFront] = field(default_factory=dict)
    """Coin → its exits, where there are such."""


class Lab:
    """A chain of its own, on which vaults are opened and robbed. Close it."""

    def __init__(self, *, seed: int = 1) -> None:
        """A ripe chain that starts on 2012-01-01, with money to fund vaults."""
        self._chain = LabChain(seed=seed)
        self._sessions = 0
        self._opened = 0
        self._stranger = self.role_keys("a stranger")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the chain."""
        self.node.close()

    @property
    def node(self) -> Node:
        """The chain."""
        return self._chain.node

    def role_keys(self, role: str) -> Keys:
        """The wallet of a role: one of its own each, whoever holds it."""
        return self._chain.role_keys(role)

    def payee(self, party: str) -> bytes:
        """A party's own output script, P2WPKH: 31 bytes of a transaction."""
        return self.role_keys(f"wallet of {party}").wallet_key().script_pubkey

    def moments(self, policy: Policy) -> dict[Moment, Seconds]:
        """Block times of a policy's moments, so far apart that every span fits between two."""
        longest = max((o.seconds for o in locks(policy) if isinstance(o, Older)), default=0)
        gap = _TURNS * longest + _MARGIN
        return {
            moment: Seconds(self.node.median_time + gap * number)
            for number, moment in enumerate(Moment, start=1)
        }

    def compile(self, policy: Policy, *, moments: Mapping[Moment, Seconds]) -> Opened:
        """A vault with this lab's keys and no coins. Raises as ``compile_vault``."""
        index = self._opened
        self._opened += 1
        keys: dict[str, SigningKeys] = {}
        public = {}
        scripted = {r for p in policy.paths if p.form not in _UP_FRONT for r in p.roles}
        for role in policy.roles:
            if role.key is KeyKind.EPHEMERAL:
                one = EphemeralKey(self._ephemeral(role.name, index))
                keys[role.name], public[role.name] = one, one.vault_key
            else:
                wallet = self.role_keys(role.name)
                keys[role.name], public[role.name] = wallet, wallet.vault_key(index)
        vault = compile_vault(
            policy, keys={r: k for r, k in public.items() if r in scripted}, moments=moments
        )
        return Opened(vault, MappingProxyType(keys), index)

    def open(self, policy: Policy) -> Opened:
        """A vault with confirmed coins, its exits agreed up front where the policy has such.

        Raises BadInput("policy/value") for exits that no code here can agree, and as
        ``compile_vault``.
        """
        check_carried_out(policy)
        opened = self.compile(policy, moments=self.moments(policy))
        self.fund(opened)
        return opened

    def fund(self, opened: Opened, *, coins: int = 0) -> tuple[OutPoint, ...]:
        """Pay more coins to a vault and confirm them; by default a few."""
        policy = opened.vault.policy
        if is_contract(policy):
            return (self._fund_contract(opened),)
        signed = any(path.form is Form.PRESIGNED for path in policy.paths)
        rests = any(isinstance(lock, Older) for lock in locks(policy))
        count = coins or (_RESTING if rests else 2 if signed else _BATCH)
        raw = self._chain.pay([(opened.vault.script_pubkey, COIN_SATS)] * count)
        tx = read_transaction(raw)
        found = tuple(OutPoint(tx.id.hex(), vout) for vout in range(count))
        if signed:
            # Before anything is sent: a coin that nobody signed exits for could not come out.
            for coin in found:
                opened.agreed[coin] = presign(
                    opened.vault,
                    coins=[coin],
                    funding=raw,
                    keys=self._signing(opened),
                    payees={party: self.payee(party) for party in ("borrower", "lender")},
                    feerate=FEERATE,
                )
        self._chain.confirm(raw)
        opened.txid = opened.txid or tx.id.hex()
        return found

    def deposit(self, policy: Policy) -> int:
        """Virtual bytes of a plain deposit into a fresh vault of the policy: one taproot input,
        the vault's output, change to taproot. It is confirmed, and its coin stays there."""
        opened = self.compile(policy, moments=self.moments(policy))
        raw = self._chain.pay([(opened.vault.script_pubkey, COIN_SATS)])
        self._chain.confirm(raw)
        return read_transaction(raw).vsize

    def attempt(
        self,
        opened: Opened,
        path: str,
        *,
        keys: Collection[str],
        at: Window,
        senders: Collection[str] | None = None,
        to: Sequence[bytes] = (),
        skip_lock: bool = False,
    ) -> Attempt:
        """Spend a coin of the vault by ``path`` with just these roles' keys; mine what is good.

        ``senders`` are parties that may hold what was signed up front (``None``: those who do).
        ``to`` are output scripts among which the coin is shared, one of a wallet by default. With
        ``skip_lock`` the transaction does not wait and the script's lock is left to the chain.
        Missing signatures are replaced by a stranger's, so that the chain has something to judge.
        Raises BadInput: "input/time" if the chain is past that window, "policy/value" if there is
        no such path.
        """
        asked = next((each for each in opened.vault.policy.paths if each.name == path), None)
        if asked is None:
            raise BadInput("policy/value", path=path[:40], reason="no such path")
        coin = self._reach(opened, at)
        if asked.form in _UP_FRONT:
            raw, signers = self._agreed(opened, asked, coin, keys=keys, senders=senders)
        else:
            raw, signers = self._signed(
                opened, asked, coin, keys=keys, to=to or [self.payee("taker")], skip_lock=skip_lock
            )
        return self._offer(raw, path=path, window=at.name, signers=signers)

    def coins(self, opened: Opened) -> tuple[Coin, ...]:
        """Confirmed coins of a vault."""
        return self.node.coins(opened.vault.script_pubkey)

    # --- spends ---

    def _signed(
        self,
        opened: Opened,
        path: Path,
        coin: Coin,
        *,
        keys: Collection[str],
        to: Sequence[bytes],
        skip_lock: bool,
    ) -> tuple[bytes, tuple[str, ...]]:
        vault = opened.vault
        left = coin.sats - FEERATE * vault.vsize(path.name, 1, to)
        share = Sats(left // len(to))
        bare = psbt.create(
            [coin.outpoint],
            outputs=[(script, share) for script in to],
            locktime=0 if skip_lock else vault.locktime(path.name),
            sequence=None if skip_lock else vault.sequence(path.name),
        )
        draft = psbt.update(bare, owner=vault, prev_txs=self._chain.prev(coin), path=path.name)
        signing = self._signing(opened)
        signers = tuple(role for role in path.roles if role in keys)[: path.threshold]
        if len(signers) < path.threshold or skip_lock:
            held = {role: signing[role] for role in signers}
            raw = forge(draft, vault=vault, path=path.name, keys=held, stranger=self._stranger)
        elif path.form is Form.MUSIG:
            raw = psbt.extract(psbt.finalize(self._together(draft, signers)))
        else:
            copies = [psbt.sign(draft, keys=signing[role]) for role in signers]
            raw = psbt.extract(psbt.finalize(psbt.combine(copies)))
        return raw, signers

    def _together(self, draft: Psbt, signers: Sequence[str]) -> Psbt:
        """MuSig2's two rounds, the nonces from a stream of the seed that never repeats."""
        parties = []
        for role in signers:
            self._sessions += 1
            session = derive_seed(self._chain.seed, name=f"session {self._sessions}")
            parties.append((MusigSigner(self.role_keys(role)), session))
        first = psbt.combine([one.nonces(draft, session=session) for one, session in parties])
        return aggregate(psbt.combine([one.partial(first) for one, _ in parties]))

    def _agreed(
        self,
        opened: Opened,
        path: Path,
        coin: Coin,
        *,
        keys: Collection[str],
        senders: Collection[str] | None,
    ) -> tuple[bytes, tuple[str, ...]]:
        agreed = opened.agreed[coin.outpoint]
        signing = self._signing(opened)
        sent = senders is None or bool(set(senders) & set(path.held_by))
        signers = tuple(role for role in path.roles if role in keys)[: path.threshold]
        if sent and len(signers) == path.threshold:
            return agreed.whole(path.name, keys=signing), signers
        via = opened.vault.policy.path(path.via)
        if sent and path.form is Form.PRESIGNED:
            # What was signed up front is in hand; making it again gives the same bytes.
            held = [role for role in via.roles if role not in path.roles or role in signers]
        else:
            # Never all of them: with those they would need nothing that was signed up front.
            held = [role for role in via.roles if role in keys][: via.threshold - 1]
            signers = tuple(held)
        raw = forge(
            agreed.draft(path.name),
            vault=opened.vault,
            path=path.via,
            keys={role: signing[role] for role in held},
            stranger=self._stranger,
        )
        return raw, signers

    def _offer(self, raw: bytes, *, path: str, window: str, signers: tuple[str, ...]) -> Attempt:
        tx = read_transaction(raw)
        code = reason = ""
        try:
            self._chain.confirm(raw)
        except EscrowError as refusal:
            code = refusal.code
            reason = self._chain.force(raw)
        return Attempt(
            path=path,
            window=window,
            signers=signers,
            accepted=not reason,
            txid=tx.id.hex(),
            vsize=tx.vsize,
            code=code,
            reason=reason,
            sats=Sats(sum(each.value for each in tx.vout)),
        )

    # --- coins and time ---

    def _reach(self, opened: Opened, window: Window) -> Coin:
        """A coin for which just the window's locks are open, once the clock is there."""
        moments = opened.vault.moments
        passed = [moments[lock.moment] for lock in window.open if isinstance(lock, After)]
        self._chain.advance(max(passed, default=0))
        spans = sorted(o.seconds for o in locks(opened.vault.policy) if isinstance(o, Older))
        rested = [o.seconds for o in window.open if isinstance(o, Older)]
        least = max(rested, default=0)
        most = next((each for each in spans if each > least), None)
        found = self._aged(opened, least=least, most=most)
        if found is None and not least:
            self.fund(opened)
        elif found is None:
            if self._aged(opened, least=0, most=least) is None:
                self.fund(opened)
            youngest = self._aged(opened, least=0, most=least)
            assert youngest is not None
            self._chain.advance(self.node.median_time + least - self._age(youngest))
        found = found or self._aged(opened, least=least, most=most)
        shut = locks(opened.vault.policy) - window.open
        late = any(
            isinstance(lock, After) and moments[lock.moment] < self.node.median_time
            for lock in shut
        )
        if found is None or late:
            raise BadInput("input/time", window=window.name, now=self.node.median_time)
        return found

    def _aged(self, opened: Opened, *, least: int, most: int | None) -> Coin | None:
        """A coin of that age in seconds, as relative locks count it (BIP-68)."""
        for coin in self.coins(opened):
            age = self._age(coin)
            if age >= least and (most is None or age < most):
                return coin
        return None

    def _age(self, coin: Coin) -> int:
        return self.node.median_time - self.node.index.median_time(coin.height - 1)

    def _fund_contract(self, opened: Opened) -> OutPoint:
        policy, index = opened.vault.policy, opened.index
        wallets = {party: self.role_keys(party) for party in ("borrower", "lender")}
        amounts = {"borrower": Sats(COIN_SATS + _FEES), "lender": _FEES}
        raw = self._chain.pay(
            [(wallets[p].wallet_key(index).script_pubkey, sats) for p, sats in amounts.items()]
        )
        txid = self._chain.confirm(raw)
        sealed, funding = contract(
            policy,
            keys=wallets,
            index=index,
            event=f"vault {index}, coin {txid}",
            stakes={p: (OutPoint(txid, vout), raw) for vout, p in enumerate(amounts)},
            payees={party: self.payee(party) for party in wallets},
            oracle_seed=derive_seed(self._chain.seed, name="the oracle's words"),
            collateral=COIN_SATS,
            feerate=FEERATE,
            refund_at=opened.vault.moments[Moment.RECOVERY],
        )
        coin = sealed.contract.coin
        opened.agreed[coin] = Contracted(
            sealed, opened.vault, funding, derive_seed(self._chain.seed, name="the oracle's words")
        )
        self._chain.confirm(funding)
        opened.txid = opened.txid or coin.txid
        return coin

    def _signing(self, opened: Opened) -> dict[str, SigningKeys]:
        """Everybody's keys. One that should have been destroyed is a copy that its holder kept."""
        kept = {
            role.name: EphemeralKey(self._ephemeral(role.name, opened.index))
            for role in opened.vault.policy.roles
            if role.key is KeyKind.EPHEMERAL
        }
        return {**opened.keys, **kept}

    def _ephemeral(self, role: str, index: int) -> bytes:
        return derive_seed(self._chain.seed, name=f"{role}, once, {index}")
