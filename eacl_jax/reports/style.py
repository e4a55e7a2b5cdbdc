"""The pages' style sheet."""

from eacl_jax.reports.theme import DARK, LIGHT, Theme


def _variables(theme: Theme) -> str:
    named = ("surface", "panel", "ink", "muted", "line", "before", "after", "warn")
    return "".join(f"--{name}:{getattr(theme, name)};" for name in named)


# Dark only on a screen: paper is white. The figures' <picture> follows the same query.
DARK_QUERY = "screen and (prefers-color-scheme: dark)"

STYLE_SHEET = (
    f"""
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media {DARK_QUERY} {{ :root {{ {_variables(DARK)} }} }}
"""
    + """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 1.5rem 1rem 3rem; background: var(--surface); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .3rem; padding-top: .9rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 .3rem; }
p { margin: .3rem 0 .8rem; max-width: 46rem; }
.caption { margin: .6rem 0 .3rem; }
.quiet, figcaption, caption, .caption { color: var(--muted); font-size: .9rem; }
.verdict { font-size: 1.12rem; }
.notice { border: 1px solid var(--line); border-left: 6px solid var(--muted); border-radius: 4px; background: var(--panel);
  padding: .7rem 1rem; margin: 1rem 0; max-width: 46rem; }
.warning { border-color: var(--warn); border-width: 2px 2px 2px 8px; }
.notice p { margin: 0; }
.bars { margin: 1.2rem 0; max-width: 46rem;
  display: grid; grid-template-columns: max-content 1fr; gap: .5rem .9rem; align-items: center; }
.bars dt { max-width: 17rem; overflow-wrap: anywhere; }
.bars dd { margin: 0; display: flex; align-items: center; gap: .6rem; }
.bars .track { flex: 1; height: 1.5rem; background: var(--panel); border-radius: 3px; }
.bars .fill { display: block; height: 100%; border-radius: 3px; }
.bars b { min-width: 3.4rem; text-align: right; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.after { background: var(--after); } .before { background: var(--before); } .baseline { background: var(--muted); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .32rem .5rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: middle; }
thead th { font-size: .85rem; color: var(--muted); font-weight: 600; vertical-align: bottom; }
th.number, td.number { text-align: right; } td.number { white-space: nowrap; }
td .wraps { white-space: normal; }
tbody th { font-weight: 500; }
.classes tbody th { min-width: 7rem; overflow-wrap: anywhere; }
.settings td, .settings th { overflow-wrap: anywhere; }
td .fill { display: block; height: .35rem; border-radius: 2px; margin: .15rem 0 0; }
tfoot th, tfoot td { font-weight: 600; border-bottom: 0; }
td.up { color: var(--after); } td.down { color: var(--warn); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
  gap: 1.6rem 2.2rem; align-items: start; }
.pair > * { min-width: 0; }
.alone > * + * { margin-top: 1.5rem; }
figure { margin: 0; }
figure .scroll img { display: block; height: auto; max-width: 100%; }
@media (min-width: 900px) {
  .beside figure { display: grid; grid-template-columns: max-content minmax(0, 1fr); column-gap: 2.2rem; }
  .beside h3 { grid-column: 1 / -1; }
}
figcaption { margin-top: .4rem; max-width: 40rem; }
details > summary { cursor: pointer; padding: .4rem 0; font-weight: 600; }
@media print, (min-width: 900px) { .settings-groups { columns: 2; column-gap: 2.2rem; } }
.settings { margin: 0 0 1.2rem; break-inside: avoid; }
.settings th { width: 40%; font-weight: 400; } .settings caption { color: var(--ink); font-weight: 600; font-size: 1rem; }
.settings tr.changed > * { background: var(--panel); font-weight: 600; }
.settings tr.changed > th { box-shadow: inset 4px 0 var(--after); padding-left: .9rem; }
code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .88em; }
@media (max-width: 480px) {
  .bars { grid-template-columns: minmax(0, 1fr); gap: .1rem; } .bars dt { max-width: none; } .bars dd { margin-bottom: .5rem; }
  th, td { padding: .3rem .3rem; } .narrow th, .narrow td { font-size: .88rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 11pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, table, .notice, .bars { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .pair { grid-template-columns: 1fr 1fr; } .scroll { overflow: visible; }
  details::details-content { content-visibility: visible; height: auto; }
}
"""
)

# What a study's page has beside that.
STUDY_STYLE = """
.answers { padding-left: 1.2rem; max-width: 54rem; } .answers li { margin: .35rem 0; }
.part { font-size: 1.12rem; margin: 2.2rem 0 .7rem; padding-top: .7rem;
  border-top: 1px dotted var(--line); }
.pair { margin: 1.2rem 0 1.8rem; } .scores { max-width: 54rem; } main p.quiet { max-width: 54rem; }
details figure { margin: .8rem 0 1.6rem; } .cost td:last-child { white-space: nowrap; }
td small { color: var(--muted); display: block; } td.best { font-weight: 700; }
td.best small { font-weight: 400; } td.text { white-space: normal; }
"""

# Of several tables one after the other.
TABLES_STYLE = """
.scroll + .scroll, .scroll + p, p:not(.caption) + .scroll { margin-top: 1.5rem; }
.scroll + div:not(.scroll) { margin-top: 1.8rem; }
"""
