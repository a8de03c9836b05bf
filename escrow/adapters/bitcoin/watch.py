"""What Bitcoin says of each vault, as commands. Stateless: every look starts from the chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.taken import path_taken, recovery_path
from escrow.adapters.bitcoin.vault import Vault
from escrow.core.decide import Command
from escrow.core.errors import Rejected
from escrow.core.payouts import STUCK_AFTER, Output, recognise
from escrow.core.phases import displaced, owed_burns, terms_of, without
from escrow.core.regions.loan import Accepted, Draft, Offered
from escrow.core.regions.vault import Confirming, Locked, Payout, Reorged, Seen
from escrow.core.roles import Role
from escrow.core.state import Escrow
from escrow.core.units import Sats, Seconds
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth, SawPayoutStuck, SawPayoutVoid
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.recover import SawRecovery
from escrow.core.verbs.rekey import SawGeneration
from escrow.custody.policy import ScriptKind
from escrow.ports import BitcoinView, OutPoint


def vault_script(witness_program: str, *, kind: ScriptKind) -> bytes:
    """The output script of a vault that the terms name: P2WSH (BIP-141) or P2TR (BIP-341)."""
    version = b"\x51\x20" if kind is ScriptKind.TR else b"\x00\x20"
    return version + bytes.fromhex(witness_program[2:])


class BitcoinWatch:
    """Eyes on the vaults."""

    def __init__(
        self, node: BitcoinView, *, kind: ScriptKind, vaults_of: Callable[[str], Sequence[Vault]]
    ) -> None:
        """``vaults_of`` gives every generation of a loan's vault, oldest first: only keys tell
        which path a spend took."""
        self._node = node
        self._kind = kind
        self._vaults_of = vaults_of

    def look(self, deals: Mapping[str, Escrow], *, at: int) -> Sequence[tuple[str, Command]]:
        """What changed since the deals' states were decided."""
        found: list[tuple[str, Command]] = []
        for loan, escrow in deals.items():
            if not isinstance(escrow.loan, Draft | Offered | Accepted):
                found.extend((loan, each) for each in self._vault(loan, escrow, Seconds(at)))
        return found

    def _vault(self, loan: str, escrow: Escrow, at: Seconds) -> list[Command]:
        node = self._node
        programs = [
            terms_of(escrow.loan).vault,
            *(each.program for each in escrow.vault.generations),
        ]
        scripts = [vault_script(each, kind=self._kind) for each in programs]
        there = {
            str(c.outpoint): c
            for script in scripts
            for c in (*node.coins(script), *node.pending(script))
        }
        known = {coin.outpoint: coin for coin in escrow.vault.coins}
        commands: list[Command] = []
        spends: dict[str, list[str]] = {}
        for coin in escrow.vault.coins:
            if not isinstance(coin.status, Seen | Confirming | Locked | Reorged):
                continue
            spender = node.spender(OutPoint.parse(coin.outpoint))
            if spender is not None:
                spends.setdefault(spender, []).append(coin.outpoint)
            elif coin.outpoint in there:
                continue
            elif coin.change and node.depth(coin.outpoint.partition(":")[0]) is None:
                # Thrown out with its payout, which is due to be sent again.
                commands.append(SawCoin(Role.WATCHER, at, coin.outpoint, coin.sats, 0))
            else:
                commands.append(SawCoinGone(Role.WATCHER, at, coin.outpoint, ""))
        # What took the place of a payout is made known by itself, with the change it gives.
        fresh = {
            node.spender(OutPoint.parse(each))
            for payout in escrow.vault.payouts
            if node.depth(payout.txid) is None
            for each in payout.inputs
        }
        for outpoint, found in there.items():
            if node.spender(found.outpoint) is not None and outpoint in known:
                continue
            # The change of a payout is made known by the payout.
            if found.outpoint.txid in spends or found.outpoint.txid in fresh:
                continue
            depth = node.height - found.height + 1 if found.height else 0
            commands.append(SawCoin(Role.WATCHER, at, outpoint, found.sats, depth, found.height))
        commands = [c for c in commands if not _is_old(escrow, c)]
        for outpoint, coin in known.items():
            pays = there[outpoint].script_pubkey if outpoint in there else scripts[coin.generation]
            if pays != scripts[coin.generation]:
                number = scripts.index(pays)
                commands.append(SawGeneration(Role.WATCHER, at, outpoint, number))
        for txid, outpoints in spends.items():
            commands.extend(self._spend(loan, escrow, txid, outpoints, at, scripts))
        for payout in escrow.vault.payouts:
            commands.extend(self._payout(escrow, payout, at))
            if node.depth(payout.txid) is None:
                commands.extend(self._displaced(loan, escrow, payout, at, scripts))
        return commands

    def _payout(self, escrow: Escrow, payout: Payout, at: Seconds) -> list[Command]:
        """Is it deeper or shallower than was known, or do blocks pass it by?"""
        depth = self._node.depth(payout.txid) or 0
        stuck = payout.txid in escrow.vault.stuck
        final = depth >= terms_of(escrow.loan).confirmations
        if final != payout.final or (depth and stuck):
            return [SawPayoutDepth(Role.WATCHER, at, payout.txid, depth)]
        waited = self._node.waited(payout.txid) or 0
        if waited >= STUCK_AFTER and not stuck:
            return [SawPayoutStuck(Role.WATCHER, at, payout.txid, waited)]
        return []

    def _displaced(
        self,
        loan: str,
        escrow: Escrow,
        payout: Payout,
        at: Seconds,
        scripts: Sequence[bytes],
    ) -> list[Command]:
        """A payout that is nowhere: did another take its place, or is a coin of it gone for good?

        If neither, it is due to be sent again.
        """
        node, final = self._node, terms_of(escrow.loan).confirmations
        change = {coin.outpoint for coin in escrow.vault.coins if coin.change}
        for each in payout.inputs:
            spender = node.spender(OutPoint.parse(each))
            if spender is None:
                # Change that is missing comes back with its own payout, which is sent again.
                if each not in change and node.depth(each.partition(":")[0]) is None:
                    return [SawPayoutVoid(Role.WATCHER, at, payout.txid, "")]
                continue
            for command in self._spend(loan, escrow, spender, [each], at, scripts):
                if isinstance(command, SawPayout):
                    return [command]
            if (node.depth(spender) or 0) >= final:
                return [SawPayoutVoid(Role.WATCHER, at, payout.txid, spender)]
        # A sweep paid nobody, so nobody is owed another: the coins are where they were.
        return [] if payout.paid else [SawPayoutVoid(Role.WATCHER, at, payout.txid, "")]

    def _spend(
        self,
        loan: str,
        escrow: Escrow,
        txid: str,
        outpoints: list[str],
        at: Seconds,
        scripts: Sequence[bytes],
    ) -> list[Command]:
        """A spend is a payout, a recovery, or a theft."""
        raw = self._node.transaction(txid)
        assert raw is not None
        tx = read_transaction(raw)
        value = {coin.outpoint: coin.sats for coin in escrow.vault.coins}
        inputs = tuple(f"{vin.prev_out.tx_id.hex()}:{vin.prev_out.vout}" for vin in tx.vin)
        if at >= terms_of(escrow.loan).recover_at:
            vaults = self._vaults_of(loan)
            vault = {coin.outpoint: vaults[coin.generation] for coin in escrow.vault.coins}
            taken = {
                path_taken(vault[each], tx, number, sats=value[each])
                for number, each in enumerate(inputs)
                if each in value
            }
            if taken == {recovery_path(vaults[0])} - {""}:
                return [SawRecovery(Role.WATCHER, at, txid, tuple(outpoints))]
        # What it displaces pays nothing any more.
        alone = without(escrow, displaced(escrow, inputs))
        ours = tuple(each for each in inputs if each in value)
        for script in reversed(scripts):
            with suppress(Rejected):
                payout: Payout = recognise(
                    [Output(out.script_pub_key.script.hex(), Sats(out.value)) for out in tx.vout],
                    txid=txid,
                    inputs=ours,
                    spent=Sats(sum(value[i] for i in ours)),
                    owed=owed_burns(alone),
                    vault_script=script.hex(),
                    others=len(ours) < len(inputs),
                )
                return [SawPayout(Role.WATCHER, at, payout)]
        return [SawCoinGone(Role.WATCHER, at, each, txid) for each in outpoints]


def _is_old(escrow: Escrow, command: Command) -> bool:
    """Has the core been told this already? Spares a decision for every coin at every look."""
    if not isinstance(command, SawCoin):
        return False
    coin = next((c for c in escrow.vault.coins if c.outpoint == command.outpoint), None)
    if coin is None:
        return False
    final = command.depth >= terms_of(escrow.loan).confirmations
    match coin.status:
        case Seen():
            return command.depth == 0
        case Confirming(height=height):
            return command.height == height and not final
        case Locked(height=height):
            return command.height == height and final
        case _:
            return False
