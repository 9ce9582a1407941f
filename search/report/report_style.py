"""The report's style sheet: one palette for light and one for dark, told apart by the reader's own setting."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --ink: #1d2129; --soft: #5d6673; --rule: #e2e4e8; --grid: #eceef1;
  --faint: #b3bac4; --good: #1a7f4b; --bad: #b3261e;
  --s0: #f0b429; --s1: #e07b39; --s2: #cf4a63; --s3: #9a3f86; --s4: #5f3f94; --s5: #2b2f73;
  --c0: #4a5361; --c1: #1f6fb2; --c2: #d4680a; --c3: #2a8f5b; --c4: #8a4fb5; --c5: #b8326b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171c; --card: #1b1f26; --ink: #e6e8ec; --soft: #a0a8b4; --rule: #2e343d; --grid: #262b33;
    --faint: #5c6674; --good: #57c78c; --bad: #ff8a80;
    --s0: #4b5fc4; --s1: #7d6fd6; --s2: #b177cf; --s3: #e07f9f; --s4: #f2a56b; --s5: #f8de7e;
    --c0: #b4bcc8; --c1: #63aef0; --c2: #f5a04e; --c3: #5cc992; --c4: #c08ae8; --c5: #f07aa8;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 28px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 48px 0 6px; letter-spacing: -0.005em; }
p { margin: 0 0 14px; max-width: 75ch; }
.lead, .note { color: var(--soft); }
.note { font-size: 14px; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 13px; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px;
  overflow-x: auto; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 16px; margin: 24px 0 8px; }
.card, figure { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.card { padding: 16px 20px; border-top: 4px solid var(--mark, var(--c0)); }
.card h3 { margin: 0 0 8px; font-size: 15px; font-weight: 600; }
.card .big { display: flex; gap: 26px; margin: 0 0 8px; }
.card .big b { display: block; font-size: 26px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card .big span, .card p { color: var(--soft); font-size: 13px; margin: 0; }
.card.c1 { --mark: var(--c1); } .card.c2 { --mark: var(--c2); } .card.c3 { --mark: var(--c3); }
.card.c4 { --mark: var(--c4); } .card.c5 { --mark: var(--c5); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; margin: 10px 0; }
th, td { padding: 8px 10px; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); font-size: 12.5px; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td small { color: var(--soft); }
table.text td, table.text th { text-align: left; white-space: normal; vertical-align: top; }
table.text td:first-child { white-space: nowrap; color: var(--soft); width: 190px; }
table.text tr.first td { border-top: 2px solid var(--faint); }
table.examples td { padding-top: 5px; padding-bottom: 5px; border-bottom: none; }
figure table { font-size: 13px; } figure th, figure td { padding: 7px 5px; }
.good { color: var(--good); } .bad { color: var(--bad); }
.grid + .note { margin-top: 12px; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 18px; }
.drawings { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 18px; }
figure { margin: 0; padding: 16px 18px; }
figcaption { font-weight: 600; font-size: 14px; margin-bottom: 8px; }
figcaption small { display: block; font-weight: 400; color: var(--soft); font-size: 13px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--ink); font-size: 14px; font-family: inherit; }
svg .tick { fill: var(--soft); font-size: 13.5px; font-variant-numeric: tabular-nums; }
svg.architecture .heading { font-weight: 600; }
svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--faint); }
svg .line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
svg .line.thin { stroke-width: 1; } svg .dashed { stroke-dasharray: 5 4; opacity: 0.75; }
svg .dot { fill: currentColor; } svg .chosen { stroke: var(--card); stroke-width: 2; }
svg .vertical { stroke: currentColor; stroke-width: 1.3; stroke-dasharray: 4 4; }
svg text.label.c0, svg text.label.c1, svg text.label.c2, svg text.label.c3, svg text.label.c4, svg text.label.c5 {
  fill: currentColor; }
svg .band { fill: var(--c1); opacity: 0.1; } svg .diagonal { color: var(--faint); stroke-width: 1.2; }
svg .line.candidate { opacity: 0.9; } svg .candidate { color: var(--faint); } svg .dot.candidate { opacity: 0.6; }
svg .dot.candidate.strong { color: var(--soft); opacity: 0.8; }
svg .front { color: var(--ink); stroke-width: 1.4; }
svg .ffn { fill: var(--mark); opacity: 0.88; } svg .embedding { fill: var(--mark); opacity: 0.35; }
svg .attends { fill: none; stroke: var(--soft); stroke-width: 1.2; opacity: 0.65; } svg .arrow { fill: var(--soft); }
.c0 { color: var(--c0); --mark: var(--c0); } .c1 { color: var(--c1); --mark: var(--c1); }
.c2 { color: var(--c2); --mark: var(--c2); } .c3 { color: var(--c3); --mark: var(--c3); }
.c4 { color: var(--c4); --mark: var(--c4); } .c5 { color: var(--c5); --mark: var(--c5); }
.card, figure { color: var(--ink); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 10px 0 0; padding: 0;
  font-size: 13px; color: var(--soft); }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 7px;
  background: currentColor; }
.swatch.ring { background: none; border: 1.5px solid var(--ink); }
.swatch.candidate { color: var(--faint); } .swatch.front { color: var(--ink); }
.swatch.band { background: var(--c1); opacity: 0.25; border-radius: 2px; }
svg .specks { fill: none; stroke: var(--faint); stroke-width: 3.2; stroke-linecap: round; opacity: 0.55; }
svg .shade { stroke: var(--card); stroke-width: 1; }
.s0 { color: var(--s0); } .s1 { color: var(--s1); } .s2 { color: var(--s2); } .s3 { color: var(--s3); }
.s4 { color: var(--s4); } .s5 { color: var(--s5); }
svg .ring { fill: none; stroke: var(--ink); stroke-width: 1.4; }
svg text.number { font-weight: 600; font-size: 13px; paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.explorer { position: relative; }
.explorer input { position: absolute; opacity: 0; pointer-events: none; }
.choices { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 8px; margin: 4px 0 8px; font-size: 13.5px; }
.choices b { font-weight: 600; color: var(--soft); min-width: 52px; }
.choices label { border: 1px solid var(--rule); border-radius: 999px; padding: 3px 13px; cursor: pointer; }
.choices label:hover { border-color: var(--c1); }
.explorer .plot { display: none; max-width: 860px; margin: 0 auto; }
@media print { main { padding: 0; } figure, .card { break-inside: avoid; } }
"""
