/** What `phalanx bench` measures: for each suite its cases and who else does the same work. */

export interface Row {
  /** our name of the case */
  readonly name: string;
  /** peer → its name of the same case */
  readonly peers: Readonly<Record<string, string>>;
  /** the time from the start of a process to its first update is measured too */
  readonly firstUpdate?: true;
}

export interface Suite {
  readonly title: string;
  /** peer → script in bench/peers, and the environment variable that names its Python */
  readonly scripts: Readonly<Record<string, { readonly script: string; readonly python: string }>>;
  readonly unit: "ms" | "steps/s";
  readonly rows: readonly Row[];
  /** the share of matrix products is measured too */
  readonly products?: true;
}

const TORCH = "PHALANX_TORCH_PYTHON";
const JAX = "PHALANX_JAX_PYTHON";
const GRID = "PHALANX_GRID_PYTHON";
const JUMANJI = "PHALANX_JUMANJI_PYTHON";
const both = (name: string): Row => ({ name, peers: { torch: name, jax: name } });

export const suites: Readonly<Record<string, Suite>> = {
  updates: {
    title: "(a) update steps and inference",
    scripts: {
      torch: { script: "torch_updates.py", python: TORCH },
      jax: { script: "jax_updates.py", python: JAX },
    },
    unit: "ms",
    products: true,
    rows: [
      ...["mlp64-b16", "mlp64-b128", "mlp64-b1024", "mlp64-b4096", "mlp256-b512", "ppo-750x10"].map(both),
      { name: "ppo-750x10:ten-runs", peers: { torch: "ppo-750x10", jax: "ppo-750x10:ten-runs" } },
      ...["infer-1", "infer-30", "infer-768"].map(both),
    ],
  },
  env: {
    title: "(b) environment steps, 256 copies, random actions",
    scripts: {
      mpe2: { script: "mpe2_steps.py", python: TORCH },
      jaxmarl: { script: "jaxmarl_steps.py", python: JAX },
      grid: { script: "grid_steps.py", python: GRID },
      jumanji: { script: "jumanji_steps.py", python: JUMANJI },
    },
    unit: "steps/s",
    rows: [
      { name: "simple_spread N=3", peers: { mpe2: "spread-n3", jaxmarl: "spread-n3" } },
      { name: "simple_spread N=30", peers: { mpe2: "spread-n30", jaxmarl: "spread-n30" } },
      { name: "simple_spread N=100", peers: { mpe2: "spread-n100" } },
      ...["simple", "tag", "adversary", "push", "speaker-listener", "reference", "crypto", "world-comm"].map(
        (name): Row => ({
          name: name === "simple" ? name : `simple_${name.replace("-", "_")}`,
          peers: { mpe2: name, jaxmarl: name },
        }),
      ),
      ...["independent_spread", "continuous_pred_prey"].map((name): Row => ({ name, peers: {} })),
      ...[3, 15, 30, 100, 200].map((n): Row => ({ name: `mean_field_spread N=${n}`, peers: {} })),
      ...["lbf-8x8-2p-3f", "lbf-10x10-5p-10f-coop"].map((name) => ({
        name,
        peers: { grid: name, jumanji: name },
      })),
      { name: "pursuit", peers: { grid: "pursuit" } },
    ],
  },
  train: {
    title: "(c) training, rollout, update and all",
    scripts: {
      torch: { script: "torch_mappo.py", python: TORCH },
      "torch lean": { script: "torch_mappo.py", python: TORCH },
      jaxmarl: { script: "jaxmarl_ippo.py", python: JAX },
    },
    unit: "steps/s",
    rows: [
      { name: "mappo", peers: { torch: "mappo", "torch lean": "mappo:lean" }, firstUpdate: true },
      { name: "mappo-gru", peers: { torch: "mappo-gru", "torch lean": "mappo-gru:lean" } },
      { name: "ippo", peers: { jaxmarl: "ippo" }, firstUpdate: true },
    ],
  },
  recurrent: {
    title: "(d) back-propagation through time of a GRU",
    scripts: {
      torch: { script: "torch_recurrent.py", python: TORCH },
      "torch cell": { script: "torch_recurrent.py", python: TORCH },
      jax: { script: "jax_recurrent.py", python: JAX },
      "jax inside": { script: "jax_recurrent.py", python: JAX },
    },
    unit: "ms",
    products: true,
    rows: ["gru-t25-b96-h64", "gru-t128-b32-h64", "gru-t340-b32-h32"].map((name) => ({
      name,
      peers: { torch: name, "torch cell": `${name}:cell`, jax: name, "jax inside": `${name}:inside` },
    })),
  },
  stackelberg: {
    title: "(e) gradient of a leader through a follower's steps, float64",
    scripts: { torch: { script: "torch_stackelberg.py", python: TORCH } },
    unit: "ms",
    rows: ["stackelberg-box-k10", "stackelberg-box-k20", "stackelberg-ball-k10"].flatMap((name) => [
      { name, peers: { torch: name } },
      { name: `${name}:products`, peers: { torch: name } },
    ]),
  },
  attacks: {
    title: "(f) attacks on 512 observations of an imported policy",
    scripts: { torch: { script: "torch_attacks.py", python: TORCH } },
    unit: "ms",
    products: true,
    rows: ["fgsm-512", "pgd10-512"].flatMap((name) => [
      { name, peers: { torch: name } },
      { name: `${name}:program`, peers: { torch: name } },
    ]),
  },
};
