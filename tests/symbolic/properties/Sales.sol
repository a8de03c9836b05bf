// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

import "./Lab.sol";

/// Where coins and cash of a liquidation go. The second of a sale is the one in which its interest was
/// brought up to date: how interest grows is not asked here.
contract Sales is Cases {
    using Word for uint256;

    address private constant BUYER = address(0xB1);

    /// What a sale did.
    struct Sale {
        bytes32 id;
        uint256 debt;
        uint256 borrower;
        uint256 taker;
        uint256 payer;
        bool over;
        uint256 seized;
        uint256 kept;
        uint256 paid;
        uint256 left;
    }

    /// A called loan whose time is up, and a taker that has all it may need.
    function given(Terms memory t, Case memory c, address taker) private returns (Sale memory s) {
        (c.rate, c.lost) = (0, 0);
        (c.time, c.at, c.accrued_to) = (NOW, NOW, NOW);
        s.id = given(t, LIQUIDATING, c);
        vm.assume(both(c.principal != 0, c.price != 0));
        s.debt = book.owed(t);
        s.borrower = MAX_TIME << 192 | c.held << 128 | c.held;
        s.taker = MAX_TIME << 192;
        s.payer = MAX_TIME << 192 | 2 ** 232 | 2 ** 64 - 1;
        put(address(pledge), BORROWER, s.borrower);
        put(address(pledge), taker, s.taker);
        put(address(cash), LENDER, uint256(0));
        if (taker != LENDER) put(address(cash), taker, s.payer);
        put(address(book), Slot.EscrowBook_auction_debt, bytes32(c.principal));
    }

    /// Tokens and cash are where they should be: all that was pledged is seized, given back or kept.
    function settled(Terms memory t, Case memory c, Sale memory s, address taker) private view {
        s.over = uint8(wordOf(s.id)) == SEIZED;
        s.kept = pledge.held(s.id);
        s.seized = wordOf(address(pledge), taker) - s.taker;
        s.paid = cash.balanceOf(LENDER);
        s.left = s.over ? 0 : book.owed(t);
        assert(s.seized + s.kept <= c.held);
        assert(wordOf(address(pledge), BORROWER) == s.borrower - s.seized - ((c.held - s.kept) << 128));
        assert(either(!s.over, s.kept == 0));
        if (taker != LENDER) assert(wordOf(address(cash), taker) == s.payer - s.paid);
    }

    function sale(Case memory c, uint256 kind) private returns (Terms memory t, Sale memory s) {
        t = terms();
        (t.liquidation, t.fee_bps) = (kind, 250);
        if (kind == 2) (t.target_ltv, t.min_left) = (5_500, 100_000);
        s = given(t, c, kind == 0 ? LENDER : BUYER);
        // Products that the book will ask whether they fit.
        product(product(c.held, c.price), 10_000);
        product(s.debt, 10_000);
    }

    /// @notice A take-over leaves no token behind: what the lender does not seize is the borrower's to spend again, and no cash moves.
    function test_take_over_tokens(Case memory c) external {
        (Terms memory t, Sale memory s) = sale(c, 0);
        bool done = asks(LENDER, abi.encodeCall(EscrowBook.take_over, (t)));
        if (!done) return;
        settled(t, c, s, LENDER);
        assert(both(s.over, s.paid == 0));
    }

    /// @notice A sale to a third party: all that was pledged is seized, given back or kept; the buyer pays the lender, within the limits that it named.
    function test_third_party_tokens(Case memory c, uint64 max_pay, uint64 min_sats) external {
        (Terms memory t, Sale memory s) = sale(c, 1);
        bool done = asks(BUYER, abi.encodeCall(EscrowBook.liquidate, (t, max_pay, min_sats)));
        if (!done) return;
        settled(t, c, s, BUYER);
        assert(both(s.paid <= max_pay, s.seized >= min_sats));
    }

    /// @notice A sale to a target: all that was pledged is seized, given back or kept; the buyer pays the lender.
    function test_partial_tokens(Case memory c) external {
        (Terms memory t, Sale memory s) = sale(c, 2);
        bool done = asks(BUYER, abi.encodeCall(EscrowBook.liquidate, (t, type(uint256).max, 0)));
        if (!done) return;
        settled(t, c, s, BUYER);
    }

    /// @notice A take from an auction: all that was pledged is seized, given back or kept; the buyer pays the lender, for no more tokens than it wants.
    function test_auction_tokens(Case memory c, uint64 want) external {
        Terms memory t = auction();
        t.fee_bps = 250;
        c.deadline = NOW;
        Sale memory s = given(t, c, BUYER);
        bool done = asks(BUYER, abi.encodeCall(EscrowBook.take, (t, want, type(uint256).max)));
        if (!done) return;
        settled(t, c, s, BUYER);
        assert(s.seized <= want);
    }
}
