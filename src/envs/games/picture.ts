/** Pictures of games without a place: players in a row, and above each what it holds or did. */
import type { Frame, FrameShape } from "../../env/contract.js";

const SPACING = 1.5;

/**
 * @param labels [n] a card or an action for every player; "" for nothing
 * @param captions what else there is to know
 * @param active the player who moves next, who stands out; −1: nobody in particular
 */
export function playersInARow(
  agents: readonly string[],
  labels: readonly string[],
  captions: readonly string[],
  active = -1,
): Frame {
  const players = agents.map(
    (agent, i): FrameShape => ({
      ...{ kind: "circle", x: i * SPACING, y: 0, radius: 0.4, role: "agent", agent },
      color: i === active ? "rgb(200, 120, 40)" : "rgb(70, 70, 170)",
    }),
  );
  const things = labels.flatMap((label, i): FrameShape[] => {
    const place = { x: i * SPACING, y: 0.8, radius: 0.2 };
    return label === ""
      ? []
      : [{ kind: "circle", ...place, color: "rgb(225, 225, 225)", role: "landmark", label }];
  });
  return {
    shapes: [...players, ...things],
    captions: captions.filter((line) => line !== ""),
    bounds: { left: -1, right: (agents.length - 1) * SPACING + 1, bottom: -1, top: 1.6 },
  };
}
