"""The style sheet of the page about a device's latency: light, two columns on a desk, one on a phone."""

STYLE = """
:root { color-scheme: light; --page: #fbfbfa; --card: #ffffff; --ink: #1d2129; --soft: #565f6c; --rule: #e2e4e8;
  --good: #1a7f4b; --bad: #b3261e; --alert: #fff4e6; --alert-rule: #d4680a; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 36px 24px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 14px; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 44px 0 6px; }
p { margin: 0 0 14px; max-width: 90ch; }
.note { color: var(--soft); font-size: 14px; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 10px 22px; margin: 0; }
dl + .note { margin-top: 16px; }
.facts dt { color: var(--soft); font-size: 12.5px; }
.facts dd { margin: 0; font-size: 14.5px; overflow-wrap: anywhere; }
.alert { background: var(--alert); border-left: 4px solid var(--alert-rule); border-radius: 4px;
  padding: 10px 16px; margin: 20px 0 0; font-size: 14.5px; }
.alert ul { margin: 4px 0 0; padding-left: 20px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px; margin: 26px 0 10px; }
.card, figure { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.card { padding: 14px 16px; }
.card b { display: block; font-size: 26px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { display: block; color: var(--soft); font-size: 13px; }
.good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14.5px; font-variant-numeric: tabular-nums; margin: 8px 0 0; }
th, td { padding: 7px 26px 7px 0; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); font-size: 13px; }
th:first-child, td:first-child { text-align: left; }
tr.chosen td { font-weight: 600; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr)); gap: 16px; }
figure { margin: 0; padding: 14px 16px; min-width: 0; display: flex; flex-direction: column;
  justify-content: space-between; }
figcaption { font-weight: 600; font-size: 14.5px; margin-bottom: 8px; }
figcaption small { display: block; font-weight: 400; color: var(--soft); font-size: 13px; }
svg { display: block; width: 100%; height: auto; }
@media (max-width: 560px) { main { padding: 20px 10px 40px; } figure { padding: 12px 8px; } h1 { font-size: 23px; }
  .cards { grid-template-columns: repeat(2, 1fr); gap: 10px; } .card b { font-size: 22px; }
  .facts { grid-template-columns: repeat(2, 1fr); } }
@media print { main { padding: 0; } figure, .card { break-inside: avoid; } }
"""
