// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

import "./Lab.sol";

/// Each level and each moment decides exactly where it says, in every state.
contract Levels is Cases {
    /// @notice A margin call is made exactly when a fresh price puts an active loan at the call level or above; the deadline is the cure time later, on the active clock.
    function test_call_level(Case memory c, uint16 level) external {
        Terms memory t = terms();
        t.call_ltv = level;
        bytes32 id = given(t, ACTIVE, c);
        Scale memory s = scale(book.owed(t), level, c.held, c.price);
        bool called = asks(LENDER, abi.encodeCall(EscrowBook.margin_call, (t)));
        assert(called == both(fresh(c), s.debt >= s.worth));
        uint256 deadline = c.time - c.lost + t.cure;
        if (called) assert(uint40(wordOf(id) >> 112) == (deadline < MAX_TIME ? deadline : MAX_TIME));
    }

    /// @notice A call is cured exactly when a fresh price puts the loan at the restore level or below.
    function test_restore_level(Case memory c, uint16 level) external {
        Terms memory t = terms();
        t.restore_ltv = level;
        given(t, MARGIN_CALL, c);
        Scale memory s = scale(book.owed(t), level, c.held, c.price);
        bool cured = asks(LENDER, abi.encodeCall(EscrowBook.cure, (t)));
        assert(cured == both(fresh(c), s.debt <= s.worth));
    }

    /// @notice A call expires exactly after its deadline on the active clock (at it, it is in time), when a fresh price still puts the loan at the call level or above.
    function test_cure_deadline(Case memory c, uint16 level) external {
        Terms memory t = terms();
        t.call_ltv = level;
        given(t, MARGIN_CALL, c);
        Scale memory s = scale(book.owed(t), level, c.held, c.price);
        bool late = c.time - c.lost > c.deadline;
        bool expired = asks(LENDER, abi.encodeCall(EscrowBook.expire_call, (t)));
        assert(expired == both(late, both(fresh(c), s.debt >= s.worth)));
    }

    /// @notice A disputed call does not expire.
    function test_disputed_call(Case memory c) external {
        Terms memory t = terms();
        given(t, MARGIN_CALL | DISPUTED, c);
        assert(!asks(LENDER, abi.encodeCall(EscrowBook.expire_call, (t))));
    }

    /// @notice A draw happens exactly inside the draw window (its last second included), within the principal, and when a fresh price puts the loan with what is drawn at the initial level or below.
    function test_draw_level(Case memory c, uint16 level, uint40 draw_by, uint56 amount) external {
        rich();
        Terms memory t = terms();
        (t.initial_ltv, t.draw_by) = (level, draw_by);
        given(t, ACTIVE, c);
        Scale memory s = scale(book.owed(t) + amount, level, c.held, c.price);
        bool within = both(both(amount != 0, amount <= t.principal - c.principal), c.time <= draw_by);
        bool drawn = asks(BORROWER, abi.encodeCall(EscrowBook.draw, (t, amount)));
        assert(drawn == both(within, both(fresh(c), s.debt <= s.worth)));
    }

    /// @notice Tokens are withdrawn exactly until maturity (its second included) and when a fresh price leaves the loan, without them, at the initial level or below.
    function test_withdraw_level(Case memory c, uint16 level, uint40 maturity, uint256 sats) external {
        rich();
        Terms memory t = terms();
        (t.initial_ltv, t.maturity) = (level, maturity);
        given(t, ACTIVE, c);
        sats = upTo(sats, 62, c.held);
        Scale memory s = scale(book.owed(t), level, c.held - sats, c.price);
        bool withdrawn = asks(BORROWER, abi.encodeCall(EscrowBook.withdraw, (t, sats)));
        bool may = both(both(sats != 0, c.time <= maturity), fresh(c));
        assert(withdrawn == both(may, s.debt <= s.worth));
    }

    /// @notice Collateral of a drawn loan may be realised exactly when there is some and a fresh price puts it at the liquidation level or above, or when maturity and grace are over; asked by redo, as every kind of sale asks it.
    function test_liquidation_level(Case memory c, uint16 level, uint40 maturity, uint40 grace, bool called)
        external
    {
        Terms memory t = auction();
        (t.liquidation_ltv, t.maturity, t.grace) = (level, maturity, grace);
        given(t, called ? MARGIN_CALL : ACTIVE, c);
        Scale memory s = scale(book.owed(t), level, c.held, c.price);
        bool due = either(s.debt >= s.worth, c.time > uint256(maturity) + grace);
        bool done = asks(LENDER, abi.encodeCall(EscrowBook.redo, (t)));
        assert(done == both(both(c.held != 0, fresh(c)), due));
    }

    /// @notice A loan without collateral is recovered exactly from the recovery time on, that second included.
    function test_recover_at(Case memory c, uint40 recover_at) external {
        Terms memory t = terms();
        t.recover_at = recover_at;
        given(t, ACTIVE, c);
        book.owed(t);
        bool done = asks(LENDER, abi.encodeCall(EscrowBook.recovered, (t)));
        assert(done == both(c.held == 0, c.time >= recover_at));
    }

    /// @notice An undrawn loan is anybody's to cancel exactly after its draw window, and until then, its last second included, the borrower's; the tokens come back.
    function test_cancel(uint40 time, uint40 draw_by, uint56 held, bool borrower) external {
        rich();
        Terms memory t = terms();
        t.draw_by = draw_by;
        bytes32 id = book.loan_id(t);
        put(id, OPENED);
        hold(id, held);
        vm.warp(time);
        bool done = asks(borrower ? BORROWER : ISSUER, abi.encodeCall(EscrowBook.cancel, (t)));
        assert(done == either(borrower, time > draw_by));
        assert(pledge.held(id) == (done ? 0 : held));
    }

    /// @notice A dispute is anybody's to end exactly once the arbiter's time is over; until then, its last second included, it is the arbiter's.
    function test_dispute_time(Case memory c, uint40 begun, uint40 time, bool arbiter) external {
        Terms memory t = terms();
        t.dispute = time;
        bytes32 id = given(t, MARGIN_CALL | DISPUTED, c);
        vm.assume(both(begun <= c.time, c.time <= c.at + HEARTBEAT));
        put(address(book), Slot.EscrowBook_disputes, id, bytes32(uint256(begun)));
        book.owed(t);
        bool done = asks(arbiter ? ARBITER : LENDER, abi.encodeCall(EscrowBook.resolve, (t, false)));
        assert(done == either(arbiter, c.time > uint256(begun) + time));
    }
}
