// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

import "./Lab.sol";

/// When a price counts, and how the active clock goes.
contract Prices is Lab {
    struct Feed {
        uint256 price;
        uint256 at;
        uint256 lost;
        uint256 pause_from;
        uint256 pause_until;
    }

    /// Any word that rounds and pauses can leave by then: what was lost, and what is being lost, are
    /// parts of the time that passed.
    function given(uint256 time, Feed memory f) private {
        f.price = uint56(f.price);
        f.at = uint40(f.at);
        f.lost = uint40(f.lost);
        f.pause_from = uint40(f.pause_from);
        f.pause_until = uint40(f.pause_until);
        vm.assume(both(both(f.at <= time, f.pause_from <= time), f.pause_from <= f.pause_until));
        vm.assume(both(f.lost <= f.at, either(f.pause_until == 0, f.lost <= f.pause_from)));
        uint256 word = f.price | f.at << 60 | 1 << 100 | f.lost << 132 | f.pause_from << 172 | f.pause_until << 212;
        put(address(prices), Slot.PriceRounds_packed, bytes32(word));
        vm.warp(time);
    }

    /// @notice A price is fresh exactly when there is one, it is not older than the heartbeat (at it, it still is), and no pause lasts (at its end none does).
    function test_fresh(uint40 time, Feed memory f) external {
        given(time, f);
        (uint256 price, uint256 at_, bool fresh,) = prices.latest();
        assert(both(price == f.price, at_ == f.at));
        assert(fresh == both(f.price != 0, both(time - f.at <= HEARTBEAT, time >= f.pause_until)));
    }

    /// @notice The active clock never goes back and never faster than time; while a price is fresh throughout it goes as time does.
    function test_active_clock(uint40 time, uint32 passed, Feed memory f) external {
        given(time, f);
        (,,, uint256 before) = prices.latest();
        vm.warp(uint256(time) + passed);
        (,, bool fresh, uint256 later) = prices.latest();
        assert(both(later >= before, later - before <= passed));
        assert(either(!both(fresh, f.pause_until <= time), later - before == passed));
    }
}
