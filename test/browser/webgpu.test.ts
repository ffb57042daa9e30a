/**
 * The native engine on a graphics card, without one: Chromium brings SwiftShader, a Vulkan driver that computes on the
 * processor, and the loader for it. Needs Chromium on Linux: PHALANX_CHROMIUM or Debian's; fails where there is none.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { beforeAll, expect, it } from "vitest";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import { ensureBuilt, repository } from "../cli/built.js";
import { expectSameRun } from "../support/same-run.js";
import { type SmallRun, trainSmallRun } from "../support/small-run.js";

// Debian's /usr/bin/chromium is a script; what belongs to the browser lies elsewhere.
const folder = [path.dirname(process.env.PHALANX_CHROMIUM ?? ""), "/usr/lib/chromium"].find((candidate) =>
  existsSync(path.join(candidate, "vk_swiftshader_icd.json")),
);

beforeAll(ensureBuilt);

it("webgpu trains as the processor does", async () => {
  expect(folder, "a folder with Chromium's SwiftShader").toBeDefined();
  // The loader of libraries reads its path once, when a process starts.
  const program = `
    import { trainSmallRun } from "./dist/test/support/small-run.js";
    import { Runtime } from "phalanx/runtime";
    import { nodeBackend } from "phalanx/runtime/node";
    const backend = nodeBackend({ provider: "webgpu" });
    console.log(JSON.stringify({ engine: backend.name, ...(await trainSmallRun(new Runtime(backend), 1)) }));`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: repository,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    env: {
      ...process.env,
      LD_LIBRARY_PATH: folder,
      VK_ICD_FILENAMES: path.join(folder!, "vk_swiftshader_icd.json"),
    },
  });
  expect(stdout, stderr).not.toBe("");
  const { engine, ...run } = JSON.parse(stdout) as SmallRun & { engine: string };
  expect(engine).toBe("onnxruntime-node 1.30.0 (webgpu)");
  const expected = await trainSmallRun(new Runtime(nodeBackend()), 1);
  expectSameRun(run, expected);
  // The same bits would mean that the processor's kernels had done it.
  expect(run.state).not.toEqual(expected.state);
});
