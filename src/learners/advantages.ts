/** Returns and advantages of on-policy learners. */

export interface AdvantageInputs {
  /** T, E, n */
  readonly steps: number;
  readonly copies: number;
  readonly agents: number;
  /** [T, E, n] */
  readonly reward: Float64Array;
  /** [T+1, E, n] critic values of the states in which actions were taken, and of the state reached last */
  readonly value: Float64Array;
  /** [T, E] */
  readonly terminated: Uint8Array;
  readonly truncated: Uint8Array;
  /** [T, E, n] critic value of the last state of a truncated episode, before the reset; read only where `truncated` */
  readonly finalValue: Float64Array;
  /** discount in [0, 1] */
  readonly gamma: number;
  /** trace decay in [0, 1] */
  readonly gaeLambda: number;
  /**
   * What a time limit means. "bootstrap": the final state's value counts, the trace is cut (default). "drop": no
   * advantage at the truncated step (HARL, EIR, BATPAL). "terminal": no value beyond (cleanrl).
   */
  readonly timeLimit: "bootstrap" | "drop" | "terminal";
}

/**
 * Generalised advantage estimation (Schulman 2016, eq. 16), backwards in time in float64.
 *
 * δ_t = r_t + γ·V' − V_t and A_t = δ_t + γλ·A_{t+1}, where V' is 0 after termination, the final state's value after
 * truncation, V_{t+1} otherwise, and the trace ends with the episode.
 *
 * @param advantage out [T, E, n]; add `value` for the critic's target
 */
export function computeAdvantages(inputs: AdvantageInputs, advantage: Float64Array): void {
  const { steps, copies, agents, reward, value, terminated, truncated, finalValue, gamma, gaeLambda } =
    inputs;
  const width = copies * agents;
  for (let t = steps - 1; t >= 0; t--) {
    for (let e = 0; e < copies; e++) {
      const cell = t * copies + e;
      const isTerminal = terminated[cell] === 1 || (truncated[cell] === 1 && inputs.timeLimit === "terminal");
      const isCut = !isTerminal && truncated[cell] === 1;
      for (let i = 0; i < agents; i++) {
        const k = cell * agents + i;
        if (isCut && inputs.timeLimit === "drop") {
          advantage[k] = 0;
          continue;
        }
        const next = isTerminal ? 0 : isCut ? finalValue[k]! : value[k + width]!;
        const delta = reward[k]! + gamma * next - value[k]!;
        const carried = isTerminal || isCut || t === steps - 1 ? 0 : advantage[k + width]!;
        advantage[k] = delta + gamma * gaeLambda * carried;
      }
    }
  }
}

/**
 * Standardise over the entries of weight 1, in place: (A − mean) / (std + ε); the others become 0.
 * @returns false if no entry has weight 1
 */
export function normalizeAdvantages(advantage: Float64Array, weight: Float32Array, epsilon: number): boolean {
  let sum = 0;
  let count = 0;
  for (let k = 0; k < advantage.length; k++) {
    if (weight[k] === 0) continue;
    sum += advantage[k]!;
    count++;
  }
  if (count === 0) return false;
  const mean = sum / count;
  let squares = 0;
  for (let k = 0; k < advantage.length; k++) if (weight[k] !== 0) squares += (advantage[k]! - mean) ** 2;
  const scale = 1 / (Math.sqrt(squares / count) + epsilon);
  for (let k = 0; k < advantage.length; k++)
    advantage[k] = weight[k] === 0 ? 0 : (advantage[k]! - mean) * scale;
  return true;
}
