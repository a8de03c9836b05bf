// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

import "./Lab.sol";

/// Whatever the price, the pause, the registry and the authority say of others: a debt can be paid.
contract Repaying is Cases {
    using Word for uint256;

    address private constant PAYER = address(0x9A);

    /// What the others have: any words, of a price as well.
    struct Others {
        uint256 phase;
        uint256 price;
        uint256 in_auction;
        uint256 lender;
        uint256 borrower;
        uint256 more;
    }

    function given(Terms memory t, Case memory c, Others memory o) private returns (bytes32 id) {
        uint256 phase = symbolic ? o.phase & 7 : ACTIVE + o.phase % 3;
        vm.assume(both(phase >= ACTIVE, phase <= LIQUIDATING));
        id = given(t, phase, c);
        put(address(prices), Slot.PriceRounds_packed, bytes32(o.price));
        // What the book keeps: a drawn loan has principal, which is counted while it is in auction.
        vm.assume(both(c.principal != 0, o.in_auction >= c.principal));
        put(address(book), Slot.EscrowBook_auction_debt, bytes32(o.in_auction));
        // What the token keeps: all that is pledged is held.
        uint256 held = c.held + uint56(o.borrower.held());
        uint256 balance = held + uint56(o.borrower.balance());
        o.borrower = (o.borrower >> 192 << 192) | held << 128 | o.borrower.frozen() << 64 | balance;
        put(address(pledge), BORROWER, o.borrower);
    }

    /// A payer that has what is due, and more, and lets the book have it (what else it needs to be able
    /// to pay is test_settle's). No sum of cash passes 2**64 - 1.
    function pays(Others memory o, uint256 due) private returns (uint256 payer) {
        uint256 balance = due + uint56(o.more);
        o.lender = symbolic ? o.lender : o.lender & ~uint256(7 << 61);
        vm.assume(balance + o.lender.balance() < 2 ** 64);
        payer = 2 ** 232 | MAX_TIME << 192 | balance;
        put(address(cash), PAYER, payer);
        put(address(cash), LENDER, o.lender);
    }

    /// @notice Any part of the debt of a drawn loan can be paid by whoever has it: in every phase, at any price or none, paused or not, whatever became of the lender and the borrower. What exceeds the debt is not taken, and a loan that goes on has principal.
    function test_repay_is_never_blocked(Case memory c, uint8 kind, uint64 amount, Others memory o) external {
        Terms memory t = terms();
        t.liquidation = kind;
        bytes32 id = given(t, c, o);
        uint256 debt = book.owed(t);
        uint256 due = least(amount, debt);
        vm.assume(amount != 0);
        uint256 payer = pays(o, due);
        assert(asks(PAYER, abi.encodeCall(EscrowBook.repay, (t, amount))));
        assert(wordOf(address(cash), PAYER) == payer - due);
        assert(wordOf(address(cash), LENDER) == o.lender + due);
        uint256 loan = wordOf(id);
        assert((uint8(loan) == REPAID) == (due == debt));
        assert(either(due == debt, uint64(loan >> 8) != 0));
    }

    /// @notice All that is owed can be paid at once by whoever has it, under the same conditions; the loan is over, and everything pledged is the borrower's to spend again.
    function test_close_is_never_blocked(Case memory c, uint8 kind, Others memory o) external {
        Terms memory t = terms();
        t.liquidation = kind;
        bytes32 id = given(t, c, o);
        uint256 debt = book.owed(t);
        pays(o, debt);
        assert(asks(PAYER, abi.encodeCall(EscrowBook.close, (t))));
        assert(both(uint8(wordOf(id)) == REPAID, pledge.held(id) == 0));
        assert(wordOf(address(cash), LENDER) == o.lender + debt);
        assert(wordOf(address(pledge), BORROWER) == o.borrower - (c.held << 128));
    }
}
