// What an application does with viem, unmodified, against the server; prints one line a check.
import { readFileSync } from "node:fs";
import { createPublicClient, createWalletClient, defineChain, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [url, file] = process.argv.slice(2);
const { abi, bytecode, key, other } = JSON.parse(readFileSync(file, "utf8"));
const chain = defineChain({
  id: 31337,
  name: "served",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const transport = http(url, { batch: true, retryCount: 0 });
const client = createPublicClient({ chain, transport, cacheTime: 0, pollingInterval: 50 });
const account = privateKeyToAccount(key);
const wallet = createWalletClient({ account, chain, transport });

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

check("chain id", (await client.getChainId()) === 31337);
const made = await wallet.deployContract({ abi, bytecode });
const { contractAddress: address, status } = await client.waitForTransactionReceipt({ hash: made });
check("deployment", status === "success");
const kit = { address, abi };
const hash = await wallet.writeContract({ ...kit, functionName: "keep", args: [42n] });
const receipt = await client.waitForTransactionReceipt({ hash });
check("receipt", receipt.status === "success" && receipt.gasUsed > 21000n);
check("read", (await client.readContract({ ...kit, functionName: "kept" })) === 42n);
const blockNumber = receipt.blockNumber - 1n;
const past = await client.readContract({ ...kit, functionName: "kept", blockNumber });
check("historic read", past === 0n);
const simulated = client.simulateContract({ ...kit, functionName: "keep", args: [100n], account });
check("revert reason", (await refused(simulated)).message.includes("too much"));
const events = await client.getContractEvents({ ...kit, eventName: "Kept", fromBlock: 0n });
check("events", events.length === 1 && events[0].args.number === 42n);
const filter = await client.createContractEventFilter({ ...kit, eventName: "Kept" });
await wallet.writeContract({ ...kit, functionName: "keep", args: [7n] });
const news = await client.getFilterChanges({ filter });
check("filter", news.length === 1 && news[0].args.number === 7n);
const paid = await wallet.sendTransaction({ to: other, value: 5n });
check("transfer", (await client.waitForTransactionReceipt({ hash: paid })).status === "success");
const fees = await client.estimateFeesPerGas();
check("fees", fees.maxFeePerGas > 0n);
const proof = await client.getProof({ address, storageKeys: ["0x" + "00".repeat(32)] });
check("proof", proof.storageProof[0].value === 7n && proof.accountProof.length > 0);
const list = await client.request({
  method: "eth_createAccessList",
  params: [{ from: account.address, to: address, data: "0x" }],
});
check("access list", Array.isArray(list.accessList));
const block = await client.getBlock({ includeTransactions: true });
check("block", block.transactions.length === 1 && block.baseFeePerGas > 0n);
