// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

import "./Ours.sol";

/// What of the checkers' own calls is used here.
interface Vm {
    function assume(bool condition) external pure;
    function getCode(string calldata file) external view returns (bytes memory);
    function load(address target, bytes32 slot) external view returns (bytes32);
    function prank(address sender) external;
    function store(address target, bytes32 slot, bytes32 word) external;
    function warp(uint256 time) external;
}

/// A holder's word in a token, and a loan's in the book: what is in them. Properties take whole words
/// and say of all bits at once what becomes of them, which makes fewer cases than member by member.
library Word {
    uint256 internal constant MASK_40 = 2 ** 40 - 1;
    uint256 internal constant MASK_64 = 2 ** 64 - 1;

    function balance(uint256 account) internal pure returns (uint256) {
        return account & MASK_64;
    }

    function frozen(uint256 account) internal pure returns (uint256) {
        return (account >> 64) & MASK_64;
    }

    function held(uint256 account) internal pure returns (uint256) {
        return (account >> 128) & MASK_64;
    }

    function until(uint256 account) internal pure returns (uint256) {
        return (account >> 192) & MASK_40;
    }

    /// The book may spend without end.
    function endless(uint256 account) internal pure returns (bool) {
        return account & 2 ** 232 != 0;
    }

    function burns(uint256 account) internal pure returns (uint256) {
        return account >> 233;
    }

    function spendable(uint256 account) internal pure returns (uint256) {
        return monus(balance(account), held(account) + frozen(account));
    }

    function monus(uint256 a, uint256 b) internal pure returns (uint256 c) {
        assembly {
            c := mul(gt(a, b), sub(a, b))
        }
    }
}

/// Without a jump: `&&` and `||` would make a case of each side.
function both(bool a, bool b) pure returns (bool c) {
    assembly {
        c := and(a, b)
    }
}

function either(bool a, bool b) pure returns (bool c) {
    assembly {
        c := or(a, b)
    }
}

function least(uint256 a, uint256 b) pure returns (uint256 c) {
    assembly {
        c := xor(b, mul(xor(a, b), lt(a, b)))
    }
}

