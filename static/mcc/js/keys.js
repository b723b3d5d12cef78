// Single keys: an element with data-key="c" (or "g d", typed one after the other) is clicked when its key is.
// They are off while somebody types, and can be switched off for good in the help (WCAG 2.1.4).
const SEQUENCE_MS = 900;
let prefix = '', prefixAt = 0;

const enabled = () => localStorage.getItem('keys') !== 'off';
const visible = (element) => element.getClientRects().length > 0 || element.closest('nav');

// Several elements may have the same key: the row that has the focus comes first, then the page, then the frame.
function find(key) {
  const elements = [...document.querySelectorAll('[data-key]')].filter((e) => e.dataset.key === key && visible(e));
  const row = document.activeElement?.closest('[data-row], article');
  return elements.find((e) => row?.contains(e)) ?? elements.find((e) => !e.closest('aside')) ?? elements[0] ?? null;
}

function move(step) {
  const rows = [...document.querySelectorAll('[data-row]')].filter((e) => e.getClientRects().length);
  if (!rows.length) return;
  const at = rows.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1)];
  next.focus();
  next.scrollIntoView({ block: 'nearest' });
}

document.addEventListener('keydown', (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || !enabled()) return;
  if (event.target.closest('input, textarea, select, [contenteditable], dialog')) return;
  const key = event.key.toLowerCase();
  const typed = Date.now() - prefixAt < SEQUENCE_MS ? `${prefix} ${key}` : key;
  const element = find(typed) ?? find(key);
  prefix = '';
  if (element) { event.preventDefault(); element.click(); return; }
  if (key === 'j' || key === 'k') { move(key === 'j' ? 1 : -1); return; }
  if (key === 'g') { prefix = key; prefixAt = Date.now(); }
});

// Pages name the key that most machines have.
if (/Mac|iPhone|iPad/.test(navigator.platform)) for (const key of document.querySelectorAll('[data-mod]')) key.textContent = '⌘';

const toggle = document.getElementById('keys-on');
if (toggle) {
  toggle.checked = enabled();
  toggle.addEventListener('change', () => localStorage.setItem('keys', toggle.checked ? 'on' : 'off'));
}
