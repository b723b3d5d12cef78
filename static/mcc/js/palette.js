// The command palette: links in a listbox. What is on the page filters at once; the server adds issues it finds.
const dialog = document.getElementById('palette');
const input = dialog?.querySelector('[role=combobox]');

const options = () => [...dialog.querySelectorAll('[role=option]')].filter((option) => !option.hidden);

function select(option) {
  for (const each of dialog.querySelectorAll('[aria-selected=true]')) each.setAttribute('aria-selected', 'false');
  option?.setAttribute('aria-selected', 'true');
  input.setAttribute('aria-activedescendant', option?.id ?? '');
  option?.scrollIntoView({ block: 'nearest' });
}

function filter() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const option of dialog.querySelectorAll('[data-filter] [role=option]')) {
    const text = option.textContent.toLowerCase();
    option.hidden = !words.every((word) => text.includes(word));
  }
  for (const group of dialog.querySelectorAll('[role=group]')) {
    group.hidden = ![...group.querySelectorAll('[role=option]')].some((option) => !option.hidden);
  }
  dialog.querySelector('[data-empty]').hidden = options().length > 0;
  select(options()[0]);
}

function onKey(event) {
  const all = options();
  const at = all.findIndex((option) => option.getAttribute('aria-selected') === 'true');
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && all.length) { event.preventDefault(); select(all[(at + step + all.length) % all.length]); }
  if (event.key === 'Enter') { event.preventDefault(); dialog.close(); all[at]?.click(); }
}

if (dialog) {
  input.addEventListener('input', filter);
  input.addEventListener('keydown', onKey);
  dialog.addEventListener('htmx:after:swap', filter);
  dialog.addEventListener('close', () => { input.value = ''; filter(); });
  document.addEventListener('keydown', (event) => {
    if (!(event.metaKey || event.ctrlKey) || event.key.toLowerCase() !== 'k') return;
    event.preventDefault();
    if (dialog.open) dialog.close(); else { dialog.showModal(); filter(); }
  });
}
