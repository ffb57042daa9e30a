/** The look of all views: one style sheet, light and dark by `color-scheme`, so a page toggles one property. */

/**
 * CSS of heat map, curves and replay. Colours are `light-dark()` pairs: set `color-scheme: light`, `dark` or
 * `light dark` (as the system) on the root element. Every pair has at least 4.5 : 1 for text and 3 : 1 for marks.
 */
export const viewsStyle = `
:root {
  --phx-ground: light-dark(#ffffff, #15181c);
  --phx-raised: light-dark(#f6f6f4, #1d2126);
  --phx-ink: light-dark(#1b1f24, #e8eaed);
  --phx-quiet: light-dark(#5b626b, #a3abb5);
  --phx-rule: light-dark(#dfe1e4, #30363d);
  --phx-focus: light-dark(#0b62b8, #6db3f8);
  --phx-attack: light-dark(#c2300c, #ff8a66);
  --phx-goal: light-dark(#00755a, #3ecfa3);
  --phx-true: light-dark(#0b62b8, #6db3f8);
  --phx-deceived: light-dark(#7a3ea8, #c9a0f0);
  --phx-c0: light-dark(#0b62b8, #6db3f8);
  --phx-c1: light-dark(#b84800, #ff9d57);
  --phx-c2: light-dark(#00755a, #3ecfa3);
  --phx-c3: light-dark(#a5347f, #f08dca);
  --phx-c4: light-dark(#7a6200, #dcc04a);
  --phx-c5: light-dark(#5d4fb3, #ada2f5);
  --phx-c6: light-dark(#4b5158, #b5bcc4);
}
.phx-sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.phx-quiet { color: var(--phx-quiet); }
.phx-scroll { overflow-x: auto; position: relative; }
.phx-scroll:focus-visible, .phx-replay:focus-visible { outline: 2px solid var(--phx-focus); outline-offset: 4px; border-radius: 6px; }

.phx-matrix table { border-collapse: separate; border-spacing: 0 3px; width: 100%; min-width: calc(12em + var(--columns) * 7.7em); table-layout: fixed; font-variant-numeric: tabular-nums; }
.phx-matrix thead td:first-child { width: 12em; }
.phx-gap { width: 16px; padding: 0; }
.phx-matrix th { font-weight: inherit; text-align: left; }
.phx-kind { font-size: .8125rem; line-height: 1.35; color: var(--phx-quiet); padding: 0 0 .4em; border-bottom: 2px solid var(--phx-ink); vertical-align: bottom; }
.phx-kind b { display: block; color: var(--phx-ink); font-weight: 650; }
.phx-kind span { display: block; }
.phx-column { vertical-align: top; padding: .55em .6em .6em 0; }
.phx-column b, .phx-team b { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; font-weight: 600; line-height: 1.3; overflow-wrap: anywhere; }
.phx-column span, .phx-team span { display: block; margin-top: .15em; font-size: .8125rem; line-height: 1.35; color: var(--phx-quiet); overflow-wrap: anywhere; }
.phx-team { vertical-align: middle; padding: .4em .4em .4em 0; position: sticky; left: 0; background: var(--phx-ground); z-index: 1; }
.phx-cell { padding: .6em .75em .7em; border-radius: 0; border-right: 3px solid var(--phx-ground); background: light-dark(var(--bg-light), var(--bg-dark)); color: light-dark(var(--ink-light), var(--ink-dark)); vertical-align: middle; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.phx-cell-label { display: none; }
.phx-cell-body { display: block; }
.phx-mean { display: block; font-size: 1.5rem; line-height: 1.15; font-weight: 600; letter-spacing: -.01em; }
.phx-interval, .phx-partial { display: block; font-size: .8125rem; line-height: 1.5; white-space: nowrap; }
.phx-partial { font-style: italic; white-space: normal; }
.phx-strip { display: block; width: 100%; height: 14px; margin: .3em 0 0; overflow: visible; }
.phx-strip line { stroke: currentColor; vector-effect: non-scaling-stroke; }
.phx-strip-seed { stroke-width: 1.5; }
.phx-strip-axis { stroke-opacity: .3; stroke-width: 1; }
.phx-strip-bar { stroke-opacity: .35; stroke-width: 6; }
.phx-empty { background: repeating-linear-gradient(135deg, var(--phx-raised) 0 6px, var(--phx-ground) 6px 12px); color: var(--phx-quiet); }
.phx-flag { font-size: .75rem; font-weight: 600; line-height: 1; letter-spacing: 0; }
sup.phx-flag { margin-left: .35em; vertical-align: .55em; line-height: 0; }
.phx-key { overflow-wrap: anywhere; display: flex; flex-wrap: wrap; gap: .4em 1.6em; align-items: baseline; margin-top: .9em; font-size: .8125rem; color: var(--phx-quiet); }
.phx-key > span:last-child { flex: 1 1 28em; }
.phx-ramp-row { display: inline-flex; gap: .6em; align-items: center; white-space: nowrap; font-variant-numeric: tabular-nums; }
.phx-ramp { width: 130px; height: 10px; border-radius: 2px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.phx-flags { overflow-wrap: anywhere; margin-top: .9em; font-size: .8125rem; }
.phx-flags p { margin: 0 0 .3em; color: var(--phx-quiet); }
.phx-flags ol { list-style: none; margin: 0; padding: 0; display: grid; gap: .3em; }
.phx-flags li { display: grid; grid-template-columns: 2.2em minmax(0, 1fr); align-items: baseline; }
.phx-flags .phx-flag, .phx-health { color: var(--phx-attack); }
.phx-dense .phx-mean { font-size: 1.0625rem; }
.phx-dense .phx-cell { padding: .4em .3em; }
.phx-dense .phx-column b, .phx-dense .phx-team b { font-size: .8125rem; }
.phx-dense .phx-partial, .phx-dense .phx-interval, .phx-dense .phx-column span, .phx-dense .phx-team span { font-size: .6875rem; }
.phx-dense table { min-width: calc(11em + var(--columns) * 7em); }
.phx-dense .phx-interval { letter-spacing: -.02em; }
@media (max-width: 640px) {
  .phx-matrix table { display: block; min-width: 0; }
  .phx-matrix tbody, .phx-matrix tr { display: block; }
  .phx-matrix thead, .phx-gap { display: none; }
  .phx-team { display: block; position: static; padding: .9em 0 .4em; }
  .phx-matrix tr { padding-bottom: .5em; }
  .phx-matrix .phx-cell, .phx-dense .phx-cell { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 9.5em); gap: .8em; align-items: center; padding: .5em .8em; margin-bottom: 3px; border: 0; }
  .phx-cell-label { display: block; font-weight: 600; line-height: 1.25; overflow-wrap: anywhere; }
  .phx-cell-label small { display: block; font-size: .75rem; font-weight: 400; }
  .phx-mean, .phx-dense .phx-mean { font-size: 1.25rem; }
  .phx-strip { margin-top: .1em; }
}

.phx-table { border-collapse: collapse; width: 100%; min-width: 46em; font-size: .875rem; font-variant-numeric: tabular-nums; }
.phx-table th, .phx-table td { padding: .42em .8em .42em 0; text-align: right; border-bottom: 1px solid var(--phx-rule); vertical-align: baseline; }
.phx-table thead th { font-weight: 600; color: var(--phx-quiet); font-size: .8125rem; border-bottom: 1px solid var(--phx-quiet); vertical-align: bottom; }
.phx-table tbody th { font-weight: 600; min-width: 6em; }
.phx-table th:first-child, .phx-table .phx-left { text-align: left; }
.phx-table td:last-child, .phx-table th:last-child { padding-right: 0; }

.phx-curves { display: block; width: 100%; height: auto; font-size: 12.5px; font-variant-numeric: tabular-nums; overflow: visible; }
.phx-curves text { fill: var(--phx-quiet); font-family: inherit; }
.phx-gridline { stroke: var(--phx-rule); }
.phx-baseline, .phx-tickmark { stroke: var(--phx-quiet); }
.phx-curve-mean { fill: none; stroke: var(--c); stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
.phx-curve-seed { fill: none; stroke: var(--c); stroke-width: .8; stroke-opacity: .45; stroke-linejoin: round; }
.phx-curve-band { fill: var(--c); fill-opacity: .14; }
.phx-curve-dot { fill: var(--c); }
.phx-curves .phx-curve-name { fill: var(--c); font-weight: 600; }
${[0, 1, 2, 3, 4, 5, 6].map((at) => `.phx-c${at} { --c: var(--phx-c${at}); }`).join(" ")}

.phx-replay { border-radius: 6px; }
.phx-transport { display: flex; flex-wrap: wrap; gap: .5em .9em; align-items: center; margin-bottom: .9em; }
.phx-transport[hidden], .phx-choice[hidden] { display: none; }
.phx-buttons { display: inline-flex; gap: 2px; }
.phx-button { display: inline-grid; place-items: center; width: 36px; height: 36px; padding: 0; border: 0; border-radius: 6px; background: none; color: var(--phx-ink); cursor: pointer; }
.phx-button:hover { background: var(--phx-raised); }
.phx-scrub { border-radius: 6px; }
.phx-button:focus-visible, .phx-scrub:focus-visible, .phx-select select:focus-visible { outline: 2px solid var(--phx-focus); outline-offset: 1px; }
.phx-button-play { background: var(--phx-ink); color: var(--phx-ground); border-radius: 50%; }
.phx-button-play:hover { background: var(--phx-quiet); }
.phx-icon { width: 16px; height: 16px; grid-area: 1 / 1; }
.phx-icon path { fill: currentColor; stroke: currentColor; stroke-width: 1.2; stroke-linejoin: round; }
.phx-icon-pause, .phx-is-playing .phx-icon-play { visibility: hidden; }
.phx-is-playing .phx-icon-pause { visibility: visible; }
.phx-scrub { flex: 1 1 10em; min-width: 6em; accent-color: var(--phx-ink); height: 24px; margin: 0; }
.phx-clock { font-size: .875rem; min-width: 3.6em; text-align: right; font-variant-numeric: tabular-nums; color: var(--phx-quiet); }
.phx-select select { font: inherit; font-size: .875rem; color: inherit; background: var(--phx-ground); border: 1px solid var(--phx-rule); border-radius: 6px; padding: .3em .45em; max-width: 100%; min-width: 0; }
.phx-panels { display: grid; gap: 1.6em; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
.phx-panel { margin: 0; min-width: 0; max-width: 560px; }
.phx-panel figcaption { margin-bottom: .45em; min-height: 2.1em; }
.phx-choice { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); gap: .4em; }
.phx-choice select { width: 100%; font-weight: 600; }
.phx-stage { display: block; width: 100%; height: auto; border-radius: 6px; font-size: 12px; user-select: none; }
.phx-ground { fill: var(--phx-raised); }
.phx-grid { stroke: var(--phx-rule); stroke-width: .6; fill: none; stroke-opacity: .75; }
.phx-landmark, .phx-obstacle, .phx-goal { stroke: var(--phx-ink); stroke-opacity: .5; stroke-width: .75; }
.phx-agent { stroke: var(--phx-ink); stroke-opacity: .7; stroke-width: 1.25; }
.phx-goal-ring { fill: none; stroke: var(--phx-goal); stroke-width: 2.25; }
.phx-announced { fill: none; stroke: currentColor; stroke-width: 2; stroke-dasharray: 4 3; }
.phx-message { fill: none; stroke: currentColor; stroke-width: 1.5; stroke-dasharray: 2 4; stroke-linecap: round; }
.phx-arrow { fill: currentColor; }
.phx-true { color: var(--phx-true); }
.phx-false { color: var(--phx-attack); }
.phx-trail, .phx-dot, .phx-origin { --trail: color-mix(in oklab, var(--agent) 55%, var(--phx-ink)); }
.phx-trail { fill: none; stroke: var(--trail); stroke-width: 1.75; stroke-opacity: .6; stroke-linejoin: round; stroke-linecap: round; }
.phx-dot { fill: var(--trail); }
.phx-origin { fill: var(--phx-raised); stroke: var(--trail); stroke-width: 1.75; }
.phx-hijacked { fill: none; stroke: var(--phx-attack); stroke-width: 1.75; stroke-dasharray: 3 3; }
.phx-controlled { stroke-width: 3; stroke-dasharray: none; }
.phx-deceived { fill: none; stroke: var(--phx-deceived); stroke-width: 2.5; stroke-dasharray: 1 3.6; stroke-linecap: round; }
.phx-stage-label { fill: var(--phx-ink); font-family: inherit; font-weight: 500; paint-order: stroke; stroke: var(--phx-raised); stroke-width: 3.5px; stroke-linejoin: round; }
.phx-word-ink { fill: var(--phx-ink); }
.phx-word-quiet { fill: var(--phx-quiet); }
.phx-word-goal { fill: var(--phx-goal); color: var(--phx-goal); font-weight: 650; }
.phx-word-true { fill: var(--phx-true); color: var(--phx-true); font-weight: 650; }
.phx-word-false { fill: var(--phx-attack); color: var(--phx-attack); font-weight: 650; }
.phx-word-deceived { fill: var(--phx-deceived); color: var(--phx-deceived); font-weight: 650; }
.phx-return-row { display: grid; grid-template-columns: auto 4em minmax(0, 1fr); gap: .5em; align-items: center; margin: .7em 0 .2em; font-size: .875rem; }
.phx-return-label { color: var(--phx-quiet); }
.phx-return-sum { font-weight: 650; font-size: 1.125rem; text-align: right; font-variant-numeric: tabular-nums; }
.phx-returns { display: block; width: 100%; height: auto; }
.phx-axis { stroke: var(--phx-rule); fill: none; }
.phx-returns-all { stroke: var(--phx-quiet); stroke-opacity: .45; stroke-width: 1.5; fill: none; }
.phx-returns-played { stroke: var(--phx-ink); stroke-width: 2; fill: none; stroke-linejoin: round; }
.phx-returns-now { fill: var(--phx-ink); }
.phx-status { overflow-wrap: anywhere; font-size: .875rem; line-height: 1.45; font-variant-numeric: tabular-nums; min-height: 6.4em; margin-top: .5em; }
.phx-status p, .phx-agent-row { margin: 0; padding: .32em 0; border-top: 1px solid var(--phx-rule); }
.phx-agent-row { display: grid; grid-template-columns: fit-content(40%) minmax(0, 1fr); gap: .8em; }
.phx-agent-row .phx-fact-line { display: block; }
.phx-agent-name { font-weight: 600; overflow-wrap: anywhere; }
.phx-legend { list-style: none; display: flex; flex-wrap: wrap; gap: .3em 1.4em; margin: .9em 0 0; padding: 0; font-size: .8125rem; color: var(--phx-quiet); }
.phx-legend li { display: inline-flex; gap: .4em; align-items: center; }
.phx-legend svg { width: 18px; height: 18px; flex: none; }
@media (max-width: 640px) {
  .phx-transport { position: sticky; top: var(--phx-sticky-top, 0); z-index: 2; background: var(--phx-ground); padding: .4em 0; }
  .phx-status { min-height: 5em; }
}
@media print { .phx-transport { display: none; } .phx-panel, .phx-matrix tr, .phx-curves { break-inside: avoid; } }
`;

/** An SVG of these views as a file of its own: the style travels inside. */
export function standaloneSvg(svg: string): string {
  const style = `<style>:root{color-scheme:light dark;font-family:system-ui,sans-serif}${viewsStyle}</style>`;
  const named = svg.includes("xmlns=")
    ? svg
    : svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ');
  return named.replace(/^<svg [^>]*>/, (open) => `${open}${style}`);
}
