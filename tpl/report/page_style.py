"""The look of an explanation page: light and dark by the reader's choice, wide and narrow, and on paper."""

from tpl.report.graph_picture import GRAPH_CSS
from tpl.report.svg import FIGURE_CSS, palette

_BASE = (
    "*{box-sizing:border-box}html{scroll-behavior:smooth;color-scheme:light dark;scroll-padding-top:1rem}"
    "body{margin:0;font:17px/1.55 system-ui,-apple-system,'Segoe UI',sans-serif;color:var(--ink);background:var(--paper);"
    "overflow-wrap:break-word}"
    "main,header.top,footer{max-width:88rem;margin:0 auto;padding:0 clamp(.9rem,3vw,2.5rem)}"
    "h1{font-size:clamp(1.5rem,3.2vw,2.3rem);line-height:1.2;margin:1.6rem 0 .6rem;text-wrap:balance}"
    "h2{font-size:1.45rem;margin:3rem 0 .8rem;padding-top:.9rem;border-top:2px solid var(--faint)}"
    "h3{font-size:1.1rem;margin:1.8rem 0 .5rem}p{max-width:46rem;margin:.6rem 0}a{color:var(--accent)}"
    "code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.86em}"
    ".soft{color:var(--soft)}.small{font-size:.88em}ul{max-width:46rem;padding-left:1.2rem}"
    "math{font-size:1.04em}.scroll{overflow-x:auto;padding:.2rem 0}"
    "a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--accent);outline-offset:2px}"
)
_TOP = (
    ".drawn{display:flex;flex-wrap:wrap;gap:0 3rem;align-items:flex-start}.drawn figure{max-width:100%;margin:.4rem 0}"
    ".drawn details{flex:1 1 22rem}"
    ".facts{display:flex;flex-wrap:wrap;gap:.4rem;padding:0;margin:1rem 0;list-style:none;max-width:none}"
    ".facts li{background:var(--card);border:1px solid var(--faint);border-radius:1rem;padding:.1rem .7rem;font-size:.9em}"
    "nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1.3rem;list-style:none;padding:.6rem 0;margin:0;max-width:none}"
    "pre.formula{margin:.5rem 0 .5rem 1rem;white-space:pre-wrap}"
)
_PROGRAM = (
    ".sides{display:grid;grid-template-columns:minmax(0,5fr) minmax(0,7fr);gap:0 2.2rem;align-items:start}"
    ".program{position:sticky;top:0;max-height:100vh;overflow:auto;background:var(--card);border:1px solid var(--faint);"
    "border-radius:.5rem;padding:.6rem 0;margin:0;list-style:none;font:13.5px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}"
    ".program li{display:flex;white-space:pre-wrap;padding-right:1rem;border-left:3px solid transparent}"
    ".program .line{min-width:0;overflow-wrap:anywhere;--hang:calc(var(--in,0)*1ch + 4ch);padding-left:var(--hang);text-indent:calc(-1*var(--hang))}"
    ".program li:target{background:var(--mark);border-color:var(--accent)}"
    ".program .n{flex:none;width:3rem;padding-right:.8rem;text-align:right;color:var(--soft);user-select:none}"
    ".program a.n{color:var(--accent)}.program a.code{color:inherit;text-decoration:none}"
    ".program a.code:hover,.program a.code:focus{text-decoration:underline;text-decoration-color:var(--accent);"
    "text-underline-offset:3px}.program a.more{margin-left:.7rem}"
    ".k{color:var(--c5);font-weight:600}.c,.d{color:var(--soft)}.s{color:var(--c2)}"
    ".card{border:1px solid var(--faint);border-left:4px solid var(--faint);border-radius:.4rem;padding:.55rem .9rem;margin:.8rem 0}"
    ".card:target{border-color:var(--accent);background:var(--mark)}"
    ".card h4{font-size:1em;margin:0;font-weight:400;display:flex;flex-wrap:wrap;gap:.1rem .9rem;align-items:baseline}"
    ".card h4 code{overflow-wrap:anywhere}.rule{font-size:.86em;color:var(--soft);margin:.15rem 0 .3rem;max-width:none}"
    ".eq{overflow-x:auto;overflow-y:hidden;padding:.3rem 0 .3rem 1.2rem}.eq math{margin:.2em 0}"
    ".broken{padding-left:2.6rem;text-indent:-1.4rem;line-height:1.9}.term{display:inline-block;max-width:100%;padding-left:1.4rem;"
    "text-indent:-1.4rem}.term math{text-indent:0}"
    ".eq,div.scroll,.why li{background:linear-gradient(90deg,var(--paper) 40%,transparent) 0 0/3rem 100% no-repeat local,"
    "linear-gradient(270deg,var(--paper) 40%,transparent) 100% 0/3rem 100% no-repeat local,"
    "linear-gradient(90deg,var(--soft),transparent) 0 0/.7rem 100% no-repeat scroll,"
    "linear-gradient(270deg,var(--soft),transparent) 100% 0/.7rem 100% no-repeat scroll}.card:target .eq,.card:target li{background:none}.why{font-size:.93em;margin:.3rem 0 .1rem;max-width:none}"
    ".why li{overflow-x:auto;overflow-y:hidden}.where{margin:0 0 .6rem 1.6rem;font-size:.92em;color:var(--soft);"
    "overflow-x:auto;overflow-y:hidden}.card .where{margin:0;font-size:.9em;white-space:nowrap;overflow:visible}"
    "section.declared .card{padding:.25rem .9rem;margin:.35rem 0}"
)
_PICTURES = (
    ".panels{display:flex;flex-wrap:wrap;gap:1.2rem 1.6rem;margin:.8rem 0}.panels>*{max-width:100%;margin:0}"
    "figure{margin:1rem 0}figcaption{font-size:.9em;color:var(--soft);max-width:46rem;margin-top:.3rem}"
    "details{margin:.7rem 0}summary{cursor:pointer;color:var(--accent)}"
    "table{border-collapse:collapse;font-size:.86em;font-variant-numeric:tabular-nums;margin:.5rem 0}"
    "td,th{padding:.18rem .6rem;border-bottom:1px solid var(--faint);white-space:nowrap}th{color:var(--soft);font-weight:600}"
    ".verdict{font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}"
    ".number{font-size:1.15em}"
    "footer{margin-top:1rem;padding-bottom:3rem;font-size:.92em}"
)
_NARROW = (
    "@media(max-width:62rem){.sides{grid-template-columns:minmax(0,1fr)}"
    ".program{position:static;max-height:none}}"
    "@media(max-width:34rem){body{font-size:16px}.program{font-size:12.5px}.program .n{width:2.4rem;padding-right:.6rem}}"
    "@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}"
    "@media print{body{font-size:10.5pt}nav,.program a.more{display:none}.sides,.drawn{display:block}"
    ".program{position:static;max-height:none;overflow:visible}"
    ".eq,.where,.why li,div.scroll{overflow:visible;background:none}.card,figure,.panels>*{break-inside:avoid}h2,h3{break-after:avoid}a{color:inherit;text-decoration:none}"
    "@page{margin:1.6cm}}"
)

CSS = palette(":root") + _BASE + _TOP + _PROGRAM + _PICTURES + FIGURE_CSS + GRAPH_CSS + _NARROW
