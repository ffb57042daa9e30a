// npm test: everything. Ends with one line "N passed, M failed"; each check beside Vitest's tests counts as one.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, installChromium, installPackages, tool } from "./install.mjs";

installPackages();
installChromium();
build();

let passed = 0;
let failed = 0;
const failures = [];
const check = (name, code) => {
  if (code === 0) passed++;
  else {
    failed++;
    failures.push(name);
  }
};

console.log("Types …");
check("types", tool("typescript/bin/tsc", ["-p", "tsconfig.json", "--noEmit"]));
console.log("Lint and format …");
check("lint and format", tool("@biomejs/biome/bin/biome", ["check", "."]));
console.log("Dependency rules …");
check(
  "dependency rules",
  tool("dependency-cruiser/bin/dependency-cruise.mjs", ["--config", "dependency-cruiser.config.cjs", "src"]),
);
console.log("Tests …");
const folder = mkdtempSync(join(tmpdir(), "phalanx-test-"));
const report = join(folder, "vitest.json");
const code = tool("vitest/vitest.mjs", [
  "run",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
]);
try {
  const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(
    readFileSync(report, "utf8"),
  );
  passed += numPassedTests;
  failed += numFailedTests;
  for (const file of testResults) {
    for (const test of file.assertionResults) if (test.status === "failed") failures.push(test.fullName);
    // A file that cannot even be loaded has no failed test in it.
    if (file.status === "failed" && file.assertionResults.every((t) => t.status !== "failed")) {
      failed++;
      failures.push(file.name);
    }
  }
  if (numPendingTests > 0) {
    failed++;
    failures.push(`${numPendingTests} skipped tests`);
  }
  if (code !== 0 && failed === 0) check("vitest", code);
} catch {
  check("vitest", 1);
}
rmSync(folder, { recursive: true, force: true });

for (const name of failures) console.log(`FAILED: ${name}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