/// The five contracts, deployed as they are, and words put straight into their storage: a property
/// then speaks of every state that such words describe, not only of those that a story led to.
abstract contract Lab {
    using Word for uint256;

    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    address internal constant BORROWER = address(0xB0);
    address internal constant LENDER = address(0x1E);
    address internal constant ARBITER = address(0xA6);
    address internal constant ISSUER = address(0x15);
    address internal constant AUTHORITY = address(0xA0);
    address internal constant REGISTRAR = address(0x6E);
    address internal constant GUARDIAN = address(0x6A);

    uint256 internal constant OPENED = 1;
    uint256 internal constant ACTIVE = 2;
    uint256 internal constant MARGIN_CALL = 3;
    uint256 internal constant LIQUIDATING = 4;
    uint256 internal constant REPAID = 5;
    uint256 internal constant SEIZED = 6;
    uint256 internal constant DISPUTED = 32;

    uint256 internal constant NOW = 1_740_000_000;
    uint256 internal constant HEARTBEAT = 3_600;
    uint256 internal constant MAX_TIME = 2 ** 40 - 1;
    uint256 internal constant MAX_SATS = 2_100_000_000_000_000;

    /// Whether halmos runs this, for all arguments at once, or forge, for some that it draws.
    bool internal symbolic;
    Registry internal registry;
    CashToken internal cash;
    PriceRounds internal prices;
    PledgeToken internal pledge;
    EscrowBook internal book;

    function setUp() public virtual {
        vm.warp(NOW);
        address[] memory signers = new address[](1);
        signers[0] = address(0x51);
        (address c, address p, address b) = ahead();
        registry = Registry(create("Registry", abi.encode(REGISTRAR, c, p)));
        cash = CashToken(
            create("CashToken", abi.encode("Test rouble", "TRUB", ISSUER, AUTHORITY, registry, b))
        );
        prices = PriceRounds(
            create("PriceRounds", abi.encode(signers, 1, 1, HEARTBEAT, 1_000, GUARDIAN, 86_400))
        );
        pledge = PledgeToken(
            create("PledgeToken", abi.encode(signers, 1, 86_400, AUTHORITY, registry, b, MAX_SATS))
        );
        book = EscrowBook(create("EscrowBook", abi.encode(cash, pledge, prices, registry, 2 ** 63)));
        assert(address(cash) == c && address(pledge) == p && address(book) == b);
    }

    // Deploying

    function create(string memory name, bytes memory arguments) internal returns (address made) {
        bytes memory file = abi.encodePacked("code/", name, ".json");
        return create(abi.encodePacked(vm.getCode(string(file)), arguments));
    }

    function create(bytes memory code) internal returns (address made) {
        assembly {
            made := create(0, add(code, 32), mload(code))
        }
        assert(made != address(0));
    }

    /// Where cash, pledge and book will be. The EVM hashes the nonce of this contract. halmos counts
    /// all that is created, the two contracts that keep signers as well.
    function ahead() private returns (address c, address p, address b) {
        uint160 first = uint160(create(hex"600080f3")) + 1;
        symbolic = first >> 16 == 0xaaaa;
        if (symbolic) return (address(first + 1), address(first + 4), address(first + 6));
        return (nth(3), nth(5), nth(6));
    }

    function nth(uint8 nonce) private view returns (address) {
        bytes memory rlp = abi.encodePacked(hex"d694", address(this), nonce);
        return address(uint160(uint256(keccak256(rlp))));
    }

    /// An argument of so many bits. What forge draws is folded to what is likely, so that it meets all
    /// sides of a rule; halmos takes whatever can be.
    function some(uint256 drawn, uint256 bits, uint256 likely) internal view returns (uint256) {
        return symbolic ? drawn & 2 ** bits - 1 : drawn % (likely + 1);
    }

    /// An argument of so many bits up to another one.
    function upTo(uint256 drawn, uint256 bits, uint256 most) internal view returns (uint256 cut) {
        if (!symbolic) return drawn % (most + 1);
        cut = drawn & 2 ** bits - 1;
        vm.assume(cut <= most);
    }

    // Storage

    function put(address target, uint256 slot, bytes32 word) internal {
        vm.store(target, bytes32(slot), word);
    }

    /// The word of a key of a HashMap, as Vyper places it.
    function put(address target, uint256 map, bytes32 key, bytes32 word) internal {
        vm.store(target, keccak256(abi.encode(map, key)), word);
    }

    function at(address target, uint256 map, bytes32 key) internal view returns (bytes32) {
        return vm.load(target, keccak256(abi.encode(map, key)));
    }

    function key(address account) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    /// Both tokens keep accounts in the same slot: they are one library's.
    function put(address token, address holder, uint256 account) internal {
        put(token, Slot.CashToken_accounts, key(holder), bytes32(account));
    }

    function wordOf(address token, address holder) internal view returns (uint256) {
        return uint256(at(token, Slot.CashToken_accounts, key(holder)));
    }

    function put(bytes32 id, uint256 loan) internal {
        put(address(book), Slot.EscrowBook_loans, id, bytes32(loan));
    }

    function wordOf(bytes32 id) internal view returns (uint256) {
        return uint256(at(address(book), Slot.EscrowBook_loans, id));
    }

    /// What a loan has pledged; all that was minted for it is.
    function hold(bytes32 id, uint256 sats) internal {
        put(address(pledge), Slot.PledgeToken_loans, id, bytes32(pledged(BORROWER, sats, sats)));
    }

    function pledged(address holder, uint256 sats, uint256 outstanding) internal pure returns (uint256) {
        return (uint256(uint160(holder)) >> 32) << 128 | sats << 64 | outstanding;
    }

    function approve(address token, address owner, address spender, uint256 amount) internal {
        bytes32 inner = keccak256(abi.encode(Slot.CashToken_allowances, owner));
        vm.store(token, keccak256(abi.encode(inner, spender)), bytes32(amount));
    }

    /// A price below 2**60, reported then; `lost` is what the active clock lacks.
    function feed(uint256 price, uint256 at_, uint256 lost) internal {
        uint256 word = price | at_ << 60 | 1 << 100 | lost << 132;
        put(address(prices), Slot.PriceRounds_packed, bytes32(word));
    }

    // Acting

    /// A refusal with this code, as the contracts say it.
    function code(bytes memory answer, string memory reason) internal pure returns (bool) {
        return keccak256(answer) == keccak256(abi.encodeWithSignature("Error(string)", reason));
    }

    function sends(address who, address target, bytes memory data) internal returns (bool done) {
        vm.prank(who);
        (done,) = target.call(data);
    }

    function asks(address who, bytes memory data) internal returns (bool done) {
        return sends(who, address(book), data);
    }

    /// Sound terms, for a property to change.
    function terms() internal pure returns (Terms memory t) {
        t.borrower = BORROWER;
        t.lender = LENDER;
        t.principal = 2 ** 63 - 1;
        t.rate_bps = 2_300;
        t.initial_ltv = 5_000;
        t.restore_ltv = 6_000;
        t.call_ltv = 7_000;
        t.liquidation_ltv = 8_500;
        t.cure = 86_400;
        t.expires_at = NOW;
        t.draw_by = NOW + 10 days;
        t.maturity = NOW + 365 days;
        t.grace = 10 days;
        t.recover_at = NOW + 400 days;
        t.confirmations = 6;
        t.bonus_bps = 500;
        t.max_fee = 50_000;
        t.nonce = 1;
        t.arbiter = ARBITER;
        t.dispute = 3 days;
    }

    /// The same, to be sold in an auction.
    function auction() internal pure returns (Terms memory t) {
        t = terms();
        t.liquidation = 3;
        t.bonus_bps = 0;
        t.buf_bps = 12_000;
        t.cut_bps = 9_900;
        t.step = 90;
        t.tail = 8_400;
        t.cusp_bps = 4_000;
    }
}

