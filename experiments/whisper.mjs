// Only the speaker knows the goal. The listener hears the speaker's last word and walks along a corridor.
import { batchScalar, z } from "phalanx/env";

const oneHot = (n, k) => Array.from({ length: n }, (_, i) => (i === k ? 1 : 0));
const oneOf = (name, size) => ({ name, size, kind: "one-hot", low: 0, high: 1 });

export default batchScalar({
  id: "mine/whisper_v1",
  summary: "Only the speaker knows the goal; the listener hears its last word and walks there.",
  source: "own",
  parameters: { cells: z.int().min(2).max(50).default(5).describe("cells of the corridor, and words") },
  describe: ({ cells }) => {
    const [hear, see] = [[oneOf("position", cells), oneOf("message", cells)], [oneOf("goal", cells)]];
    const [say, walk] = [cells, 3].map((n) => ({ kind: "discrete", n }));
    return {
      groups: [
        { name: "speaker", agents: ["speaker_0"], features: see, action: say },
        { name: "listener", agents: ["listener_0"], features: hear, action: walk },
      ],
      maxSteps: 10,
      savedNumbers: 3,
    };
  },
  create: ({ cells }) => {
    let [goal, position, word] = [0, 0, 0];
    const hears = () => [...oneHot(cells, position), ...oneHot(cells, word)];
    const view = () => ({ obs: { speaker_0: oneHot(cells, goal), listener_0: hears() } });
    const begin = (g, p, w) => {
      [goal, position, word] = [g, p, w];
      return view();
    };
    const step = ({ speaker_0, listener_0 }) => {
      [word, position] = [speaker_0, Math.min(cells - 1, Math.max(0, position + listener_0 - 1))];
      const reward = -Math.abs(goal - position);
      return { ...view(), reward: { speaker_0: reward, listener_0: reward } };
    };
    const reset = (streams) => begin(streams.reset.int(cells), streams.reset.int(cells), -1);
    return { reset, step, saveState: () => [goal, position, word], loadState: ([g, p, w]) => begin(g, p, w) };
  },
});
