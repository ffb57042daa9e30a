/** Runs one node in this process: trains with checkpoints, or evaluates; leaves a complete folder or a resumable one. */
import os from "node:os";
import type { Adversary, AdversaryTraining, Effort } from "../attacks/attack.js";
import { NonFiniteError, UserError } from "../core/errors.js";
import { AppendOnlyFile, exists, remove, removeTemporary, writeFile, writeJson } from "../core/files.js";
import { encodeSafetensors, type StoredState } from "../core/safetensors.js";
import type { Environment } from "../env/contract.js";
import { completeParameters } from "../env/index.js";
import type { Metrics, SavedState, Training } from "../learners/training.js";
import type { Team } from "../policy/team.js";
import type { Runtime } from "../runtime/index.js";
import { describeThreat } from "../threats/index.js";
import {
  CELL_FILE,
  CHECKPOINT_FILE,
  ERROR_FILE,
  METRICS_FILE,
  NodeFolder,
  STATE_FILE,
  TIMING_FILE,
  type Timing,
} from "./artefacts.js";
import { cellRecord } from "./cell.js";
import { definitionOf } from "./environments.js";
import { importGiven, readGivenPolicies } from "./given-team.js";
import { lockNode } from "./lock.js";
import {
  type AdversaryNode,
  adversarySeed,
  type CellNode,
  type GivenTeamNode,
  type PlanNode,
  type TeamNode,
} from "./plan.js";
import type { Toolbox } from "./toolbox.js";
import { versions } from "./versions.js";

/** How far a node is. */
export interface Progress {
  readonly key: string;
  /** share of its work, in [0, 1] */
  readonly done: number;
  readonly envSteps: number;
  /** mean episode return of the last iteration, where there is one */
  readonly currentReturn: number | null;
}

export interface RunContext {
  /** the experiment's folder */
  readonly root: string;
  readonly toolbox: Toolbox;
  readonly runtime: Runtime;
  /** seconds between two checkpoints; does not change results */
  readonly checkpointSeconds: number;
  /** least time between two reports of progress */
  readonly progressMs: number;
  /** true: save and return as soon as possible */
  stopRequested(): boolean;
  onProgress(progress: Progress): void;
  /** a sentence worth showing */
  onNote(text: string): void;
}

export type Outcome = "done" | "stopped";

/**
 * @throws NonFiniteError after saving the last good state; UserError, SystemError as they come
 */
export async function runNode(node: PlanNode, context: RunContext): Promise<Outcome> {
  const folder = new NodeFolder(context.root, node);
  const release = await lockNode(context.root, node.key);
  try {
    removeTemporary(folder.directory, 1);
    if (node.kind === "team") return await runTeam(node, folder, context);
    if (node.kind === "given") return await runGivenTeam(node, folder, context);
    if (node.kind === "adversary") return await runAdversary(node, folder, context);
    return await runCell(node, folder, context);
  } catch (error) {
    const { name, message, stack } = error as Error;
    writeJson(folder.file(ERROR_FILE), {
      name,
      message,
      stack: error instanceof UserError ? undefined : stack,
    });
    throw error;
  } finally {
    release();
  }
}

type Environments = (
  copies: number,
  options?: { readonly keepFinalFrames?: boolean },
) => Promise<Environment>;

async function environmentsOf(node: PlanNode, { toolbox }: RunContext): Promise<Environments> {
  const definition = await definitionOf(node.environment, toolbox.registries.environments);
  // A dynamics threat is the same environment with other parameters.
  const threat = node.kind === "adversary" || node.kind === "cell" ? node.threat : null;
  const changed = threat?.channel === "dynamics" ? threat.parameters : {};
  const parameters = completeParameters(definition, { ...node.environment.parameters, ...changed });
  return (copies, options) => definition.create(parameters, { copies, ...options });
}

// TEAM

async function runTeam(node: TeamNode, folder: NodeFolder, context: RunContext): Promise<Outcome> {
  const { toolbox, runtime } = context;
  const defense = toolbox.registries.defenses.get(node.defense.name);
  const createEnvironment = await environmentsOf(node, context);
  const training = await defense.start(
    {
      runtime,
      createEnvironment,
      seed: node.seed,
      steps: node.steps,
      learner: node.learner,
      threat: node.threat,
      ignore: node.ignore,
    },
    node.defense.options,
  );
  try {
    const clock = await train(node, folder, training, context);
    if (clock === null) return "stopped";
    const team = training.team();
    folder.writeState(STATE_FILE, toolbox.saveTeam(team));
    const metadata = {
      phalanxRun: node.key,
      seed: String(node.seed),
      environmentParameters: JSON.stringify(node.environment.parameters),
    };
    for (const { fileName, bytes } of toolbox.exportPolicies(runtime, team, metadata))
      folder.write(fileName, bytes);
    folder.include(METRICS_FILE);
    writeTiming(folder, clock);
    folder.finish(node, node.threat === null ? null : describeThreat(node.threat), {
      environmentSteps: training.envSteps,
    });
    return "done";
  } finally {
    training.close();
  }
}

