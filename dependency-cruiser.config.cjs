// The one-way arrows of the layout. What a folder may import stands here; everything else is refused.
const CORE = ["core"];
const TENSOR = [...CORE, "tensor"];
const NN = [...TENSOR, "nn"];
const GAMES = [...CORE, "games"];
const ENV = [...GAMES, "env"];
const POLICY = [...NN, ...ENV, "runtime", "policy"];
const ROLLOUT = [...POLICY, "threats", "rollout"];
const LEARNERS = [...ROLLOUT, "learners"];
const ATTACKS = [...LEARNERS, "metrics", "attacks"];
const DEFENSES = [...ATTACKS, "defenses"];
const EXPERIMENT = [...DEFENSES, "envs", "bridge", "onnx", "views", "report", "experiment"];

/** folder → folders it may import from, itself included */
const mayImport = {
  core: CORE,
  tensor: TENSOR,
  onnx: [...TENSOR, "onnx"],
  nn: NN,
  runtime: [...TENSOR, "onnx", "runtime"],
  games: GAMES,
  metrics: [...CORE, "metrics"],
  threats: [...CORE, "threats"],
  views: [...CORE, "views"],
  env: ENV,
  envs: [...ENV, "envs"],
  bridge: [...ENV, "bridge"],
  policy: [...POLICY, "onnx"],
  rollout: ROLLOUT,
  learners: LEARNERS,
  attacks: ATTACKS,
  defenses: DEFENSES,
  report: EXPERIMENT,
  experiment: EXPERIMENT,
  cli: [...EXPERIMENT, "cli"],
};

/** Folders whose code also runs in a page: no node: module, nothing that only Node has. */
const portable = [
  "tensor",
  "onnx",
  "nn",
  "games",
  "env",
  "envs",
  "policy",
  "threats",
  "rollout",
  "learners",
  "attacks",
  "defenses",
  "metrics",
  "views",
];

const source = (folder) => `^src/${folder}/.*(?<!\\.test)\\.ts$`;

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "no-circles",
      severity: "error",
      from: { pathNot: "\\.test\\.ts$" },
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    ...Object.entries(mayImport).map(([folder, allowed]) => ({
      name: `${folder}-imports-only-${allowed.join("-")}`.slice(0, 60),
      comment: `src/${folder} may import: ${allowed.join(", ")}`,
      severity: "error",
      from: { path: source(folder) },
      to: { path: "^src/", pathNot: `^src/(${allowed.join("|")})/` },
    })),
    {
      name: "portable-code-reaches-no-node-module",
      severity: "error",
      from: { path: `^src/(${portable.join("|")})/.*(?<!\\.test)\\.ts$` },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "core-reaches-node-only-in-files",
      severity: "error",
      from: { path: source("core"), pathNot: "^src/core/files\\.ts$" },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "only-node-side-imports-files",
      severity: "error",
      from: { path: "^src/(?!experiment|report|cli|server)[^/]+/.*(?<!\\.test)\\.ts$" },
      to: { path: "^src/core/files\\.ts$" },
    },
    {
      name: "exact-models-are-types-until-somebody-solves-them",
      comment: "the contract names tables and trees; environments build them, attacks and above solve them",
      severity: "error",
      from: { path: "^src/(env|policy|rollout|learners)/.*(?<!\\.test)\\.ts$" },
      to: { path: "^src/games/", dependencyTypesNot: ["type-only"] },
    },
    {
      name: "one-file-knows-the-engine",
      severity: "error",
      from: { pathNot: "^src/runtime/node\\.ts$|\\.test\\.ts$" },
      // Its package.json is read for the version that results are labelled with.
      to: { path: "onnxruntime-node", pathNot: "package\\.json$" },
    },
    {
      name: "one-file-knows-the-wasm-engine",
      severity: "error",
      from: { pathNot: "^src/runtime/web\\.ts$|\\.test\\.ts$" },
      to: { path: "onnxruntime-web" },
    },
    {
      name: "of-the-runtime-only-node-reaches-a-node-module",
      severity: "error",
      from: { path: source("runtime"), pathNot: "^src/runtime/node\\.ts$" },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "the-backend-is-handed-in",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(experiment|report|cli|server)/|\\.test\\.ts$" },
      to: { path: "^src/runtime/(node|web)\\.ts$" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js"],
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default"],
    },
  },
};
