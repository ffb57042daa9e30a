/**
 * Training in a real browser, from the compiled modules as they are. Needs Chromium: PHALANX_CHROMIUM or
 * /usr/bin/chromium; fails where there is none.
 */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import { ensureBuilt, repository } from "../cli/built.js";
import { expectSameRun } from "../support/same-run.js";
import { type SmallRun, trainSmallRun } from "../support/small-run.js";

const ITERATIONS = 5;
const SMALL_RUN = "/node_modules/phalanx/dist/test/support/small-run.js";

/** The page of the documentation, word for word, and its import map. */
const example = /```html\n([\s\S]*?)```/.exec(readFileSync("docs/backends.md", "utf8"))![1]!;
const importMap = /<script type="importmap">([\s\S]*?)<\/script>/.exec(example)![1]!;
const { imports } = JSON.parse(importMap) as { readonly imports: Readonly<Record<string, string>> };

/** A program that trains as the test in Node does, and hands its result to `done`. */
const program = (done: string) => `
import { trainSmallRun } from "${SMALL_RUN}";
import { Runtime } from "phalanx/runtime";
import { webBackend } from "phalanx/runtime/web";
const backend = await webBackend();
${done}({ engine: backend.name, ...(await trainSmallRun(new Runtime(backend), ${ITERATIONS})) });`;

const pages: Readonly<Record<string, string>> = {
  "/favicon.ico": "",
  "/example.html": example,
  "/small-run.html": `<!doctype html><script type="importmap">${importMap}</script>
    <script type="module">${program("globalThis.finish")}</script>`,
  "/worker.html": `<!doctype html><script type="module">
    const worker = new Worker("/resolved/worker.js", { type: "module" });
    worker.onerror = (event) => globalThis.finish({ error: event.message });
    worker.onmessage = ({ data }) => globalThis.finish(data);
    </script>`,
};

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/** Full addresses in place of package names: what an import map does for pages, and nothing for workers. */
function resolved(code: string): string {
  return code.replace(/((?:from|import)\s*\(?\s*")([^"./][^"]*)"/g, (whole, start: string, name: string) => {
    const key = Object.keys(imports).find((k) => k === name || (k.endsWith("/") && name.startsWith(k)));
    if (key === undefined) return whole;
    return `${start}/resolved${imports[key]}${name.slice(key.length)}"`;
  });
}

/** What lies under an address. A site has the package installed; here that is the repository itself. */
function contentOf(address: string): string | Buffer {
  if (address in pages) return pages[address]!;
  if (address === "/resolved/worker.js")
    return resolved(program("postMessage")).replace(SMALL_RUN, `/resolved${SMALL_RUN}`);
  const file = address.replace("/resolved", "").replace("/node_modules/phalanx/", "/").slice(1);
  if (!/^(dist|node_modules)\//.test(file)) throw new Error(`nothing lies under ${address}`);
  const content = readFileSync(path.join(repository, file));
  const isCode = address.startsWith("/resolved/") && /\.m?js$/.test(file);
  return isCode ? resolved(content.toString()) : content;
}

let server: Server;
let browser: Browser;
let origin: string;
let expected: SmallRun;

beforeAll(async () => {
  ensureBuilt();
  expected = await trainSmallRun(new Runtime(nodeBackend()), ITERATIONS);
  server = createServer((request, response) => {
    const address = path.posix.normalize(new URL(request.url!, "http://localhost").pathname);
    try {
      const content = contentOf(address);
      response.writeHead(200, { "content-type": TYPES[path.extname(address)] ?? "application/octet-stream" });
      response.end(content);
    } catch (error) {
      response.writeHead(404).end(String(error));
    }
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const executablePath = process.env.PHALANX_CHROMIUM ?? "/usr/bin/chromium";
  // Containers run as root, where Chromium's own sandbox refuses to start; the pages are ours.
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});

afterAll(async () => {
  await browser?.close();
  server?.close();
});

/** Opens a page and collects its complaints. */
async function open(address: string): Promise<{ page: Page; troubles: string[]; result: Promise<unknown> }> {
  const page = await browser.newPage();
  const troubles: string[] = [];
  page.on("console", (message) => troubles.push(`console ${message.type()}: ${message.text()}`));
  page.on("response", (response) => {
    if (!response.ok()) troubles.push(`${response.status()}: ${response.url()}`);
  });
  const result = new Promise<unknown>((resolve, reject) => {
    page.on("pageerror", reject);
    page.exposeFunction("finish", resolve).then(() => page.goto(origin + address), reject);
  });
  return { page, troubles, result };
}

describe("a page that trains with the wasm engine", () => {
  it("ends with the team, statistics and metrics of Node's native engine", async () => {
    const { page, result, troubles } = await open("/small-run.html");
    const { engine, ...run } = (await result) as SmallRun & { engine: string };
    expect(engine).toBe("onnxruntime-web 1.30.0 (wasm)");
    expectSameRun(run, expected);
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
    expect(troubles).toEqual([]);
    await page.close();
  });

  it("does so in a worker too", async () => {
    const { page, result, troubles } = await open("/worker.html");
    const { engine, ...run } = (await result) as SmallRun & { engine: string };
    expect(engine).toBe("onnxruntime-web 1.30.0 (wasm)");
    expectSameRun(run, expected);
    expect(troubles).toEqual([]);
    await page.close();
  });

  it("is the documentation's example, word for word", async () => {
    const { page, troubles } = await open("/example.html");
    await page.getByText("done").waitFor({ timeout: 100_000 });
    const lines = (await page.locator("#log").textContent())!.trim().split("\n");
    expect(lines).toHaveLength(21);
    const returns = lines.slice(0, -1).map((line, i) => {
      expect(line).toMatch(new RegExp(`^iteration ${i + 1}: return -\\d+\\.\\d\\d$`));
      return Number(line.split(" ").at(-1));
    });
    expect(returns.every(Number.isFinite)).toBe(true);
    expect(troubles).toEqual([]);
    await page.close();
  });
});
