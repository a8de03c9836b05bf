// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

import "./Lab.sol";

/// Amounts move, and nothing else happens: of every word that a holder can have.
contract Tokens is Lab {
    using Word for uint256;

    address private constant SENDER = address(0x5E);
    address private constant SPENDER = address(0x5B);
    bytes32 private constant LOAN = bytes32(uint256(7));
    uint256 private constant BURN = 2 ** 233;

    /// Two holders of a token, of whom nothing is known but that what is held is in the balance and
    /// that no sum of balances passes 2**64 - 1.
    function given(address token, uint256 from, address receiver, uint256 to) private {
        vm.assume(both(from.held() <= from.balance(), to.held() <= to.balance()));
        vm.assume(both(receiver != SENDER, from.balance() + to.balance() < 2 ** 64));
        put(token, SENDER, from);
        put(token, receiver, to);
    }

    /// These are the words now, and what is held is in the balance.
    function now_(address token, uint256 from, address receiver, uint256 to) private view {
        assert(both(wordOf(token, SENDER) == from, wordOf(token, receiver) == to));
        assert(both(from.held() <= from.balance(), to.held() <= to.balance()));
    }

    function eligible(uint256 account) private view returns (bool) {
        return account.until() >= block.timestamp;
    }

    /// @notice A transfer happens exactly when both are eligible and the amount is neither held nor frozen; it moves the amount and nothing else.
    function test_transfer(uint256 from, address receiver, uint256 to, uint256 amount) external {
        address token = address(cash);
        given(token, from, receiver, to);
        bool done = sends(SENDER, token, abi.encodeCall(CashToken.transfer, (receiver, amount)));
        assert(done == both(both(eligible(from), eligible(to)), amount <= from.spendable()));
        uint256 sent = done ? amount : 0;
        now_(token, from - sent, receiver, to + sent);
    }

    /// @notice A transfer to oneself changes nothing.
    function test_transfer_to_oneself(uint256 word, uint256 amount) external {
        vm.assume(word.held() <= word.balance());
        put(address(cash), SENDER, word);
        sends(SENDER, address(cash), abi.encodeCall(CashToken.transfer, (SENDER, amount)));
        assert(wordOf(address(cash), SENDER) == word);
    }

    /// @notice A transfer by allowance happens exactly when a transfer would and the allowance is enough; it uses the allowance up, unless that is without end.
    function test_transfer_by_allowance(uint256 from, address receiver, uint256 to, uint256 amount, uint256 allowance)
        external
    {
        address token = address(cash);
        given(token, from, receiver, to);
        approve(token, SENDER, SPENDER, allowance);
        bool done = sends(SPENDER, token, abi.encodeCall(CashToken.transferFrom, (SENDER, receiver, amount)));
        bool allowed = both(both(eligible(from), eligible(to)), amount <= from.spendable());
        assert(done == both(allowed, amount <= allowance));
        uint256 sent = done ? amount : 0;
        now_(token, from - sent, receiver, to + sent);
        uint256 used = allowance == type(uint256).max ? 0 : sent;
        assert(cash.allowance(SENDER, SPENDER) == allowance - used);
    }

    /// @notice The authority moves anything to an eligible account but what is held; it unfreezes no more than it has to.
    function test_forced_transfer(uint256 from, address receiver, uint256 to, uint256 amount) external {
        address token = address(pledge);
        given(token, from, receiver, to);
        bool done =
            sends(AUTHORITY, token, abi.encodeCall(PledgeToken.forcedTransfer, (SENDER, receiver, amount)));
        assert(done == both(eligible(to), amount <= from.balance() - from.held()));
        uint256 sent = done ? amount : 0;
        now_(token, from - sent - (Word.monus(sent, from.spendable()) << 64), receiver, to + sent);
    }

    /// @notice The book pays whom it likes out of what the payer may spend and allowed it: the payee is not asked, whether eligible or frozen.
    function test_settle(uint256 from, address payee, uint256 to, uint256 amount, uint256 allowance) external {
        address token = address(cash);
        given(token, from, payee, to);
        approve(token, SENDER, address(book), allowance);
        bool done = sends(address(book), token, abi.encodeCall(CashToken.settle, (SENDER, payee, amount)));
        bool allowed = either(from.endless(), amount <= allowance);
        assert(done == both(both(eligible(from), allowed), amount <= from.spendable()));
        uint256 sent = done ? amount : 0;
        now_(token, from - sent, payee, to + sent);
    }

    /// @notice The issuer mints to an eligible account, up to 2**64 - 1 in all; the supply grows by as much as the balance.
    function test_mint_cash(uint256 to, uint64 supply, uint256 amount) external {
        vm.assume(to.balance() <= supply);
        put(address(cash), SENDER, to);
        put(address(cash), Slot.CashToken_totalSupply, bytes32(uint256(supply)));
        bool done = sends(ISSUER, address(cash), abi.encodeCall(CashToken.mint, (SENDER, amount)));
        assert(done == both(eligible(to), amount <= type(uint64).max - supply));
        uint256 made = done ? amount : 0;
        assert(both(cash.totalSupply() == supply + made, wordOf(address(cash), SENDER) == to + made));
    }

    /// @notice Freezing and admitting write their own member of an account's word, and no other.
    function test_freeze_and_admit(uint256 word, uint256 frozen, uint256 until) external {
        put(address(cash), SENDER, word);
        assert(sends(AUTHORITY, address(cash), abi.encodeCall(CashToken.setFrozenTokens, (SENDER, frozen))));
        assert(sends(address(registry), address(cash), abi.encodeCall(CashToken.admit, (SENDER, until))));
        uint256 capped = frozen < 2 ** 64 ? frozen : 2 ** 64 - 1;
        uint256 rest = word - (word.frozen() << 64) - (word.until() << 192);
        assert(wordOf(address(cash), SENDER) == rest + (capped << 64) + (uint256(uint40(until)) << 192));
    }

    // Pledging

    /// A loan's tokens, all of one holder's: `sats` held of `outstanding`.
    function loan(uint64 sats, uint64 outstanding) private {
        vm.assume(sats <= outstanding);
        put(address(pledge), Slot.PledgeToken_loans, LOAN, bytes32(pledged(SENDER, sats, outstanding)));
    }

    function loanIs(uint256 sats, uint256 outstanding) private view {
        assert(uint256(at(address(pledge), Slot.PledgeToken_loans, LOAN)) == pledged(SENDER, sats, outstanding));
    }

    /// @notice The book holds exactly what an eligible holder may spend and the loan's vault still backs; the balance stays.
    function test_hold(uint256 word, uint64 sats, uint64 outstanding, uint256 more) external {
        vm.assume(word.held() <= word.balance());
        put(address(pledge), SENDER, word);
        loan(sats, outstanding);
        bool done = sends(address(book), address(pledge), abi.encodeCall(PledgeToken.hold, (LOAN, SENDER, more)));
        assert(done == both(eligible(word), both(more <= word.spendable(), more <= outstanding - sats)));
        uint256 held = done ? more : 0;
        loanIs(sats + held, outstanding);
        assert(wordOf(address(pledge), SENDER) == word + (held << 128));
        assert(word.held() + held <= word.balance());
    }

    /// @notice The book releases what is held for a loan to whose it is, eligible or not, and no more than that; the balance stays.
    function test_release(uint256 word, uint64 sats, uint64 outstanding, uint256 less) external {
        vm.assume(both(word.held() <= word.balance(), sats <= word.held()));
        put(address(pledge), SENDER, word);
        loan(sats, outstanding);
        bool done = sends(address(book), address(pledge), abi.encodeCall(PledgeToken.release, (LOAN, SENDER, less)));
        assert(done == (less <= sats));
        uint256 back = done ? less : 0;
        loanIs(sats - back, outstanding);
        assert(wordOf(address(pledge), SENDER) == word - (back << 128));
    }

    /// @notice The book executes no more than is held for a loan: what is seized leaves the holder for an eligible taker, what is released stays in its balance, and neither is held any more.
    function test_execute(uint256 word, uint256 taker, uint64 sats, uint64 outstanding, uint256 seized, uint256 released)
        external
    {
        address token = address(pledge);
        given(token, word, SPENDER, taker);
        (seized, released) = (uint64(seized), uint64(released));
        vm.assume(sats <= word.held());
        loan(sats, outstanding);
        bytes memory data = abi.encodeCall(PledgeToken.execute, (LOAN, SENDER, SPENDER, seized, released));
        bool done = sends(address(book), token, data);
        assert(done == both(seized + released <= sats, either(seized == 0, eligible(taker))));
        (uint256 gone, uint256 back) = done ? (seized, released) : (0, 0);
        loanIs(sats - gone - back, outstanding);
        now_(token, word - ((gone + back) << 128) - gone, SPENDER, taker + gone);
    }

    /// @notice A burn takes as much from the balance as from the supply and from what the loan's vault owes; never what is held or frozen, and never twice on one request.
    function test_burn(uint256 word, uint64 sats, uint64 outstanding, uint256 supply, uint256 burned, uint256 request)
        external
    {
        vm.assume(both(word.held() <= word.balance(), word.burns() < 2 ** 23 - 1));
        vm.assume(both(outstanding <= uint64(supply), word.balance() <= uint64(supply)));
        vm.assume(supply >> 64 < 2 ** 64 - 1);
        put(address(pledge), SENDER, word);
        put(address(pledge), Slot.PledgeToken_supply_and_burns, bytes32(supply));
        loan(sats, outstanding);
        bytes memory script = hex"0014000102030405060708090a0b0c0d0e0f10111213";
        bool done =
            sends(SENDER, address(pledge), abi.encodeCall(PledgeToken.burn, (LOAN, burned, script, request)));
        bool backed = both(burned >= 10_000, burned <= outstanding - sats);
        assert(
            done == both(both(eligible(word), request == word.burns()), both(backed, burned <= word.spendable()))
        );
        uint256 gone = done ? burned : 0;
        loanIs(sats, outstanding - gone);
        assert(wordOf(address(pledge), SENDER) == word - gone + (done ? BURN : 0));
        assert(pledge.totalSupply() == uint64(supply) - gone);
    }
}
