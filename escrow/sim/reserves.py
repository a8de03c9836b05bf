"""The signed statement of a world's reserves."""

from __future__ import annotations

from functools import partial

from escrow.actors.observer import View
from escrow.actors.prover import Voucher, prove
from escrow.actors.signers import SoftwareSigner
from escrow.actors.statement import Statement
from escrow.adapters.bitcoin.musig import MusigSigner
from escrow.world import World


def prove_world(world: World) -> Statement:
    """What the vaults of all loans hold, as of now, signed by their quorums; silent parties do not
    sign.

    Raises as ``escrow.actors.prover.prove``.
    """
    world.settle()
    custodies = {deal.id: world.custody_of(deal.id) for deal in world.loans}
    view = View(world.bitcoin, world.evm, custodies, lambda: world.now)
    # In a world, each role has the party of its name. What it draws here is not what its payouts
    # would: a proof leaves the world's future as it was.
    answering = [
        Voucher(
            SoftwareSigner(party.keys, name=name),
            role=name,
            view=view,
            musig=MusigSigner(party.keys),
            session=partial(world.streams.fresh, f"reserves/{name}"),
        )
        for name, party in world.parties.items()
        if name not in world.silent
    ]
    return prove(view, vouchers=answering)