/** The policies of a team that was made elsewhere, in the form that trained ones have. */
async function runGivenTeam(node: GivenTeamNode, folder: NodeFolder, context: RunContext): Promise<Outcome> {
  const started = performance.now();
  const files = readGivenPolicies(node.policies);
  const environment = await (await environmentsOf(node, context))(1);
  environment.close();
  const team = importGiven(node.policies, files, environment.spec);
  folder.writeState(STATE_FILE, context.toolbox.saveTeam(team));
  for (const [i, bytes] of files.entries())
    folder.write(files.length === 1 ? "policy.onnx" : `policy.${i}.onnx`, bytes);
  writeTiming(folder, { wallSeconds: (performance.now() - started) / 1000, interruptions: 0 });
  folder.finish(node, null, {});
  return "done";
}

// ADVERSARY

async function loadTeamOf(
  node: AdversaryNode | CellNode,
  createEnvironment: Environments,
  context: RunContext,
): Promise<Team> {
  const teamFolder = new NodeFolder(context.root, { folder: node.teamFolder! });
  const environment = await createEnvironment(1);
  try {
    return context.toolbox.loadTeam(
      teamFolder.readState(STATE_FILE),
      environment.spec,
      teamFolder.file(STATE_FILE),
    );
  } finally {
    environment.close();
  }
}

/** An adversary's training as it stands before its first iteration. */
async function startAttack(
  node: AdversaryNode | CellNode,
  team: Team,
  createEnvironment: Environments,
  steps: number,
  { toolbox, runtime }: RunContext,
): Promise<AdversaryTraining> {
  const attack = toolbox.registries.attacks.get(node.attack!.name);
  const seed = adversarySeed(node.seed);
  return attack.start(
    { runtime, createEnvironment, seed, steps, team, threat: node.threat! },
    node.attack!.options,
  );
}

async function runAdversary(node: AdversaryNode, folder: NodeFolder, context: RunContext): Promise<Outcome> {
  const createEnvironment = await environmentsOf(node, context);
  const team = await loadTeamOf(node, createEnvironment, context);
  const training = await startAttack(node, team, createEnvironment, node.steps, context);
  try {
    const clock = await train(node, folder, training, context);
    if (clock === null) return "stopped";
    folder.writeState(STATE_FILE, training.saveState());
    folder.include(METRICS_FILE);
    writeTiming(folder, clock);
    folder.finish(node, describeThreat(node.threat), { ...training.effort() });
    return "done";
  } finally {
    training.close();
  }
}

// CELL

async function runCell(node: CellNode, folder: NodeFolder, context: RunContext): Promise<Outcome> {
  if (context.stopRequested()) return "stopped";
  const started = performance.now();
  const { toolbox, runtime } = context;
  const createEnvironment = await environmentsOf(node, context);
  const team = node.teamFolder === null ? "uniform" : await loadTeamOf(node, createEnvironment, context);
  let attack: AdversaryTraining | null = null;
  let adversary: Adversary | null = null;
  let effort: Effort = { envSteps: 0, gradientsPerDecision: 0 };
  try {
    if (node.attack !== null && team !== "uniform") {
      attack = await startAttack(node, team, createEnvironment, 1, context);
      if (node.adversaryFolder !== null)
        attack.loadState(
          new NodeFolder(context.root, { folder: node.adversaryFolder }).readState(STATE_FILE),
        );
      adversary = attack.adversary();
      effort = attack.effort();
    }
    const result = await toolbox.evaluate({
      runtime,
      createEnvironment,
      team,
      adversary,
      threat: node.threat,
      episodes: node.episodes,
      seed: node.evaluationSeed,
      films: node.films,
      labels: { team: node.team, adversary: node.adversary },
    });
    folder.write(CELL_FILE, `${JSON.stringify(cellRecord(node, result, effort), null, 1)}\n`);
    for (const [i, film] of result.films.entries()) {
      folder.write(`episodes/${String(i).padStart(3, "0")}.json`, `${JSON.stringify(film)}\n`);
    }
    writeTiming(folder, { wallSeconds: (performance.now() - started) / 1000, interruptions: 0 });
    folder.finish(node, node.threat === null ? null : describeThreat(node.threat), { ...effort });
    context.onProgress({ key: node.key, done: 1, envSteps: result.envSteps, currentReturn: null });
    return "done";
  } finally {
    attack?.close();
  }
}

// TRAINING WITH CHECKPOINTS

interface Clock {
  readonly wallSeconds: number;
  readonly interruptions: number;
}

interface Checkpoint extends Clock {
  readonly state: SavedState;
  readonly metricsBytes: number;
}

