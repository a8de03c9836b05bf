"""Three people with keys and a small contract that does what can go wrong, for any EVM."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from eth_abi import encode
from eth_account import Account
from eth_hash.auto import keccak

GENESIS = 1_735_689_600
CHAIN_ID = 31_337
GWEI = 10**9
KEYS = tuple(bytes([n]) * 32 for n in (1, 2, 3))
ACCOUNTS = tuple(Account.from_key(key) for key in KEYS)
ALICE, BOB, CAROL = (bytes.fromhex(account.address[2:]) for account in ACCOUNTS)
ALLOC = {ALICE: 10**24, BOB: 10**24, CAROL: 10**15}
SOURCE = """
# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on

event Moved:
    sender: indexed(address)
    to: indexed(address)
    amount: uint256

interface Kit:
    def dive(depth: uint256) -> uint256: nonpayable

balance_of: public(HashMap[address, uint256])
slots: HashMap[uint256, uint256]

@deploy
def __init__():
    self.balance_of[msg.sender] = 10**18

@external
def move(to: address, amount: uint256):
    assert self.balance_of[msg.sender] >= amount, "token/balance"
    self.balance_of[msg.sender] -= amount
    self.balance_of[to] += amount
    log Moved(sender=msg.sender, to=to, amount=amount)

@external
def fill(start: uint256, count: uint256, number: uint256):
    for i: uint256 in range(count, bound=64):
        self.slots[start + i] = number

@external
@view
def slot(at: uint256) -> uint256:
    return self.slots[at]

@external
@payable
def fail_with(blob: Bytes[512]):
    self.balance_of[msg.sender] += 1
    raw_revert(blob)

@external
def spin():
    for i: uint256 in range(2**64):
        self.slots[0] = i

@external
@view
def world() -> (uint256, uint256, bytes32, uint256, address, address):
    return (
        block.number, block.timestamp, blockhash(block.number - 1), block.basefee, msg.sender,
        block.coinbase,
    )

@external
def peek() -> uint256:
    return 1

@external
@reentrant
def dive(depth: uint256) -> uint256:
    if depth == 0:
        return 0
    return 1 + extcall Kit(self).dive(depth - 1)

@external
@reentrant
def careful(depth: uint256):
    ok: bool = raw_call(
        self, abi_encode(depth, method_id=method_id("dive(uint256)")), revert_on_failure=False
    )
    assert ok, "inner"
"""


@dataclass
class Clock:
    """A world's clock, small."""

    now: int = GENESIS + 60

    def at_least(self, t: int, /) -> None:
        self.now = max(self.now, t)


@cache
def bytecode() -> bytes:
    from vyper import compile_code

    return bytes.fromhex(compile_code(SOURCE, output_formats=["bytecode"])["bytecode"][2:])


def sign(nonce: int, to: bytes | None, data: bytes = b"", *, who: int = 0, **over: object) -> bytes:
    fields: dict[str, object] = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "maxFeePerGas": 2 * GWEI,
        "maxPriorityFeePerGas": 0,
        "gas": 1_000_000,
        "value": 0,
        "data": data,
    }
    if to is not None:
        fields["to"] = to
    if "gasPrice" in over:
        for name in ("type", "maxFeePerGas", "maxPriorityFeePerGas"):
            del fields[name]
    return bytes(ACCOUNTS[who].sign_transaction(fields | over).raw_transaction)


def ask(signature: str, *values: object) -> bytes:
    types = signature[signature.index("(") + 1 : -1]
    return keccak(signature.encode())[:4] + encode(types.split(",") if types else [], values)


def move(amount: int, to: bytes = BOB) -> bytes:
    return ask("move(address,uint256)", to, amount)
