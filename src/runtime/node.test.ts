import { afterEach, describe, expect, it, vi } from "vitest";
import { SystemError, UserError } from "../core/errors.js";
import { type NodeProvider, nodeBackend } from "./node.js";

describe("a provider of the native engine", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("is named in the backend's name where it is not the processor", () => {
    expect(nodeBackend().name).toBe("onnxruntime-node 1.30.0");
    expect(nodeBackend({ provider: "cpu" }).name).toBe("onnxruntime-node 1.30.0");
  });

  it.each(["cuda", "webgpu"] as const)("%s fails in one sentence where there is none", (provider) => {
    // Machines that have a card must not have one here.
    vi.stubEnv("CUDA_VISIBLE_DEVICES", "");
    vi.stubEnv("VK_ICD_FILENAMES", "/dev/null");
    const attempt = () => nodeBackend({ provider });
    expect(attempt).toThrow(SystemError);
    expect(attempt).toThrow(
      new RegExp(
        `^onnxruntime-node, provider "${provider}": not available on this machine \\([^\\n]+\\); it needs [^\\n]+$`,
      ),
    );
  });

  it("that does not exist is refused with the nearest name", () => {
    const attempt = () => nodeBackend({ provider: "webgpo" as NodeProvider });
    expect(attempt).toThrow(UserError);
    expect(attempt).toThrow('onnxruntime-node, provider "webgpo": unknown. Did you mean "webgpu"?');
  });
});
