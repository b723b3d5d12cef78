// A row of a table opens what its data-row link leads to, wherever it is clicked; its other links, its tooltips and
// the selection of its text stay what they are.
document.addEventListener('click', (event) => {
  const row = event.target.closest('.tbl tbody tr');
  if (!row || event.target.closest('a, button, input, label, summary') || !getSelection().isCollapsed) return;
  const link = row.querySelector('[data-row]');
  link?.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, metaKey: event.metaKey, ctrlKey: event.ctrlKey, shiftKey: event.shiftKey }));
});
