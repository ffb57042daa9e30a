import type { Adversary, AdversaryTraining } from "./attack.js";

/**
 * An attack that needs no training: its adversary is ready at once.
 * @param gradientsPerDecision gradients through the team's policy per attacked decision
 */
export function readyAttack(adversary: Adversary, gradientsPerDecision: number): AdversaryTraining {
  return {
    iterations: 0,
    iteration: 0,
    envSteps: 0,
    step: () => {
      throw new RangeError("this attack learns nothing: it has no iterations");
    },
    saveState: () => ({ arrays: {}, meta: {} }),
    loadState: () => {},
    close: () => {},
    adversary: () => adversary,
    effort: () => ({ envSteps: 0, gradientsPerDecision }),
  };
}
