// What an application does with ethers v6, unmodified, against the server; prints one line a check.
import { readFileSync } from "node:fs";
import { ContractFactory, Interface, JsonRpcProvider, Wallet, parseEther } from "ethers";

const [url, file] = process.argv.slice(2);
const { abi, bytecode, key, other } = JSON.parse(readFileSync(file, "utf8"));
const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 50 });
const wallet = new Wallet(key, provider);

function check(name, value) {
  if (value !== true) throw new Error(`${name}: ${value}`);
  console.log(name);
}

async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return {};
}

const network = await provider.getNetwork();
check("chain id", network.chainId === 31337n);
check("balance", (await provider.getBalance(wallet.address)) > parseEther("1"));

const factory = new ContractFactory(abi, bytecode, wallet);
const kit = await (await factory.deploy()).waitForDeployment();
const created = await kit.deploymentTransaction().wait();
check("deployment", created.status === 1 && created.contractAddress === kit.target);
check("code", (await provider.getCode(kit.target)).length > 2);

const receipt = await (await kit.keep(42n)).wait();
check("receipt", receipt.status === 1 && receipt.gasUsed > 21000n);
check("event", kit.interface.parseLog(receipt.logs[0]).args.number === 42n);
check("call", (await kit.kept()) === 42n);
const past = await kit.kept({ blockTag: receipt.blockNumber - 1 });
check("historic call", past === 0n);
const slot = await provider.getStorage(kit.target, 0, receipt.blockNumber);
check("historic storage", BigInt(slot) === 42n);
check("nonce", (await wallet.getNonce()) === 2 && (await wallet.getNonce("pending")) === 2);

const bad = await refused(kit.keep.staticCall(100n));
check("revert reason", bad.code === "CALL_EXCEPTION" && bad.reason === "too much");
const estimated = await refused(kit.keep(100n));
check("revert in an estimate", estimated.reason === "too much");
const custom = await refused(kit.refuse(9n));
check("custom error", custom.revert.name === "TooMuch" && custom.revert.args[0] === 9n);
const failed = await refused((await kit.keep(100n, { gasLimit: 90000 })).wait());
check("status 0", failed.code === "CALL_EXCEPTION" && failed.receipt.status === 0);

const fees = await provider.getFeeData();
check("fees", fees.gasPrice > 0n && fees.maxFeePerGas > 0n);
const legacy = { to: other, value: 5n, gasPrice: fees.gasPrice * 2n, type: 0 };
check("legacy", (await (await wallet.sendTransaction(legacy)).wait()).type === 0);
check("transfer", (await provider.getBalance(other)) % 10n === 5n);
const low = await refused(wallet.sendTransaction({ to: other, nonce: 0 }));
check("nonce too low", low.code === "NONCE_EXPIRED");
const rich = { to: other, value: 10n ** 27n, gasLimit: 21000 };
check("funds", (await refused(wallet.sendTransaction(rich))).code === "INSUFFICIENT_FUNDS");

const block = await provider.getBlock("latest", true);
check("block", block.prefetchedTransactions[0].hash === block.transactions[0]);
check("by hash", (await provider.getBlock(block.hash)).number === block.number);
check("roots", /^0x[0-9a-f]{64}$/.test(block.stateRoot) && /^0x/.test(block.receiptsRoot));
const sent = await provider.getTransaction(receipt.hash);
check("transaction", sent.from === wallet.address && sent.blockNumber === receipt.blockNumber);
check("unknown", (await provider.getTransactionReceipt("0x" + "ab".repeat(32))) === null);

const logs = await kit.queryFilter(kit.filters.Kept(wallet.address), 0);
check("logs", logs.length === 1 && logs[0].args.number === 42n);
const none = await kit.queryFilter(kit.filters.Kept(other), 0);
check("logs of another", none.length === 0);

// A subscription reports what comes after its first look, and does not say when that was: so go on
// acting until it has seen something.
async function until(event, act) {
  let seen;
  event.then((value) => (seen = value));
  while (seen === undefined) {
    await act();
    await new Promise((done) => setTimeout(done, 50));
  }
  return seen;
}
const heard = new Promise((done) => kit.once("Kept", (who, number) => done(number)));
check("polled event", (await until(heard, async () => (await kit.keep(7n)).wait())) === 7n);
const mined = new Promise((done) => provider.once("block", done));
check("polled block", (await until(mined, () => provider.send("evm_mine", []))) > 0);

const mark = await provider.send("evm_snapshot", []);
await (await kit.keep(8n)).wait();
check("snapshot", (await provider.send("evm_revert", [mark])) && (await kit.kept()) === 7n);
await provider.send("evm_increaseTime", [3600]);
await provider.send("evm_mine", []);
check("time", (await provider.getBlock("latest")).timestamp >= block.timestamp + 3600);

const trace = await provider.send("debug_traceTransaction", [receipt.hash, {}]);
check("trace", BigInt(trace.gas) === receipt.gasUsed && trace.structLogs.length > 50);
const many = await Promise.all([...Array(40).keys()].map((n) => provider.getBlock(n % 4)));
check("batch", many.every((one, n) => one.number === n % 4));
const gone = await refused(provider.send("eth_fillTransaction", []));
check("unknown method", gone.code === "UNSUPPORTED_OPERATION");
check("no accounts", (await provider.send("eth_accounts", [])).length === 0);
check("calldata", new Interface(abi).encodeFunctionData("kept").length === 10);
provider.destroy();
