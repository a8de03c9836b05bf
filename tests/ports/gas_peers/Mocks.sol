// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// An ERC-20 that does nothing but what OpenZeppelin's does; anyone mints.
contract Token is ERC20("Token", "TKN") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// The cheapest oracle there can be: a price in one slot, behind Morpho's interface.
contract Oracle {
    uint256 public price;

    function set(uint256 price_) external {
        price = price_;
    }
}
