/** The page around the views: one column, a few type sizes, the same colours. */

export const pageStyle = `
:root { color-scheme: light dark; }
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }
*, ::before, ::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; scroll-padding-top: 3.5rem; }
body { margin: 0; background: var(--phx-ground); color: var(--phx-ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif; }
a { color: var(--phx-focus); text-underline-offset: .15em; }
.page { max-width: 1160px; margin: 0 auto; padding: 0 28px 72px; }
.phx-replay { --phx-sticky-top: 46px; }
.bar { position: sticky; top: 0; z-index: 3; background: var(--phx-ground); border-bottom: 1px solid var(--phx-rule); }
.bar > div { max-width: 1160px; margin: 0 auto; padding: 0 28px; display: flex; gap: 1.3em; align-items: center; min-height: 46px; font-size: .875rem; }
.bar nav { display: flex; gap: 1.3em; overflow-x: auto; flex: 1; scrollbar-width: none; }
.bar nav a { color: var(--phx-quiet); text-decoration: none; white-space: nowrap; padding: .7em 0; }
.bar nav a:hover { color: var(--phx-ink); }
.quiet-button { font: inherit; font-size: .875rem; color: var(--phx-ink); background: none; border: 1px solid var(--phx-rule); border-radius: 6px; padding: .25em .7em; cursor: pointer; white-space: nowrap; }
.quiet-button:hover { background: var(--phx-raised); }
.quiet-button:focus-visible, a:focus-visible, summary:focus-visible { outline: 2px solid var(--phx-focus); outline-offset: 2px; border-radius: 4px; }
header { padding: 3rem 0 0; max-width: 46rem; }
h1 { font-size: clamp(1.75rem, 1.2rem + 2.2vw, 2.5rem); line-height: 1.12; letter-spacing: -.022em; font-weight: 700; margin: 0 0 .5rem; text-wrap: balance; overflow-wrap: anywhere; }
.question { font-size: 1.1875rem; line-height: 1.45; color: var(--phx-quiet); margin: 0; text-wrap: pretty; }
.question, .unfinished, .lead, .references, h3, summary { overflow-wrap: anywhere; }
.unfinished { margin: 1.2rem 0 0; padding: .5em .9em; border-left: 3px solid var(--phx-attack); background: var(--phx-raised); font-size: .9375rem; }
section { margin-top: 3.25rem; }
h2 { font-size: 1.375rem; line-height: 1.25; letter-spacing: -.012em; font-weight: 650; margin: 0 0 .9rem; }
h3 { font-size: 1rem; font-weight: 650; margin: 0 0 .5rem; }
.lead { max-width: 44rem; margin: -.4rem 0 1.2rem; color: var(--phx-quiet); text-wrap: pretty; }
.summary { list-style: none; margin: 2rem 0 0; padding: 0; border-top: 1px solid var(--phx-rule); }
.summary li { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: .3em 2.5em; padding: .85em 0; border-bottom: 1px solid var(--phx-rule); }
.summary p { margin: 0; font-size: 1.0625rem; line-height: 1.45; text-wrap: pretty; overflow-wrap: anywhere; }
.numbers { margin: .15em 0 0; display: grid; grid-template-columns: minmax(0, 1fr) fit-content(65%); gap: .15em 1em; font-size: .875rem; align-content: start; font-variant-numeric: tabular-nums; }
.numbers dt { color: var(--phx-quiet); overflow-wrap: anywhere; }
.numbers dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
.references { margin: .8em 0 0; font-size: .8125rem; color: var(--phx-quiet); }
.references b { color: var(--phx-ink); font-weight: 600; font-variant-numeric: tabular-nums; }
.curve-grid { display: grid; gap: 2.2rem 2.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.curve-grid figure { margin: 0; min-width: 0; }
.curve-grid .narrow { display: none; }
.plot-note { font-size: .8125rem; color: var(--phx-quiet); margin: .9em 0 0; }
.gain { width: 150px; height: 18px; display: block; margin: 0 0 -4px; overflow: visible; }
.gain .zero { stroke: var(--phx-quiet); stroke-width: 1; }
.gain .bar { stroke: var(--phx-true); stroke-width: 5; stroke-opacity: .35; }
.gain .seed { stroke: var(--phx-true); stroke-width: 1.5; }
.gain .worse { stroke: var(--phx-attack); }
.spark { width: 90px; height: 18px; display: inline-block; vertical-align: middle; }
.spark path { fill: none; stroke: var(--phx-ink); stroke-width: 1.5; }
.note { color: var(--phx-quiet); font-size: .8125rem; }
.phx-table td.phx-left { min-width: 8em; }
.phx-table .words { text-align: left; overflow-wrap: anywhere; min-width: 12em; max-width: 24em; }
.threats { display: grid; gap: 1.4rem 2.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); }
.threats p { margin: 0 0 .5rem; font-size: .9375rem; overflow-wrap: anywhere; }
.facts { margin: 0; display: grid; grid-template-columns: fit-content(45%) minmax(0, 1fr); gap: .1em 1.2em; font-size: .875rem; }
.facts dt { color: var(--phx-quiet); }
.facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.methods { max-width: 44rem; }
.methods p { margin: 0 0 .8em; text-wrap: pretty; overflow-wrap: anywhere; }
details { margin-top: 1rem; border-top: 1px solid var(--phx-rule); }
summary { cursor: pointer; padding: .65em 0; font-size: .9375rem; font-weight: 600; }
.code { position: relative; }
.code .quiet-button { position: absolute; right: .7rem; top: .7rem; background: var(--phx-ground); }
pre { margin: 0; padding: 1rem 1.1rem; overflow-x: auto; background: var(--phx-raised); border-radius: 6px; font: .8125rem/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; tab-size: 2; }
@media (max-width: 640px) {
  .page, .bar > div { padding-left: 16px; padding-right: 16px; }
  header { padding-top: 1.8rem; }
  section { margin-top: 2.5rem; }
  .summary li { grid-template-columns: minmax(0, 1fr); }
  .curve-grid .wide { display: none; }
  .curve-grid .narrow { display: block; }
}
@page { margin: 15mm 14mm; }
@media print {
  :root, :root[data-theme] { color-scheme: light; }
  body { font-size: 10pt; }
  .bar, .quiet-button { display: none; }
  .page { max-width: none; padding: 0; }
  header { padding-top: 0; }
  section { margin-top: 1.8rem; }
  h2, h3, .lead { break-after: avoid; }
  .curve-grid { grid-template-columns: 1fr 1fr; gap: 1.2rem; }
  .phx-panels { grid-template-columns: repeat(var(--panels), minmax(0, 1fr)); gap: 1em; }
  .phx-table { min-width: 0; font-size: 8pt; }
  .phx-scroll { overflow: visible; }
  .phx-table tr { break-inside: avoid; }
  pre { white-space: pre-wrap; }
}
`;
