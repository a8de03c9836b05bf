// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

import "./Lab.sol";

/// Each entry point that is somebody's refuses everybody else, and nobody but them, where nothing else
/// stands in the way.
contract Authority is Cases {
    bytes32 private constant LOAN = bytes32(uint256(7));
    address private constant HOLDER = address(0x5E);

    /// Whoever calls: it is done exactly if that is whose it is.
    function only(address role, address caller, address target, bytes memory data) private {
        assert(sends(caller, target, data) == (caller == role));
    }

    /// A loan in a phase, as good or as bad as the function needs it.
    function loan(Terms memory t, uint256 phase, uint64 price) private returns (bytes32 id) {
        rich();
        Case memory c = Case(5_000_000, 0, NOW, 0, NOW, 2_300, 200_000_000, price, NOW, 0);
        id = given(t, phase, c);
        put(address(pledge), BORROWER, MAX_TIME << 192 | c.held << 128 | 2 ** 62);
        put(address(pledge), LENDER, MAX_TIME << 192);
        uint256 word = pledged(BORROWER, c.held, 2 ** 62);
        put(address(pledge), Slot.PledgeToken_loans, id, bytes32(word));
    }

    uint64 private constant HIGH = 100_000 * 10 ** 8;
    uint64 private constant LOW = 25_000 * 10 ** 8;

    // The book

    /// @notice Only the borrower pledges more.
    function test_only_borrower_tops_up(address caller) external {
        Terms memory t = terms();
        loan(t, ACTIVE, HIGH);
        only(BORROWER, caller, address(book), abi.encodeCall(EscrowBook.top_up, (t, 1)));
    }

    /// @notice Only the borrower draws.
    function test_only_borrower_draws(address caller) external {
        Terms memory t = terms();
        loan(t, ACTIVE, HIGH);
        only(BORROWER, caller, address(book), abi.encodeCall(EscrowBook.draw, (t, 1)));
    }

    /// @notice Only the borrower withdraws.
    function test_only_borrower_withdraws(address caller) external {
        Terms memory t = terms();
        loan(t, ACTIVE, HIGH);
        only(BORROWER, caller, address(book), abi.encodeCall(EscrowBook.withdraw, (t, 1)));
    }

    /// @notice Only the borrower disputes a call.
    function test_only_borrower_disputes(address caller) external {
        Terms memory t = terms();
        loan(t, MARGIN_CALL, HIGH);
        only(BORROWER, caller, address(book), abi.encodeCall(EscrowBook.dispute, (t)));
    }

    /// @notice Only the borrower cancels while the draw window is open.
    function test_only_borrower_cancels(address caller) external {
        Terms memory t = terms();
        loan(t, OPENED, HIGH);
        only(BORROWER, caller, address(book), abi.encodeCall(EscrowBook.cancel, (t)));
    }

    /// @notice Only the arbiter decides on a dispute while its time runs.
    function test_only_arbiter_resolves(address caller, bool upheld) external {
        Terms memory t = terms();
        bytes32 id = loan(t, MARGIN_CALL | DISPUTED, HIGH);
        put(address(book), Slot.EscrowBook_disputes, id, bytes32(NOW | NOW << 40));
        only(ARBITER, caller, address(book), abi.encodeCall(EscrowBook.resolve, (t, upheld)));
    }

    /// @notice Only the lender takes collateral over, where the terms say that it is the lender's to take.
    function test_only_lender_takes_over(address caller, uint8 kind) external {
        Terms memory t = kind == 3 ? auction() : terms();
        t.liquidation = kind;
        loan(t, LIQUIDATING, LOW);
        bool done = sends(caller, address(book), abi.encodeCall(EscrowBook.take_over, (t)));
        assert(done == both(caller == LENDER, kind == 0));
    }

    /// @notice The borrower never buys its own collateral, by sale or in an auction.
    function test_borrower_never_buys(uint8 kind) external {
        Terms memory t = kind == 3 ? auction() : terms();
        t.liquidation = kind;
        loan(t, LIQUIDATING, LOW);
        uint256 all = type(uint256).max;
        assert(!asks(BORROWER, abi.encodeCall(EscrowBook.liquidate, (t, all, 0))));
        assert(!asks(BORROWER, abi.encodeCall(EscrowBook.take, (t, all, all))));
    }

    // The tokens

    /// @notice Only the issuer mints cash.
    function test_only_issuer_mints(address caller) external {
        rich();
        only(ISSUER, caller, address(cash), abi.encodeCall(CashToken.mint, (LENDER, 1)));
    }

    /// @notice Only the authority freezes cash and pledged bitcoin.
    function test_only_authority_freezes(address caller) external {
        bytes memory data = abi.encodeCall(CashToken.setFrozenTokens, (LENDER, 1));
        only(AUTHORITY, caller, address(cash), data);
        only(AUTHORITY, caller, address(pledge), data);
    }

    /// @notice Only the authority forces transfers of cash and pledged bitcoin.
    function test_only_authority_forces(address caller) external {
        rich();
        put(address(pledge), LENDER, MAX_TIME << 192 | 9);
        bytes memory data = abi.encodeCall(CashToken.forcedTransfer, (LENDER, BORROWER, 1));
        only(AUTHORITY, caller, address(cash), data);
        only(AUTHORITY, caller, address(pledge), data);
    }

    /// @notice Only the registry says who is admitted to cash and pledged bitcoin.
    function test_only_registry_admits(address caller) external {
        bytes memory data = abi.encodeCall(CashToken.admit, (LENDER, NOW));
        only(address(registry), caller, address(cash), data);
        only(address(registry), caller, address(pledge), data);
    }

    /// @notice Only the book settles debts.
    function test_only_book_settles(address caller) external {
        rich();
        only(address(book), caller, address(cash), abi.encodeCall(CashToken.settle, (LENDER, BORROWER, 1)));
    }

    /// @notice Only the book holds tokens.
    function test_only_book_holds(address caller) external {
        put(address(pledge), HOLDER, MAX_TIME << 192 | 9);
        put(address(pledge), Slot.PledgeToken_loans, LOAN, bytes32(pledged(HOLDER, 0, 9)));
        only(address(book), caller, address(pledge), abi.encodeCall(PledgeToken.hold, (LOAN, HOLDER, 1)));
    }

    /// @notice Only the book gives back what is held, and only to whose it is.
    function test_only_book_releases(address caller, address holder) external {
        put(address(pledge), HOLDER, MAX_TIME << 192 | 9 << 128 | 9);
        put(address(pledge), Slot.PledgeToken_loans, LOAN, bytes32(pledged(HOLDER, 9, 9)));
        bool done = sends(caller, address(pledge), abi.encodeCall(PledgeToken.release, (LOAN, holder, 1)));
        assert(done == both(caller == address(book), holder == HOLDER));
    }

    /// @notice Only the book hands over what is held.
    function test_only_book_executes(address caller) external {
        rich();
        put(address(pledge), Slot.PledgeToken_loans, LOAN, bytes32(pledged(BORROWER, 9, 9)));
        put(address(pledge), HOLDER, MAX_TIME << 192);
        bytes memory data = abi.encodeCall(PledgeToken.execute, (LOAN, BORROWER, HOLDER, 5, 4));
        only(address(book), caller, address(pledge), data);
    }

    // The registry and the prices

    /// @notice Only the registrar sets rules.
    function test_only_registrar_sets_rules(address caller) external {
        only(REGISTRAR, caller, address(registry), abi.encodeCall(Registry.set_rule, (1, 643, 15)));
    }

    /// @notice Only the registrar records, suspends and reinstates accounts.
    function test_only_registrar_records(address caller) external {
        Entries[] memory entries = new Entries[](1);
        entries[0] = Entries(HOLDER, 1, 643, NOW + 1);
        address[] memory accounts = new address[](1);
        accounts[0] = LENDER;
        uint256 record = 1 << 8 | 643 << 16 | (NOW + 1) << 32;
        put(address(registry), Slot.Registry_records, key(LENDER), bytes32(record));
        only(REGISTRAR, caller, address(registry), abi.encodeCall(Registry.admit, (entries)));
        only(REGISTRAR, caller, address(registry), abi.encodeCall(Registry.suspend, (accounts)));
        only(REGISTRAR, caller, address(registry), abi.encodeCall(Registry.reinstate, (accounts)));
    }

    /// @notice Only the guardian pauses prices, and resumes them.
    function test_only_guardian_pauses(address caller) external {
        feed(HIGH, NOW, 0);
        only(GUARDIAN, caller, address(prices), abi.encodeCall(PriceRounds.pause, (86_400)));
        only(GUARDIAN, caller, address(prices), abi.encodeCall(PriceRounds.resume, ()));
    }
}
