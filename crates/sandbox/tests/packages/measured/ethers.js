// A plugin that uses ethers for everything. Measured, not tested.
import { ethers } from "ethers";

const face = new ethers.Interface([
    "function transfer(address to, uint256 value) returns (bool)",
    "event Transfer(address indexed from, address indexed to, uint256 value)",
]);

export default class {
    constructor() {
        const actions = {
            first: () => face.encodeFunctionData("transfer", ["0x" + "11".repeat(20), 5n]),
        };
        this.layer2Interface = {
            actions: Object.entries(actions).map(([name, call]) => ({ name, call: ({ value }) => call(value), params: [] })),
            state: [],
        };
    }
}