/// All that a level is compared with: every loan that may be, every second after it was written, every
/// rate that terms may have, and every amount of coins at every price of every age.
struct Case {
    uint256 principal;
    uint256 interest_acc;
    uint256 accrued_to;
    uint256 deadline;
    uint256 time;
    uint256 rate;
    uint256 held;
    uint256 price;
    uint256 at;
    uint256 lost;
}

/// Debt and coins are compared as whole products: debt x 10**18 with level x held x price. Told before
/// the book computes them, so that halmos need not follow what would happen if one did not fit.
struct Scale {
    uint256 debt;
    uint256 worth;
}

abstract contract Cases is Lab {
    using Word for uint256;

    /// Puts a loan of these terms into this state, and cuts what is given to what can be. Changes the
    /// terms' rate.
    function given(Terms memory t, uint256 phase, Case memory c) internal returns (bytes32 id) {
        c.principal = some(c.principal, 63, 10 ** 12);
        c.interest_acc = some(c.interest_acc, 101, 10 ** 23);
        c.time = some(c.time, 40, 2 ** 32);
        c.accrued_to = upTo(c.accrued_to, 40, c.time);
        c.deadline = some(c.deadline, 40, 2 ** 32);
        c.rate = some(c.rate, 17, 10_000);
        c.held = some(c.held, 62, 10 ** 10);
        c.price = some(c.price, 60, 10 ** 14);
        c.at = symbolic ? upTo(c.at, 40, c.time) : Word.monus(c.time, (c.time ^ c.at) % 7_200);
        c.lost = upTo(c.lost, 40, c.at);
        t.rate_bps = c.rate;
        id = book.loan_id(t);
        vm.warp(c.time);
        put(id, word(phase, c));
        hold(id, c.held);
        feed(c.price, c.at, c.lost);
    }

    function word(uint256 phase, Case memory c) internal pure returns (uint256) {
        return phase | c.principal << 8 | c.accrued_to << 72 | c.deadline << 112 | c.interest_acc << 152;
    }

    function fresh(Case memory c) internal pure returns (bool) {
        return both(c.price != 0, c.time <= c.at + HEARTBEAT);
    }

    /// What the book compares for a level; loan-to-value is at the level where they are equal.
    function scale(uint256 debt, uint256 level, uint256 held, uint256 price) internal pure returns (Scale memory s) {
        s.debt = product(debt, 10 ** 18);
        s.worth = product(product(level, held), price);
    }

    /// A product that fits into a word. That it does, is what checked multiplication asks.
    function product(uint256 a, uint256 b) internal pure returns (uint256 c) {
        bool fits;
        assembly {
            c := mul(a, b)
            fits := and(or(iszero(b), eq(div(c, b), a)), or(iszero(a), eq(div(c, a), b)))
        }
        vm.assume(fits);
    }

    /// A called loan's token holder and the lender's cash, as good as they can be.
    function rich() internal {
        uint256 word = MAX_TIME << 192 | 2 ** 62;
        put(address(cash), LENDER, word | 2 ** 232);
        put(address(cash), BORROWER, MAX_TIME << 192 | 2 ** 232);
        put(address(pledge), BORROWER, word | 2 ** 62 << 128);
    }
}
