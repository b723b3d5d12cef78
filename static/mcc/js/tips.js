// One popover for all charts: data-tip="Label|Name;class;value|…". On hover, and on focus of the chart by arrow keys.
const tip = document.getElementById('tip');
let shown = null;

function fill(text) {
  tip.textContent = '';
  text.split('|').forEach((part, index) => {
    if (index === 0) {
      const title = document.createElement('b');
      title.textContent = part;
      tip.append(title);
      return;
    }
    const [name, cls, value] = part.split(';');
    const row = document.createElement('div');
    if (cls) row.append(Object.assign(document.createElement('span'), { className: `sw ${cls}` }));
    row.append(Object.assign(document.createElement('span'), { textContent: name }),
      Object.assign(document.createElement('span'), { textContent: value }));
    tip.append(row);
  });
}

function hide() {
  shown?.classList.remove('on');
  shown = null;
  if (tip?.matches(':popover-open')) tip.hidePopover();
}

function show(target, x, y) {
  if (shown !== target) { hide(); shown = target; target.classList.add('on'); fill(target.dataset.tip); }
  if (!tip.matches(':popover-open')) tip.showPopover();
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`; // CSSOM: allowed by style-src 'self'
  tip.style.top = `${Math.max(8, y - box.height - 10)}px`;
}

if (tip) {
  document.addEventListener('pointermove', (event) => {
    const target = event.target.closest?.('[data-tip]');
    if (target) show(target, event.clientX, event.clientY); else hide();
  });
  document.addEventListener('keydown', (event) => {
    const plot = document.activeElement?.closest?.('svg.plot');
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === 'Escape') hide();
    if (!plot || !step) return;
    event.preventDefault();
    const hits = [...plot.querySelectorAll('[data-tip]')];
    const at = hits.indexOf(shown);
    const target = hits[at < 0 ? (step > 0 ? 0 : hits.length - 1) : Math.min(Math.max(at + step, 0), hits.length - 1)];
    const box = target.getBoundingClientRect();
    show(target, box.right, box.top + box.height / 3);
  });
  document.addEventListener('focusout', hide);
}