/** The last checkpoint of this very run; null where there is none that can be used. */
function readCheckpoint(node: PlanNode, folder: NodeFolder, context: RunContext): Checkpoint | null {
  if (!exists(folder.file(CHECKPOINT_FILE))) return null;
  try {
    const { arrays, meta } = folder.readState(CHECKPOINT_FILE);
    if (meta.key !== node.key) return null;
    return {
      state: { arrays, meta: meta.state as SavedState["meta"] },
      metricsBytes: meta.metricsBytes as number,
      wallSeconds: meta.wallSeconds as number,
      interruptions: (meta.interruptions as number) + 1,
    };
  } catch (error) {
    context.onNote(`${node.label}: starts again; ${(error as Error).message}`);
    return null;
  }
}

function writeCheckpoint(node: PlanNode, folder: NodeFolder, { state, ...rest }: Checkpoint): void {
  const stored = { arrays: state.arrays, meta: { key: node.key, ...rest, state: state.meta } };
  writeFile(folder.file(CHECKPOINT_FILE), encodeSafetensors(stored as StoredState));
}

/**
 * Drive a training to its end, or until asked to stop. The checkpoint is the exact state and the length of the
 * metrics file, so the final files do not depend on when it was written.
 *
 * @returns time spent; null if stopped before the end
 */
async function train(
  node: TeamNode | AdversaryNode,
  folder: NodeFolder,
  training: Training,
  context: RunContext,
): Promise<Clock | null> {
  const last = readCheckpoint(node, folder, context);
  let metrics: AppendOnlyFile;
  try {
    metrics = new AppendOnlyFile(folder.file(METRICS_FILE), last?.metricsBytes ?? 0);
    if (last !== null) training.loadState(last.state);
  } catch (error) {
    if (last === null) throw error;
    // The checkpoint does not fit what is beside it: without it, the run is whole again.
    remove(folder.file(CHECKPOINT_FILE));
    context.onNote(
      `${node.label}: its checkpoint cannot be used and was removed; ${(error as Error).message}`,
    );
    throw new UserError(
      `${node.label}: its checkpoint was damaged and has been removed; run the same command again.`,
    );
  }
  if (last !== null && training.savesEpisodes === false)
    context.onNote(
      `${node.label}: ${node.environment.id} cannot save its state; the episodes that were interrupted begin again, and the result is not that of a run in one go.`,
    );
  const started = performance.now();
  const clock = (): Clock => ({
    wallSeconds: (last?.wallSeconds ?? 0) + (performance.now() - started) / 1000,
    interruptions: last?.interruptions ?? 0,
  });
  const save = () => {
    metrics.flush();
    writeCheckpoint(node, folder, { state: training.saveState(), metricsBytes: metrics.length, ...clock() });
  };
  let savedAt = started;
  let shownAt = Number.NEGATIVE_INFINITY;
  let currentReturn: number | null = null;
  try {
    while (training.iteration < training.iterations) {
      if (context.stopRequested()) {
        save();
        return null;
      }
      const numbers = step(node, folder, training);
      metrics.append(metricsLine(training, numbers));
      if (Number.isFinite(numbers.return)) currentReturn = numbers.return!;
      const now = performance.now();
      if (now - savedAt >= context.checkpointSeconds * 1000 && training.iteration < training.iterations) {
        save();
        savedAt = performance.now();
      }
      if (now - shownAt >= context.progressMs || training.iteration === training.iterations) {
        shownAt = now;
        const done = training.iteration / training.iterations;
        context.onProgress({ key: node.key, done, envSteps: training.envSteps, currentReturn });
      }
      // Lets messages in (a wish to stop) and out (progress).
      await new Promise(setImmediate);
    }
    metrics.flush();
    return clock();
  } finally {
    metrics.close();
  }
}

/** One iteration; if it ends in NaN or infinity, the last good state is kept beside the run. */
function step(node: PlanNode, folder: NodeFolder, training: Training): Metrics {
  try {
    return training.step();
  } catch (error) {
    if ((error as Error).name !== "NonFiniteError") throw error;
    const file = folder.file("last-good.safetensors");
    writeFile(file, encodeSafetensors(training.saveState() as StoredState));
    throw new NonFiniteError(
      `${node.label}, iteration ${training.iteration + 1}: ${(error as Error).message} The last good state is in ${file}.`,
    );
  }
}

/** Numbers that JSON cannot carry (no episode ended: NaN) become null. */
function metricsLine(training: Training, numbers: Metrics): string {
  return `${JSON.stringify({ iteration: training.iteration, envSteps: training.envSteps, ...numbers })}\n`;
}

function writeTiming(folder: NodeFolder, clock: Clock): void {
  const timing: Timing = {
    wallSeconds: Number(clock.wallSeconds.toFixed(3)),
    interruptions: clock.interruptions,
    finished: new Date().toISOString(),
    host: os.hostname(),
    platform: `${os.platform()} ${os.arch()}, ${os.cpus()[0]?.model ?? "unknown processor"}`,
    versions: versions(),
  };
  writeJson(folder.file(TIMING_FILE), timing);
}
