"""What Bitcoin says of each vault, as commands. Stateless: every look starts from the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from escrow.adapters.bitcoin.policy import read_transaction
from escrow.core.decide import Command
from escrow.core.errors import Rejected
from escrow.core.payouts import Output, recognise
from escrow.core.phases import owed_burns, terms_of
from escrow.core.regions.loan import Accepted, Draft, Offered
from escrow.core.regions.vault import Confirming, Locked, Payout, Reorged, Seen
from escrow.core.roles import Role
from escrow.core.state import Escrow
from escrow.core.units import Sats, Seconds
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.recover import SawRecovery
from escrow.ports import BitcoinView, OutPoint

_RECOVERY_STACK = 6
"""Witness items of a recovery: signature, key, three empty for the quorum not met, script. A
quorum's spend has four."""


def vault_script(witness_program: str) -> bytes:
    """The output script of a vault that the terms name (P2WSH, BIP-141)."""
    return b"\x00\x20" + bytes.fromhex(witness_program[2:])


class BitcoinWatch:
    """Eyes on the vaults."""

    def __init__(self, node: BitcoinView) -> None:
        self._node = node

    def look(self, deals: Mapping[str, Escrow], *, at: int) -> Sequence[tuple[str, Command]]:
        """What changed since the deals' states were decided."""
        found: list[tuple[str, Command]] = []
        for loan, escrow in deals.items():
            if not isinstance(escrow.loan, Draft | Offered | Accepted):
                found.extend((loan, command) for command in self._vault(escrow, Seconds(at)))
        return found

    def _vault(self, escrow: Escrow, at: Seconds) -> list[Command]:
        node = self._node
        script = vault_script(terms_of(escrow.loan).vault)
        there = {str(c.outpoint): c for c in (*node.coins(script), *node.pending(script))}
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
        for outpoint, found in there.items():
            if node.spender(found.outpoint) is not None and outpoint in known:
                continue
            # The change of a payout is made known by the payout.
            if found.outpoint.txid in spends:
                continue
            depth = node.height - found.height + 1 if found.height else 0
            commands.append(SawCoin(Role.WATCHER, at, outpoint, found.sats, depth, found.height))
        commands = [c for c in commands if not _is_old(escrow, c)]
        for txid, outpoints in spends.items():
            commands.extend(self._spend(escrow, txid, outpoints, at, script.hex()))
        for payout in escrow.vault.payouts:
            depth = node.depth(payout.txid) or 0
            if (depth >= terms_of(escrow.loan).confirmations) != payout.final:
                commands.append(SawPayoutDepth(Role.WATCHER, at, payout.txid, depth))
        return commands

    def _spend(
        self, escrow: Escrow, txid: str, outpoints: list[str], at: Seconds, script: str
    ) -> list[Command]:
        """A spend is a payout, a recovery, or a theft."""
        raw = self._node.transaction(txid)
        assert raw is not None
        tx = read_transaction(raw)
        recovery = all(len(vin.script_witness.stack) == _RECOVERY_STACK for vin in tx.vin)
        if recovery and at >= terms_of(escrow.loan).recover_at:
            return [SawRecovery(Role.WATCHER, at, txid, tuple(outpoints))]
        value = {coin.outpoint: coin.sats for coin in escrow.vault.coins}
        inputs = tuple(f"{vin.prev_out.tx_id.hex()}:{vin.prev_out.vout}" for vin in tx.vin)
        try:
            if not set(inputs) <= set(value):
                raise Rejected("payout/not-locked", txid=txid)
            payout: Payout = recognise(
                [Output(out.script_pub_key.script.hex(), Sats(out.value)) for out in tx.vout],
                txid=txid,
                inputs=inputs,
                spent=Sats(sum(value[i] for i in inputs)),
                owed=owed_burns(escrow),
                vault_script=script,
            )
        except Rejected:
            return [SawCoinGone(Role.WATCHER, at, each, txid) for each in outpoints]
        return [SawPayout(Role.WATCHER, at, payout)]


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
