// npm run quickstart: install, build, then train, attack, harden and report experiments/quickstart.yaml.
import { build, installPackages, run } from "./install.mjs";

installPackages();
build();
process.exit(
  run(process.execPath, [
    "dist/src/cli/main.js",
    "run",
    "experiments/quickstart.yaml",
    ...process.argv.slice(2),
  ]),
);
