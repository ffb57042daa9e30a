// What the two README commands need before anything else can run. npm's own hooks do not help: install scripts are off.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Run a command in the repository; its exit code. @param {string} command @param {string[]} args */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (result.error) {
    console.error(`${command}: ${result.error.message}`);
    return 1;
  }
  return result.status ?? 1;
}

/** As `run`, but a failure ends the program with that sentence. */
export function must(sentence, command, args) {
  if (run(command, args) === 0) return;
  console.error(sentence);
  process.exit(1);
}

/** A tool of node_modules, started by Node itself: no shell, no PATH. */
export function tool(path, args) {
  return run(process.execPath, [`node_modules/${path}`, ...args]);
}

/** Node's major version must be 20 or later; the lockfile's packages must be there. */
export function installPackages() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < 20) {
    console.error(`Node.js ${process.versions.node} found, 20 or later expected.`);
    process.exit(1);
  }
  const marker = `${root}/node_modules/.package-lock.json`;
  const isCurrent =
    existsSync(marker) && statSync(marker).mtimeMs >= statSync(`${root}/package-lock.json`).mtimeMs;
  if (isCurrent) return;
  console.log("Installing packages …");
  must("npm ci failed: see above.", "npm", ["ci", "--no-audit", "--no-fund"]);
}

/** Compile src/ and bench/ into dist/; incremental, so that a second call is quick. */
export function build() {
  must("The build failed: see above.", process.execPath, [
    "node_modules/typescript/bin/tsc",
    "-p",
    "tsconfig.build.json",
  ]);
}

/** Chromium for the browser tests: Debian's package, unless PHALANX_CHROMIUM names another. */
export function installChromium() {
  if (existsSync(process.env.PHALANX_CHROMIUM ?? "/usr/bin/chromium")) return;
  console.log("Installing Debian's Chromium for the browser tests …");
  const apt = (args) => run("apt-get", args, { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  if (
    apt(["update", "-qq"]) === 0 &&
    apt(["install", "-y", "-qq", "--no-install-recommends", "chromium"]) === 0
  )
    return;
  console.error(
    "Chromium could not be installed. Install it, and name it in PHALANX_CHROMIUM if it is not /usr/bin/chromium.",
  );
  process.exit(1);
}
