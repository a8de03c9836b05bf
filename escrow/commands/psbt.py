"""``escrow psbt``: a cosigner's desk for PSBT files, so that it can sit anywhere.

The files are those of every other wallet. What is written is in the form of what was read,
base64 or binary. MuSig2 is not here: its secret nonces must not outlive the process that made
them, so its two rounds need a program that stays (``escrow.adapters.bitcoin.musig``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from escrow.core.errors import BadInput

if TYPE_CHECKING:
    from escrow.adapters.bitcoin.psbt import Psbt

app = typer.Typer(
    help="Look at, sign, combine and finalise PSBT files (BIP-174, version 0 and 2).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(help="A PSBT, base64 or binary.")]
Out = Annotated[Path, typer.Option("--out", help="File to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]

_MAX_WORDS_FILE: Final = 4_096


@app.command()
def show(
    file: File,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of text.")
    ] = False,
) -> None:
    """Say in words what a PSBT does: coins, payments, fee, who signed, what is missing."""
    from escrow.adapters.bitcoin.psbt_file import read_psbt
    from escrow.words import jsonable

    psbt, _ = read_psbt(file)
    found = described(psbt)
    if as_json:
        print(json.dumps(jsonable(found), ensure_ascii=False, indent=2))
    else:
        print("\n".join(in_words(found)))


@app.command()
def sign(
    file: File,
    out: Out,
    words_file: Annotated[
        Path, typer.Option(help="File with the BIP-39 words. Words never go on a command line.")
    ],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File with the BIP-39 passphrase, if there is one.")
    ] = None,
    force: Force = False,
) -> None:
    """Add the signatures of a wallet's keys: BIP-48 for vaults, BIP-84 for its own coins."""
    from escrow.adapters.bitcoin.keys import Keys
    from escrow.adapters.bitcoin.psbt import sign as signed_by
    from escrow.adapters.bitcoin.psbt_file import as_file, read_psbt, write_new

    psbt, binary = read_psbt(file)
    passphrase = "" if passphrase_file is None else _line(passphrase_file)
    keys = Keys.from_mnemonic(_line(words_file), passphrase=passphrase)
    write_new(out, as_file(signed_by(psbt, keys=keys), binary=binary), force=force)
    print(f"{out}: signed by {keys.name}")


@app.command()
def combine(
    files: Annotated[list[Path], typer.Argument(help="Copies of one PSBT.")],
    out: Out,
    force: Force = False,
) -> None:
    """Merge the signatures of several copies of one PSBT."""
    from escrow.adapters.bitcoin.psbt import combine as combined
    from escrow.adapters.bitcoin.psbt_file import as_file, read_psbt, write_new

    read = [read_psbt(each) for each in files]
    whole = combined([psbt for psbt, _ in read])
    write_new(out, as_file(whole, binary=read[0][1]), force=force)
    print(f"{out}: {len(read)} copies of {whole.txid}")


@app.command()
def finalize(
    file: File,
    out: Out,
    extract: Annotated[
        bool, typer.Option("--extract", help="Write the transaction in hex, to be broadcast.")
    ] = False,
    force: Force = False,
) -> None:
    """Build the witnesses once enough signatures are there."""
    from escrow.adapters.bitcoin import psbt as roles
    from escrow.adapters.bitcoin.psbt_file import as_file, read_psbt, write_new

    psbt, binary = read_psbt(file)
    final = roles.finalize(psbt)
    if extract:
        raw = roles.extract(final)
        write_new(out, f"{raw.hex()}\n".encode(), force=force)
        print(f"{out}: transaction {final.txid}")
        return
    write_new(out, as_file(final, binary=binary), force=force)
    print(f"{out}: final PSBT of {final.txid}")


def described(psbt: Psbt) -> dict[str, object]:
    """What a PSBT does, as JSON shows it. Raises as ``inspect``."""
    from escrow.adapters.bitcoin.psbt import asked, estimated_vsize, inspect, missing

    spend = inspect(psbt)
    vsize = estimated_vsize(psbt)
    inputs = [
        {
            "coin": str(each.outpoint),
            "sats": each.sats,
            "from": _place(each.script_pubkey),
            "signed_by": [_key(key, named) for key in sorted(each.signed_by)],
            "not_signed": [_key(key, named) for key in sorted(named.keys() - each.signed_by)],
            "final": each.final,
            "missing": lacks,
        }
        for each, named, lacks in zip(spend.inputs, asked(psbt), missing(psbt), strict=True)
    ]
    own = {each.script_pubkey for each in spend.inputs}
    outputs = [
        {
            "sats": each.sats,
            "to": _place(each.script_pubkey),
            "change": each.script_pubkey in own,
        }
        for each in spend.outputs
    ]
    return {
        "txid": spend.txid,
        "version": psbt.version,
        "inputs": inputs,
        "outputs": outputs,
        "fee": spend.fee,
        "vsize": vsize,
        "sat_per_vb": None if not vsize else _ratio(spend.fee, vsize),
        "locktime": spend.locktime,
    }


def in_words(found: dict[str, object]) -> list[str]:
    """The same for people."""
    from escrow.adapters.bitcoin.policy import LOCKTIME_THRESHOLD
    from escrow.words import coins, moment

    inputs, outputs = found["inputs"], found["outputs"]
    assert isinstance(inputs, list)
    assert isinstance(outputs, list)
    lines = [f"Transaction {found['txid']} (PSBT version {found['version']})"]
    for each in inputs:
        lines.append(f"  spends {coins(each['sats'])} of {each['from']}, coin {each['coin']}")
        if each["final"]:
            lines.append("    its witness is built")
            continue
        lines += [f"    signed by   {key}" for key in each["signed_by"]]
        lines += [f"    not signed  {key}" for key in each["not_signed"]]
        lines.append(f"    {_lacks(each['missing'])}")
    for each in outputs:
        word = "back to" if each["change"] else "to"
        lines.append(f"  pays {coins(each['sats'])} {word} {each['to']}")
    rate = "" if found["sat_per_vb"] is None else f", about {found['sat_per_vb']} sat/vB"
    lines.append(f"  fee {found['fee']} sats{rate}")
    locktime = found["locktime"]
    assert isinstance(locktime, int)
    if locktime:
        is_time = locktime >= LOCKTIME_THRESHOLD
        until = f"{moment(locktime)} UTC, block time" if is_time else f"block {locktime}"
        lines.append(f"  not before {until}")
    return lines


def _lacks(count: int | None) -> str:
    if count is None:
        return "no signature completes it: its locks do not fit, or its script is too large to tell"
    if count == 0:
        return "has all the signatures it needs"
    return f"needs {count} more {'signature' if count == 1 else 'signatures'}"


def _key(key: bytes, named: object) -> str:
    origin = named.get(key, "") if isinstance(named, dict) else ""
    return f"{key.hex()} [{origin}]" if origin else key.hex()


def _place(script: bytes) -> str:
    from escrow.adapters.bitcoin.vault import address_of

    try:
        return address_of(script)
    except BadInput:
        return f"script {script.hex()}"


def _ratio(fee: int, vsize: int) -> str:
    tenths = fee * 10 // vsize
    return f"{tenths // 10}.{tenths % 10}"


def _line(path: Path) -> str:
    """The text of a small file that holds a secret: never repeated in an error."""
    from escrow.adapters.bitcoin.psbt_file import read_bounded

    try:
        return read_bounded(path, most=_MAX_WORDS_FILE).decode().strip("\r\n")
    except UnicodeDecodeError:
        raise BadInput("signer/mnemonic", reason="not text") from None
