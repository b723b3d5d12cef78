// data-open="id" opens a <dialog>. The element is a link or a submit button, so it works as a page without JavaScript.
document.addEventListener('click', (event) => {
  const opener = event.target.closest('[data-open]');
  const dialog = opener && document.getElementById(opener.dataset.open);
  if (dialog && !event.metaKey && !event.ctrlKey) {
    event.preventDefault();
    dialog.showModal();
    return;
  }
  if (event.target.matches('dialog') || event.target.closest('[data-close]')) {
    const open = event.target.closest('dialog');
    if (open && event.target.closest('[data-close]')) event.preventDefault();
    open?.close(); // the backdrop is the dialog itself
  }
});

// Menus made of <details class="menu"> close when the reader goes elsewhere.
document.addEventListener('click', (event) => {
  for (const menu of document.querySelectorAll('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener('keydown', (event) => {
  const menu = event.key === 'Escape' && document.activeElement?.closest('details.menu[open]');
  if (menu) { menu.open = false; menu.querySelector('summary').focus(); }
});
