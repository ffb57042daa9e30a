/**
 * Pictures of results: data in, SVG and HTML strings out, and a player for the page. Pages put `viewsStyle` into a
 * style sheet once and set `color-scheme` on the root element.
 */

export { contrastRatio, scaleColor, type Theme, textColor } from "./color.js";
export { type CurveSize, renderCurves } from "./curves.js";
export type { CurveData, CurveSeries, MatrixCell, MatrixColumn, MatrixData } from "./data.js";
export { groupColumns, renderHeatmap, renderSeedTable } from "./heatmap.js";
export { inferLanguage, speakersOf } from "./language.js";
export { mountPlayer, type ReplayPlayer, type StageKit } from "./player.js";
export {
  attachReplay,
  choosePanels,
  embedJson,
  playerScript,
  type ReplayOptions,
  type ReplayPanel,
  renderReplay,
  stageKit,
} from "./replay.js";
export { extent, formatCount, linearScale, niceDomain, niceTicks } from "./scale.js";
export {
  type Announcement,
  announcements,
  describeAction,
  escapeMarkup,
  formatNumber,
  goalLabel,
  renderFrame,
  renderReturns,
  renderStatus,
  returnRange,
  returnsSoFar,
  type WorldBounds,
  worldBounds,
} from "./stage.js";
export { renderStill } from "./still.js";
export { standaloneSvg, viewsStyle } from "./theme.js";
